// Body of VecKernels for one ISA; included by vec_<isa>.cc with NSA_ISA naming the namespace and NSA_W the f32 lanes.
namespace nsa::cpu::NSA_ISA {
namespace {

constexpr int W = NSA_W;
constexpr int MR = W == 16 ? 12 : W == 8 ? 6 : 4;
constexpr int NR = 2 * W;
typedef float vf __attribute__((vector_size(W * 4)));
typedef int32_t vi __attribute__((vector_size(W * 4)));
typedef float v4 __attribute__((vector_size(16)));

inline vf load(const float* p) {
  vf v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline void store(float* p, vf v) { std::memcpy(p, &v, sizeof v); }
inline vf splat(float x) { return x - vf{}; }
inline vf fma(vf a, vf b, vf c) {
#if NSA_W == 16
  return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif NSA_W == 8
  return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return a * b + c;
#endif
}
// The greater of lo and x; NaN in x stays.
inline vf at_least(vf lo, vf x) {
#if NSA_W == 16
  return (vf)_mm512_maskz_max_ps(0xffff, (__m512)lo, (__m512)x);
#elif NSA_W == 8
  return (vf)_mm256_max_ps((__m256)lo, (__m256)x);
#else
  return lo > x ? lo : x;
#endif
}
inline vf at_most(vf hi, vf x) {
#if NSA_W == 16
  return (vf)_mm512_maskz_min_ps(0xffff, (__m512)hi, (__m512)x);
#elif NSA_W == 8
  return (vf)_mm256_min_ps((__m256)hi, (__m256)x);
#else
  return hi < x ? hi : x;
#endif
}

// e^x to about 1 ulp: x = n·ln 2 + r, a polynomial in r, n into the exponent in two halves so that the ends are right.
inline vf expv(vf x) {
  x = at_most(splat(89.f), at_least(splat(-104.f), x));
  const vf magic = splat(12582912.f);  // 1.5·2^23: adding it rounds to an integer in the low bits
  vf shifted = fma(x, splat(1.44269504088896341f), magic);
  vf n = shifted - magic;
  vf r = fma(n, splat(-0.693359375f), x);
  r = fma(n, splat(2.12194440e-4f), r);
  vf p = splat(1.9875691500e-4f);
  p = fma(p, r, splat(1.3981999507e-3f));
  p = fma(p, r, splat(8.3334519073e-3f));
  p = fma(p, r, splat(4.1665795894e-2f));
  p = fma(p, r, splat(1.6666665459e-1f));
  p = fma(p, r, splat(5.0000001201e-1f));
  p = fma(p, r * r, r) + splat(1.f);
  vi bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits -= 0x4B400000;
  vi half = bits >> 1;
  vi low = (half + 127) << 23, high = (bits - half + 127) << 23;
  vf a, b;
  std::memcpy(&a, &low, sizeof a);
  std::memcpy(&b, &high, sizeof b);
  return p * a * b;
}
inline vf sigmoidv(vf x) { return splat(1.f) / (splat(1.f) + expv(-x)); }

// f(vectors...) over a span; the tail goes through padded vectors, so every element sees the same operations.
template <class F>
inline void map(int64_t n, F f) {
  int64_t i = 0;
  for (; i + W <= n; i += W) f(i, W);
  if (i < n) f(i, int(n - i));
}
inline vf load_n(const float* p, int n) {
  if (n == W) return load(p);
  vf v = {};
  std::memcpy(&v, p, size_t(n) * 4);
  return v;
}
inline void store_n(float* p, vf v, int n) {
  if (n == W)
    store(p, v);
  else
    std::memcpy(p, &v, size_t(n) * 4);
}
inline float hsum(vf v) {
  float x[W];
  store(x, v);
  for (int step = W / 2; step > 0; step /= 2)
    for (int i = 0; i < step; ++i) x[i] += x[i + step];
  return x[0];
}

template <int M, bool BY_ROWS>
void tile(int64_t k, const float* a, const float* b, float* c, int64_t ldc, bool accumulate) {
  vf acc[M][2];
  for (int i = 0; i < M; ++i)
    for (int j = 0; j < 2; ++j) acc[i][j] = accumulate ? load(c + i * ldc + j * W) : vf{};
  for (int64_t l = 0; l < k; ++l) {
    vf b0 = load(b), b1 = load(b + W);
#pragma GCC unroll 16
    for (int i = 0; i < M; ++i) {
      vf x = splat(a[BY_ROWS ? i * kPackedRow : i]);
      acc[i][0] = fma(x, b0, acc[i][0]);
      acc[i][1] = fma(x, b1, acc[i][1]);
    }
    a += BY_ROWS ? 1 : MR;
    b += NR;
  }
  for (int i = 0; i < M; ++i)
    for (int j = 0; j < 2; ++j) store(c + i * ldc + j * W, acc[i][j]);
}

using Tile = void (*)(int64_t, const float*, const float*, float*, int64_t, bool);
template <bool BY_ROWS>
constexpr Tile kTiles[] = {
    tile<1, BY_ROWS>, tile<2, BY_ROWS>,  tile<3, BY_ROWS>,  tile<4, BY_ROWS>,
#if NSA_W > 4
    tile<5, BY_ROWS>, tile<6, BY_ROWS>,
#endif
#if NSA_W > 8
    tile<7, BY_ROWS>, tile<8, BY_ROWS>,  tile<9, BY_ROWS>,  tile<10, BY_ROWS>, tile<11, BY_ROWS>, tile<12, BY_ROWS>,
#endif
};

void gemm_tile(int64_t rows, int64_t k, const float* a, bool a_by_rows, const float* b, float* c, int64_t ldc, bool accumulate) {
  (a_by_rows ? kTiles<true> : kTiles<false>)[rows - 1](k, a, b, c, ldc, accumulate);
}

#include "cpu/vec_transpose_impl.h"

void from_bf16(const uint16_t* x, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    uint32_t u = uint32_t(x[i]) << 16;
    std::memcpy(y + i, &u, 4);
  }
}
void to_bf16(const float* x, uint16_t* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    uint32_t u;
    std::memcpy(&u, x + i, 4);
    uint32_t nan = (u >> 16) | 0x40, rounded = (u + 0x7fffu + ((u >> 16) & 1)) >> 16;
    y[i] = uint16_t((u & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
  }
}

void axpby(const float* a, const float* b, float* y, float alpha, float beta, int64_t n) {
  map(n, [&](int64_t i, int c) {
    store_n(y + i, fma(splat(alpha), load_n(a + i, c), splat(beta) * load_n(b + i, c)), c);
  });
}

template <class F>
inline void scalar_map(const float* x, float* y, int64_t n, F f) {
  for (int64_t i = 0; i < n; ++i) y[i] = f(x[i]);
}
template <class F>
inline void vector_map(const float* x, float* y, int64_t n, F f) {
  map(n, [&](int64_t i, int c) { store_n(y + i, f(load_n(x + i, c)), c); });
}

void unary(int64_t kind, const float* x, float* y, int64_t n) {
  switch (kind) {
    case 0: return vector_map(x, y, n, [](vf v) { return -v; });
    case 1: return vector_map(x, y, n, [](vf v) { return expv(v); });
    case 2: return scalar_map(x, y, n, [](float v) { return std::log(v); });
    case 3: return vector_map(x, y, n, [](vf v) { return sigmoidv(v); });
    case 4: return vector_map(x, y, n, [](vf v) { return v * v; });
    case 5: return scalar_map(x, y, n, [](float v) { return std::sqrt(v); });
    case 6: return vector_map(x, y, n, [](vf v) { return splat(1.f) / v; });
    case 7: return scalar_map(x, y, n, [](float v) { return std::fabs(v); });
    case 8: return scalar_map(x, y, n, [](float v) { return std::tanh(v); });
    case 9: return vector_map(x, y, n, [](vf v) { return v * sigmoidv(v); });
    case 10: return vector_map(x, y, n, [](vf v) { return at_least(vf{}, v); });
    case 11: return scalar_map(x, y, n, [](float v) { return (v < 0 ? v : 0.f) - std::log1p(std::exp(-std::fabs(v))); });
    default: return scalar_map(x, y, n, [](float v) { return v > 0 ? 1.f : v < 0 ? -1.f : 0.f; });
  }
}

void unary_bwd(int64_t kind, const float* x, const float* y, const float* dy, float* dx, int64_t n) {
  auto each = [&](auto f) {
    map(n, [&](int64_t i, int c) { store_n(dx + i, f(load_n(x + i, c), load_n(y + i, c)) * load_n(dy + i, c), c); });
  };
  auto one = splat(1.f);
  auto sign = [](vf v) {
    vf out;
    for (int i = 0; i < W; ++i) out[i] = v[i] > 0 ? 1.f : v[i] < 0 ? -1.f : 0.f;
    return out;
  };
  switch (kind) {
    case 0: return each([&](vf, vf) { return -one; });
    case 1: return each([&](vf, vf v) { return v; });
    case 2: return each([&](vf v, vf) { return one / v; });
    case 3: return each([&](vf, vf v) { return v * (one - v); });
    case 4: return each([&](vf v, vf) { return v + v; });
    case 5: return each([&](vf, vf v) { return splat(0.5f) / v; });
    case 6: return each([&](vf, vf v) { return -v * v; });
    case 7: return each([&](vf v, vf) { return sign(v); });
    case 8: return each([&](vf, vf v) { return one - v * v; });
    case 9:
      return each([&](vf v, vf) {
        vf s = sigmoidv(v);
        return s * (one + v * (one - s));
      });
    case 10: return each([&](vf v, vf) { return at_least(vf{}, sign(v)); });
    case 11: return each([&](vf v, vf) { return sigmoidv(-v); });
    default: return each([&](vf, vf) { return vf{}; });
  }
}

template <class B>
void binary_with(int64_t kind, const float* a, B b, float* y, int64_t n) {
  auto each = [&](auto f) {
    for (int64_t i = 0; i < n; ++i) y[i] = f(a[i], b(i));
  };
  switch (kind) {
    case 0: return each([](float u, float v) { return u + v; });
    case 1: return each([](float u, float v) { return u - v; });
    case 2: return each([](float u, float v) { return u * v; });
    case 3: return each([](float u, float v) { return u / v; });
    case 4: return each([](float u, float v) { return v < u ? v : u; });
    case 5: return each([](float u, float v) { return u < v ? v : u; });
    case 6: return each([](float u, float v) { return u > v ? 1.f : 0.f; });
    case 7: return each([](float u, float v) { return u >= v ? 1.f : 0.f; });
    case 8: return each([](float u, float v) { return u == v ? 1.f : 0.f; });
    case 9: return each([](float u, float v) { return v - u; });
    default: return each([](float u, float v) { return v / u; });
  }
}
void binary(int64_t kind, const float* a, const float* b, float* y, int64_t n) {
  binary_with(kind, a, [b](int64_t i) { return b[i]; }, y, n);
}
void binary_scalar(int64_t kind, const float* a, float b, float* y, int64_t n) {
  binary_with(kind, a, [b](int64_t) { return b; }, y, n);
}

template <class F>
inline double sum_of(int64_t n, F f) {
  double lanes[W] = {};
  int64_t i = 0;
  for (; i + W <= n; i += W)
    for (int j = 0; j < W; ++j) lanes[j] += f(i + j);
  for (int j = 0; i < n; ++i, ++j) lanes[j] += f(i);
  for (int step = W / 2; step > 0; step /= 2)
    for (int j = 0; j < step; ++j) lanes[j] += lanes[j + step];
  return lanes[0];
}
double sum(const float* x, int64_t n) {
  return sum_of(n, [x](int64_t i) { return double(x[i]); });
}
double sum_squares(const float* x, int64_t n) {
  return sum_of(n, [x](int64_t i) { return double(x[i]) * x[i]; });
}
float max(const float* x, int64_t n) {
  vf best = splat(-std::numeric_limits<float>::infinity());
  int64_t i = 0;
  for (; i + W <= n; i += W) best = at_least(best, load(x + i));
  float lanes[W], top = -std::numeric_limits<float>::infinity();
  store(lanes, best);
  for (int j = 0; j < W; ++j) top = top > lanes[j] ? top : lanes[j];
  for (; i < n; ++i) top = top > x[i] ? top : x[i];
  return top;
}
float dot(const float* a, const float* b, int64_t n) {
  float lane[16] = {};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int j = 0; j < 16; ++j) lane[j] += a[i + j] * b[i + j];
  for (int j = 0; i < n; ++i, ++j) lane[j] += a[i] * b[i];
  for (int half = 8; half > 0; half /= 2)
    for (int j = 0; j < half; ++j) lane[j] += lane[j + half];
  return lane[0];
}
float dot3(const float* a, const float* b, const float* c, int64_t n) {
  vf acc = {};
  map(n, [&](int64_t i, int m) { acc = fma(load_n(a + i, m) * load_n(b + i, m), load_n(c + i, m), acc); });
  return hsum(acc);
}
void scale_mul(const float* x, float s, const float* w, float* y, int64_t n) {
  map(n, [&](int64_t i, int c) { store_n(y + i, load_n(x + i, c) * splat(s) * load_n(w + i, c), c); });
}
void norm_bwd(const float* dy, const float* x, const float* w, float rstd, float mean, bool accumulate, float* dx, float* dw,
              int64_t n) {
  map(n, [&](int64_t i, int c) {
    vf g = load_n(dy + i, c), xhat = load_n(x + i, c) * splat(rstd);
    vf d = splat(rstd) * fma(xhat, splat(-mean), g * load_n(w + i, c));
    store_n(dw + i, fma(g, xhat, load_n(dw + i, c)), c);
    store_n(dx + i, accumulate ? load_n(dx + i, c) + d : d, c);
  });
}
void rotate(const float* a, const float* b, const float* cos, const float* sin, float sign, float* ya, float* yb, int64_t n) {
  map(n, [&](int64_t i, int c) {
    vf va = load_n(a + i, c), vb = load_n(b + i, c), co = load_n(cos + i, c), si = load_n(sin + i, c) * splat(sign);
    store_n(ya + i, fma(va, co, -(vb * si)), c);
    store_n(yb + i, fma(vb, co, va * si), c);
  });
}
void swiglu(const float* g, const float* u, float* y, int64_t n) {
  map(n, [&](int64_t i, int c) {
    vf x = load_n(g + i, c);
    store_n(y + i, x * sigmoidv(x) * load_n(u + i, c), c);
  });
}
void swiglu_bwd(const float* dy, const float* g, const float* u, float* dg, float* du, int64_t n) {
  map(n, [&](int64_t i, int c) {
    vf x = load_n(g + i, c), d = load_n(dy + i, c), s = sigmoidv(x), up = load_n(u + i, c);
    store_n(dg + i, d * up * s * fma(x, splat(1.f) - s, splat(1.f)), c);
    store_n(du + i, d * x * s, c);
  });
}
void softmax_sums(const float* z, float top, double* sums, int64_t n) {
  typedef double vd __attribute__((vector_size(W * 8)));
  vd s = {}, sz = {};
  map(n, [&](int64_t i, int c) {
    vf x = load_n(z + i, c) - splat(top), e = expv(x);
    for (int j = c; j < W; ++j) e[j] = 0, x[j] = 0;
    s += __builtin_convertvector(e, vd);
    for (int j = 0; j < W; ++j) x[j] = x[j] < -104.f ? 0.f : x[j];
    sz += __builtin_convertvector(e * x, vd);
  });
  sums[0] = sums[1] = 0;
  for (int j = 0; j < W; ++j) {
    sums[0] += s[j];
    sums[1] += sz[j];
  }
}
void exp_shifted(const float* x, float shift, float* y, int64_t n) {
  vector_map(x, y, n, [shift](vf v) { return expv(v - splat(shift)); });
}
void lm_head_slope(float* z, float lse, float entropy, float a, float b, int64_t n) {
  vector_map(z, z, n, [=](vf v) {
    vf logp = v - splat(lse);
    return expv(logp) * fma(splat(-b), logp + splat(entropy), splat(a));
  });
}
void adamw(const AdamStep& s, float* p, const float* g, float* m, float* v, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    float d = g[i] * s.clip;
    float mi = s.beta1 * m[i] + s.rest1 * d, vi = s.beta2 * v[i] + s.rest2 * d * d;
    m[i] = mi;
    v[i] = vi;
    p[i] -= s.lr * (mi * s.correct_m / (std::sqrt(vi * s.correct_v) + s.eps) + s.decay * p[i]);
  }
}

}  // namespace

extern const VecKernels kVec;
const VecKernels kVec = {MR,      NR,        gemm_tile, pack_transposed, from_bf16,     to_bf16,     axpby,
                         unary,   unary_bwd, binary,    binary_scalar,   sum,           sum_squares, max,
                         dot,     dot3,      scale_mul, norm_bwd,  rotate,          swiglu,        swiglu_bwd,  softmax_sums,
                         exp_shifted, lm_head_slope, adamw};

}  // namespace nsa::cpu::NSA_ISA
