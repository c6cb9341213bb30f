// Vector math of the CPU backend on f32 spans, compiled once per ISA, and the register tile of the matrix product.
//
// Every element is computed by the same sequence of operations wherever it lies in a span, and sums have a fixed order:
// results do not depend on threads or on other rows.
#pragma once
#include <cstdint>

namespace nsa::cpu {

// Distance of the rows of a packed A, in 32-bit words: no power of two, so that rows fall into different cache sets.
constexpr int64_t kPackedRow = 272;

struct AdamStep {
  float lr, beta1, beta2, rest1, rest2, eps, decay, clip, correct_m, correct_v;  // rest = 1 − beta, correct = 1/(1 − beta^step)
};

struct VecKernels {
  // The register tile: mr rows by nr columns.
  int64_t mr, nr;
  // c[rows, nr] (+)= a·b with b packed [k][nr] and a packed [k][mr], or as rows of kPackedRow floats; rows <= mr. Sums over k
  // in order, the same bits from both layouts.
  void (*gemm_tile)(int64_t rows, int64_t k, const float* a, bool a_by_rows, const float* b, float* c, int64_t ldc, bool accumulate);
  // dst[l·width + j] = src[j·ld + l] for j < count, 0 for count <= j < width.
  void (*pack_transposed)(const float* src, int64_t ld, int64_t count, int64_t k, float* dst, int64_t width);
  void (*from_bf16)(const uint16_t* x, float* y, int64_t n);
  void (*to_bf16)(const float* x, uint16_t* y, int64_t n);
  // y = alpha·a + beta·b.
  void (*axpby)(const float* a, const float* b, float* y, float alpha, float beta, int64_t n);
  // Kinds of nsa/ops.h.
  void (*unary)(int64_t kind, const float* x, float* y, int64_t n);
  void (*unary_bwd)(int64_t kind, const float* x, const float* y, const float* dy, float* dx, int64_t n);
  void (*binary)(int64_t kind, const float* a, const float* b, float* y, int64_t n);
  void (*binary_scalar)(int64_t kind, const float* a, float b, float* y, int64_t n);
  double (*sum)(const float* x, int64_t n);
  double (*sum_squares)(const float* x, int64_t n);
  float (*max)(const float* x, int64_t n);
  // Σ a·b: sixteen lanes folded by halves, the same bits on every ISA.
  float (*dot)(const float* a, const float* b, int64_t n);
  // Σ a·b·c.
  float (*dot3)(const float* a, const float* b, const float* c, int64_t n);
  // y = x·s·w.
  void (*scale_mul)(const float* x, float s, const float* w, float* y, int64_t n);
  // With x̂ = x·rstd: dx (+)= rstd·(dy·w − x̂·mean), dw += dy·x̂.
  void (*norm_bwd)(const float* dy, const float* x, const float* w, float rstd, float mean, bool accumulate, float* dx, float* dw,
                   int64_t n);
  // (a, b) turned by the angle: ya = a·cos − sign·b·sin, yb = b·cos + sign·a·sin.
  void (*rotate)(const float* a, const float* b, const float* cos, const float* sin, float sign, float* ya, float* yb, int64_t n);
  void (*swiglu)(const float* g, const float* u, float* y, int64_t n);
  void (*swiglu_bwd)(const float* dy, const float* g, const float* u, float* dg, float* du, int64_t n);
  // sums[0] = Σ e^(z − top), sums[1] = Σ (z − top)·e^(z − top).
  void (*softmax_sums)(const float* z, float top, double* sums, int64_t n);
  // y = e^(x − shift).
  void (*exp_shifted)(const float* x, float shift, float* y, int64_t n);
  // z becomes p·(a − b·(log p + entropy)) with log p = z − lse.
  void (*lm_head_slope)(float* z, float lse, float entropy, float a, float b, int64_t n);
  // One AdamW step on f32 moments in m and v.
  void (*adamw)(const AdamStep& s, float* p, const float* g, float* m, float* v, int64_t n);
};

// The best set for this machine.
const VecKernels& vec();

namespace avx512 {
extern const VecKernels kVec;
}
namespace avx2 {
extern const VecKernels kVec;
}
namespace baseline {
extern const VecKernels kVec;
}

}  // namespace nsa::cpu
