// Body of AttnKernels for one ISA; included by attn_<isa>.cc with NSA_ISA naming the namespace and NSA_W the f32 lanes.
#include <cstring>
#include <limits>

namespace nsa::cpu::NSA_ISA {
namespace {

constexpr int W = NSA_W;
typedef float vf __attribute__((vector_size(W * 4)));
typedef int32_t vi __attribute__((vector_size(W * 4)));
constexpr float kNegInf = -std::numeric_limits<float>::infinity();

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
inline vf vmax(vf a, vf b) {
#if NSA_W == 16
  return (vf)_mm512_maskz_max_ps(0xffff, (__m512)a, (__m512)b);
#elif NSA_W == 8
  return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#else
  return a > b ? a : b;
#endif
}
typedef float v4 __attribute__((vector_size(16)));
typedef float v8 __attribute__((vector_size(32)));

// Folds a vector to four lanes, halves first: a fixed order.
template <class Op>
inline v4 fold(vf v, Op op) {
#if NSA_W == 16
  v8 h = op(__builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7), __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15));
  return op(__builtin_shufflevector(h, h, 0, 1, 2, 3), __builtin_shufflevector(h, h, 4, 5, 6, 7));
#elif NSA_W == 8
  return op(__builtin_shufflevector(v, v, 0, 1, 2, 3), __builtin_shufflevector(v, v, 4, 5, 6, 7));
#else
  return v;
#endif
}
inline float hsum(vf v) {
  v4 x = fold(v, [](auto a, auto b) { return a + b; });
  x += __builtin_shufflevector(x, x, 2, 3, 0, 1);
  return x[0] + x[1];
}
inline float hmax(vf v) {
  auto op = [](auto a, auto b) { return a > b ? a : b; };
  v4 x = fold(v, op);
  x = op(x, __builtin_shufflevector(x, x, 2, 3, 0, 1));
  return x[0] > x[1] ? x[0] : x[1];
}

// 2^x for x <= 0 or so; below −127 exactly 0.
inline vf exp2v(vf x) {
  x = vmax(x, splat(-127.f));
  const vf magic = splat(12582912.f);  // 1.5·2^23: adding it rounds to an integer in the low bits
  vf shifted = x + magic;
  vf r = x - (shifted - magic);
  vf p = splat(1.5403530393381609e-4f);
  p = fma(p, r, splat(1.3333558146428443e-3f));
  p = fma(p, r, splat(9.6181291076284770e-3f));
  p = fma(p, r, splat(5.5504108664821580e-2f));
  p = fma(p, r, splat(0.24022650695910071f));
  p = fma(p, r, splat(0.69314718055994531f));
  p = fma(p, r, splat(1.f));
  vi bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = ((bits - 0x4b400000) + 127) << 23;
  vf two_n;
  std::memcpy(&two_n, &bits, sizeof bits);
  return p * two_n;
}

inline vi lanes_from(int32_t first) {
  vi v;
  for (int i = 0; i < W; ++i) v[i] = first + i;
  return v;
}

template <int MR, int NV>
inline void micro(int64_t k, const float* a, int64_t rs, int64_t cs, const float* b, int64_t ldb, float* c, int64_t ldc,
                  bool accumulate) {
  vf acc[MR][NV];
#pragma GCC unroll 8
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) acc[i][j] = accumulate ? load(c + i * ldc + j * W) : vf{};
  for (int64_t p = 0; p < k; ++p) {
    vf bv[NV];
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) bv[j] = load(b + j * W);
#pragma GCC unroll 8
    for (int i = 0; i < MR; ++i) {
      vf av = splat(a[i * rs]);
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) acc[i][j] = fma(av, bv[j], acc[i][j]);
    }
    a += cs;
    b += ldb;
  }
#pragma GCC unroll 8
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) store(c + i * ldc + j * W, acc[i][j]);
}

template <int NV>
void column_panel(int64_t m, int64_t k, const float* a, int64_t rs, int64_t cs, const float* b, int64_t ldb, float* c,
                  int64_t ldc, bool accumulate) {
  int64_t i = 0;
  for (; i + 6 <= m; i += 6) micro<6, NV>(k, a + i * rs, rs, cs, b, ldb, c + i * ldc, ldc, accumulate);
  if (i + 4 <= m) micro<4, NV>(k, a + i * rs, rs, cs, b, ldb, c + i * ldc, ldc, accumulate), i += 4;
  if (i + 2 <= m) micro<2, NV>(k, a + i * rs, rs, cs, b, ldb, c + i * ldc, ldc, accumulate), i += 2;
  if (i < m) micro<1, NV>(k, a + i * rs, rs, cs, b, ldb, c + i * ldc, ldc, accumulate);
}

void gemm(int64_t m, int64_t n, int64_t k, const float* a, int64_t rs, int64_t cs, const float* b, int64_t ldb, float* c,
          int64_t ldc, bool accumulate) {
  constexpr int kVectors = NSA_W == 16 ? 4 : 2;  // accumulators that fit the register file with 6 rows
  int64_t j = 0;
  for (; j + kVectors * W <= n; j += kVectors * W) column_panel<kVectors>(m, k, a, rs, cs, b + j, ldb, c + j, ldc, accumulate);
  if constexpr (kVectors == 4)
    if (j + 2 * W <= n) column_panel<2>(m, k, a, rs, cs, b + j, ldb, c + j, ldc, accumulate), j += 2 * W;
  for (; j < n; j += W) column_panel<1>(m, k, a, rs, cs, b + j, ldb, c + j, ldc, accumulate);
}

inline vf masked(vf x, int64_t c, int32_t lo, int32_t hi, float outside) {
  vi at = lanes_from(int32_t(c));
  return (at >= lo) & (at < hi) ? x : splat(outside);
}

void softmax_rows(float* s, int64_t ld, int64_t rows, int64_t width, const int32_t* lo, const int32_t* hi, float* m, float* l,
                  float* alpha) {
  for (int64_t r = 0; r < rows; ++r) {
    float* x = s + r * ld;
    bool partial = lo[r] > 0 || hi[r] < width;
    if (partial)
      for (int64_t c = 0; c < width; c += W) store(x + c, masked(load(x + c), c, lo[r], hi[r], kNegInf));
    vf top = load(x);
    for (int64_t c = W; c < width; c += W) top = vmax(top, load(x + c));
    float old = m[r], now = hmax(top);
    now = now > old ? now : old;
    if (now == kNegInf) {
      std::memset(x, 0, size_t(width) * 4);
      alpha[r] = 1;
      continue;
    }
    vf shift = splat(now), sum = {};
    for (int64_t c = 0; c < width; c += W) {
      vf p = exp2v(load(x + c) - shift);
      store(x + c, p);
      sum += p;
    }
    alpha[r] = now == old ? 1.f : exp2v(splat(old - now))[0];
    m[r] = now;
    l[r] = l[r] * alpha[r] + hsum(sum);
  }
}

void prob_rows(float* s, int64_t ld, int64_t rows, int64_t width, const int32_t* lo, const int32_t* hi, const float* lse2) {
  for (int64_t r = 0; r < rows; ++r) {
    float* x = s + r * ld;
    vf shift = splat(lse2[r]);
    bool partial = lo[r] > 0 || hi[r] < width;
    for (int64_t c = 0; c < width; c += W) {
      vf p = exp2v(load(x + c) - shift);
      store(x + c, partial ? masked(p, c, lo[r], hi[r], 0.f) : p);
    }
  }
}

void dscore_rows(const float* p, float* dp, int64_t ld, int64_t rows, int64_t width, const float* delta) {
  for (int64_t r = 0; r < rows; ++r) {
    vf d = splat(delta[r]);
    for (int64_t c = 0; c < width; c += W) store(dp + r * ld + c, load(p + r * ld + c) * (load(dp + r * ld + c) - d));
  }
}

void merge_rows(float* o, int64_t ldo, const int32_t* at, const float* alpha, const float* x, int64_t ldx, int64_t rows,
                int64_t cols) {
  for (int64_t r = 0; r < rows; ++r) {
    float* y = o + (at ? at[r] : r) * ldo;
    const float* from = x + r * ldx;
    vf f = splat(alpha ? alpha[r] : 1.f);
    for (int64_t c = 0; c < cols; c += W) store(y + c, fma(load(y + c), f, load(from + c)));
  }
}

void scale_rows(float* o, int64_t ldo, const float* alpha, int64_t rows, int64_t cols) {
  for (int64_t r = 0; r < rows; ++r) {
    if (alpha[r] == 1.f) continue;
    vf f = splat(alpha[r]);
    for (int64_t c = 0; c < cols; c += W) store(o + r * ldo + c, load(o + r * ldo + c) * f);
  }
}

void gather_rows(const float* x, int64_t ldx, const int32_t* at, float* y, int64_t ldy, int64_t rows, int64_t cols) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < cols; c += W) store(y + r * ldy + c, load(x + at[r] * ldx + c));
}

void dot_rows(const float* a, int64_t lda, const float* b, int64_t ldb, int64_t rows, int64_t cols, float* out) {
  for (int64_t r = 0; r < rows; ++r) {
    vf sum = {};
    for (int64_t c = 0; c < cols; c += W) sum = fma(load(a + r * lda + c), load(b + r * ldb + c), sum);
    out[r] = hsum(sum);
  }
}

// Four heads at a time share the loads of a key.
void score_rows(const float* q, int64_t ldq, int64_t heads, const float* k, int64_t ldk, int64_t keys, int64_t cols, float* s,
                int64_t lds) {
  int64_t g = 0;
  for (; g + 4 <= heads; g += 4)
    for (int64_t j = 0; j < keys; ++j) {
      vf sum[4] = {};
      for (int64_t c = 0; c < cols; c += W) {
        vf key = load(k + j * ldk + c);
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) sum[i] = fma(load(q + (g + i) * ldq + c), key, sum[i]);
      }
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) s[(g + i) * lds + j] = hsum(sum[i]);
    }
  for (; g < heads; ++g)
    for (int64_t j = 0; j < keys; ++j) {
      vf sum = {};
      for (int64_t c = 0; c < cols; c += W) sum = fma(load(q + g * ldq + c), load(k + j * ldk + c), sum);
      s[g * lds + j] = hsum(sum);
    }
}

void add(const float* x, float* y, int64_t n) {
  for (int64_t i = 0; i < n; i += W) store(y + i, load(x + i) + load(y + i));
}

}  // namespace

extern const AttnKernels kAttn;
const AttnKernels kAttn = {gemm,       softmax_rows, prob_rows, dscore_rows, merge_rows,
                           scale_rows, gather_rows,  dot_rows,  score_rows,  add};

}  // namespace nsa::cpu::NSA_ISA
