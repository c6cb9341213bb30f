// The inner loops of attention on the CPU, compiled once per ISA: small matrix products, softmax rows, row gathers.
//
// All operands are f32 tiles in scratch memory; widths (cols, width) are multiples of 16 and padded with zeros.
// Scores are in log2 units: queries are packed with scale·log2(e), so p = 2^(s − m).
// Every element is computed by the same sequence of operations whatever the number of rows: results do not depend on tiling
// of rows or on threads.
#pragma once
#include <cstdint>

namespace nsa::cpu {

struct AttnKernels {
  // C[m,n] (+)= A·B with A(i,k) = a[i·rs + k·cs] and B, C row-major; n a multiple of 16.
  void (*gemm)(int64_t m, int64_t n, int64_t k, const float* a, int64_t rs, int64_t cs, const float* b, int64_t ldb, float* c,
               int64_t ldc, bool accumulate);
  // One step of the online softmax on rows of s: columns outside [lo, hi) are masked; s becomes p = 2^(s − m), m and l are
  // updated, alpha is the factor for what was summed before (0 at first, 1 when m stays).
  void (*softmax_rows)(float* s, int64_t ld, int64_t rows, int64_t width, const int32_t* lo, const int32_t* hi, float* m,
                       float* l, float* alpha);
  // s becomes p = 2^(s − lse2[row]) inside [lo, hi), 0 outside.
  void (*prob_rows)(float* s, int64_t ld, int64_t rows, int64_t width, const int32_t* lo, const int32_t* hi, const float* lse2);
  // dp becomes ds = p·(dp − delta[row]).
  void (*dscore_rows)(const float* p, float* dp, int64_t ld, int64_t rows, int64_t width, const float* delta);
  // o[at[r]] = alpha[r]·o[at[r]] + x[r]; at null: row r; alpha null: 1.
  void (*merge_rows)(float* o, int64_t ldo, const int32_t* at, const float* alpha, const float* x, int64_t ldx, int64_t rows,
                     int64_t cols);
  // o[r] *= alpha[r].
  void (*scale_rows)(float* o, int64_t ldo, const float* alpha, int64_t rows, int64_t cols);
  // y[r] = x[at[r]].
  void (*gather_rows)(const float* x, int64_t ldx, const int32_t* at, float* y, int64_t ldy, int64_t rows, int64_t cols);
  // out[r] = Σ_c a[r,c]·b[r,c].
  void (*dot_rows)(const float* a, int64_t lda, const float* b, int64_t ldb, int64_t rows, int64_t cols, float* out);
  // s[g,j] = Σ_c q[g,c]·k[j,c] for keys stored by row.
  void (*score_rows)(const float* q, int64_t ldq, int64_t heads, const float* k, int64_t ldk, int64_t keys, int64_t cols,
                     float* s, int64_t lds);
  // y[i] += x[i]; n a multiple of 16.
  void (*add)(const float* x, float* y, int64_t n);
};

// The best set for this machine.
const AttnKernels& attn_kernels();

namespace avx512 {
extern const AttnKernels kAttn;
}
namespace avx2 {
extern const AttnKernels kAttn;
}
namespace baseline {
extern const AttnKernels kAttn;
}

}  // namespace nsa::cpu
