// A forward of lm_head that is given dlogp ends with this backward.
#pragma once
#include "nsa/abi.h"

namespace nsa {

inline Nsa_lm_head_bwd_params lm_head_known_slope(const Nsa_lm_head_fwd_params& p) {
  return {p.h, p.w, p.targets, p.lse, p.entropy, p.logits, p.dlogp, {}, {}, p.dh, p.dw, p.n, p.d, p.v, p.inv_temperature};
}

}  // namespace nsa
