// gemm in the manner of BLAS; see gemm.h. The product itself is matmul.
#include "cpu/gemm.h"

#include "cpu/matmul.h"

namespace nsa::cpu {

int gemm(void* ctx, const GemmArgs& g) {
  auto buf = [](const void* p, int32_t dtype) { return NsaBuf{const_cast<void*>(p), 0, dtype, 0}; };
  MatmulSide a{buf(g.a, g.a_dtype), 0, g.trans_a ? 1 : g.lda, g.trans_a ? g.lda : 1};
  MatmulSide b{buf(g.b, g.b_dtype), 0, g.trans_b ? g.ldb : 1, g.trans_b ? 1 : g.ldb};
  return matmul(ctx, g.m, g.n, g.k, a, b, {buf(g.c, g.c_dtype), 0, g.ldc, g.alpha, g.beta, g.bias, g.residual});
}

}  // namespace nsa::cpu
