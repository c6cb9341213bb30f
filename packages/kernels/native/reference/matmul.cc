// gemm: C = alpha·op(A)·op(B) + beta·C + bias + residual.
#include <vector>

#include "reference/common.h"
#include "reference/families.h"

namespace nsa::ref {
namespace {

// rows of x as doubles; the element (r, c) is stored at r·row_step + c·col_step.
std::vector<double> as_rows(const NsaBuf& x, int64_t rows, int64_t cols, int64_t row_step, int64_t col_step) {
  std::vector<double> out(size_t(rows * cols));
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < cols; ++c) out[size_t(r * cols + c)] = get(x, r * row_step + c * col_step);
  return out;
}

int gemm(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_gemm_params*>(params);
  if (p.c.numel < (p.m - 1) * p.ldc + p.n) return NSA_BAD_ARGUMENT;
  auto a_MK = p.trans_a ? as_rows(p.a, p.m, p.k, 1, p.lda) : as_rows(p.a, p.m, p.k, p.lda, 1);
  auto b_NK = p.trans_b ? as_rows(p.b, p.n, p.k, p.ldb, 1) : as_rows(p.b, p.n, p.k, 1, p.ldb);
  for (int64_t i = 0; i < p.m; ++i)
    for (int64_t j = 0; j < p.n; ++j) {
      const double *a = a_MK.data() + i * p.k, *b = b_NK.data() + j * p.k;
      double sum = 0;
      for (int64_t l = 0; l < p.k; ++l) sum += a[l] * b[l];
      int64_t at = i * p.ldc + j;
      double y = p.alpha * sum;
      if (p.beta != 0) y += p.beta * get(p.c, at);
      if (p.bias.ptr) y += get(p.bias, j);
      if (p.residual.ptr) y += get(p.residual, at);
      set(p.c, at, y);
    }
  return NSA_OK;
}

}  // namespace

void register_matmul(NsaOpFn* ops) { ops[NSA_OP_gemm] = gemm; }

}  // namespace nsa::ref
