// Matrix product of the CPU backend for other ops: C = alpha·op(A)·op(B) + beta·C (+ bias) (+ residual).
#pragma once
#include "cpu/context.h"

namespace nsa::cpu {

struct GemmArgs {
  int64_t m, n, k;
  const void* a;
  int32_t a_dtype;
  int64_t lda;
  bool trans_a;
  const void* b;
  int32_t b_dtype;
  int64_t ldb;
  bool trans_b;
  void* c;
  int32_t c_dtype;
  int64_t ldc;
  float alpha = 1, beta = 0;
  NsaBuf bias{}, residual{};
};

// f32 or bf16 operands, f32 sums in order of k: an element's bits depend neither on m nor on the number of threads.
int gemm(void* ctx, const GemmArgs& args);

}  // namespace nsa::cpu
