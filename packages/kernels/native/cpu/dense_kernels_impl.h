// Body of DenseKernels for one ISA; included by dense_<isa>.cc with NSA_ISA naming the namespace and NSA_W the f32 lanes.

namespace nsa::cpu::NSA_ISA {
namespace {

constexpr int W = NSA_W;
typedef float vf __attribute__((vector_size(W * 4)));

#if NSA_W == 16
constexpr int MR = 12, NV = 2;
inline vf fma(vf a, vf b, vf c) { return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
#elif NSA_W == 8
constexpr int MR = 6, NV = 2;
inline vf fma(vf a, vf b, vf c) { return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
#else
constexpr int MR = 4, NV = 2;
inline vf fma(vf a, vf b, vf c) { return a * b + c; }
#endif
constexpr int NR = NV * W;

inline vf load(const float* p) {
  vf v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline void store(float* p, vf v) { std::memcpy(p, &v, sizeof v); }

void tile(int64_t k, const float* a, const float* b, float* c, int64_t ldc, bool first) {
  vf acc[MR][NV];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < NV; ++j) acc[i][j] = first ? vf{} : load(c + i * ldc + j * W);
  for (int64_t p = 0; p < k; ++p, a += MR, b += NR) {
    vf vb[NV];
#pragma GCC unroll 2
    for (int j = 0; j < NV; ++j) vb[j] = load(b + j * W);
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      vf va = a[i] - vf{};
#pragma GCC unroll 2
      for (int j = 0; j < NV; ++j) acc[i][j] = fma(va, vb[j], acc[i][j]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < NV; ++j) store(c + i * ldc + j * W, acc[i][j]);
}

// Sixteen lanes folded by halves: the same order on every ISA.
inline float fold(const float* lane) {
  float s[8];
  for (int i = 0; i < 8; ++i) s[i] = lane[i] + lane[i + 8];
  for (int i = 0; i < 4; ++i) s[i] += s[i + 4];
  return (s[0] + s[2]) + (s[1] + s[3]);
}

float dot(const float* a, const float* b, int64_t n) {
  float lane[16] = {};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int j = 0; j < 16; ++j) lane[j] += a[i + j] * b[i + j];
  for (int j = 0; i < n; ++i, ++j) lane[j] += a[i] * b[i];
  return fold(lane);
}

float sum(const float* x, int64_t n) {
  float lane[16] = {};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int j = 0; j < 16; ++j) lane[j] += x[i + j];
  for (int j = 0; i < n; ++i, ++j) lane[j] += x[i];
  return fold(lane);
}

void axpby(float alpha, const float* x, float beta, const float* z, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = alpha * x[i] + beta * z[i];
}

// e^x to about 1 ulp for |x| < 87, flushed to 0 below; branch-free so that loops vectorise.
inline float expf_(float x) {
  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  float n = x * 1.44269504f + 12582912.0f;
  n -= 12582912.0f;
  float r = x - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  int32_t bits = (int32_t(n) + 127) << 23;
  float scale;
  std::memcpy(&scale, &bits, 4);
  return p * scale;
}

inline float sigmoid(float x) { return 1.0f / (1.0f + expf_(-x)); }

void swiglu_fwd(const float* g, const float* u, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = g[i] * sigmoid(g[i]) * u[i];
}

void swiglu_bwd(const float* dy, const float* g, const float* u, float* dg, float* du, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    float s = sigmoid(g[i]);
    float silu = g[i] * s;
    dg[i] = dy[i] * u[i] * (s + silu * (1.0f - s));
    du[i] = dy[i] * silu;
  }
}

void norm_scale(const float* x, const float* w, float rstd, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] * rstd * w[i];
}

void softmax_stats(float* z, float scale, int64_t n, float* top, float* out_sum, float* weighted) {
  float best[16];
  for (int j = 0; j < 16; ++j) best[j] = -3.0e38f;
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int j = 0; j < 16; ++j) {
      float x = z[i + j] * scale;
      z[i + j] = x;
      best[j] = x > best[j] ? x : best[j];
    }
  for (int j = 0; i < n; ++i, ++j) {
    z[i] *= scale;
    best[j] = z[i] > best[j] ? z[i] : best[j];
  }
  float m = best[0];
  for (int j = 1; j < 16; ++j) m = best[j] > m ? best[j] : m;
  float e[16] = {}, ez[16] = {};
  for (i = 0; i + 16 <= n; i += 16)
    for (int j = 0; j < 16; ++j) {
      float x = z[i + j], p = expf_(x - m);
      e[j] += p;
      ez[j] += p * (x - m);
    }
  for (int j = 0; i < n; ++i, ++j) {
    float p = expf_(z[i] - m);
    e[j] += p;
    ez[j] += p * (z[i] - m);
  }
  *top = m;
  *out_sum = fold(e);
  *weighted = fold(ez);
}

void softmax_grad(float* z, float lse, float entropy, float dlogp, float dlse, float dentropy, float scale, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    float log_p = z[i] - lse, p = expf_(log_p);
    z[i] = scale * p * (dlse - dlogp - dentropy * (log_p + entropy));
  }
}

void adamw(float* p, const float* g, float* m, float* v, int64_t n, float lr, float scale, float beta1, float beta2, float inv_c1,
           float inv_c2, float eps, float decay) {
  for (int64_t i = 0; i < n; ++i) {
    float gi = g[i] * scale;
    float mi = beta1 * m[i] + (1.0f - beta1) * gi;
    float vi = beta2 * v[i] + (1.0f - beta2) * gi * gi;
    m[i] = mi;
    v[i] = vi;
    p[i] -= lr * (mi * inv_c1 / (__builtin_sqrtf(vi * inv_c2) + eps) + decay * p[i]);
  }
}

}  // namespace

const DenseKernels kDense = {MR, NR, tile, dot, sum, axpby, swiglu_fwd, swiglu_bwd, norm_scale, softmax_stats, softmax_grad, adamw};

}  // namespace nsa::cpu::NSA_ISA
