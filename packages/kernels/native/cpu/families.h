// The op families of the CPU backend; each is one .cc file that overrides its rows of the table.
#pragma once
#include "nsa/abi.h"

#define NSA_CPU_FAMILIES(F) \
  F(flash) F(nsa_compress) F(nsa_select) F(nsa_selected) F(nsa_gate) F(decode) F(paged_attn) \
  F(elementwise) F(reduce) F(rows) F(matmul) F(norm) F(mlp) F(lm_head) F(optim) F(sample)

namespace nsa::cpu {
#define NSA_DECLARE_FAMILY(family) void register_##family(NsaOpFn* ops);
NSA_CPU_FAMILIES(NSA_DECLARE_FAMILY)
#undef NSA_DECLARE_FAMILY
}  // namespace nsa::cpu
