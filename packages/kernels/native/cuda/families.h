// The op families of the CUDA backend; each is one .cu file that fills its rows of the table.
#pragma once
#include <cuda_runtime.h>

#include "nsa/abi.h"

#define NSA_CUDA_FAMILIES(F) \
  F(elementwise) F(reduce) F(rows) F(matmul) F(norm) F(mlp) F(lm_head) F(optim) F(sample) F(flash) F(paged_attn) \
  F(nsa_gate) F(nsa_compress) F(nsa_select) F(nsa_selected) F(decode) F(nsa_decode)

namespace nsa::cuda {
#define NSA_DECLARE_FAMILY(family) void register_##family(NsaOpFn* ops);
NSA_CUDA_FAMILIES(NSA_DECLARE_FAMILY)
#undef NSA_DECLARE_FAMILY
}  // namespace nsa::cuda
