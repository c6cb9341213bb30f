// The op families of the reference backend; each is one .cc file that fills its rows of the table.
#pragma once
#include "nsa/abi.h"

#define NSA_REFERENCE_FAMILIES(F) F(elementwise) F(reduce) F(rows) F(matmul) F(norm) F(mlp) F(lm_head) F(random) F(optim) F(sample) \
  F(flash) F(nsa_compress) F(nsa_select) F(nsa_selected) F(nsa_gate) F(decode)

namespace nsa::ref {
#define NSA_DECLARE_FAMILY(family) void register_##family(NsaOpFn* ops);
NSA_REFERENCE_FAMILIES(NSA_DECLARE_FAMILY)
#undef NSA_DECLARE_FAMILY
}  // namespace nsa::ref
