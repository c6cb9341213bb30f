// nsa_gate_fwd, nsa_gate_bwd: the sigmoid-gated sum of the three branches (NSA eq. 5).
#include "reference/common.h"
#include "reference/families.h"

namespace nsa::ref {
namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

int gate_fwd(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_gate_fwd_params*>(params);
  const NsaBuf* branch[3] = {&p.o_cmp, &p.o_slc, &p.o_win};
  for (int64_t t = 0; t < p.tokens; ++t)
    for (int64_t h = 0; h < p.hq; ++h)
      for (int64_t c = 0; c < p.dim_v; ++c) {
        int64_t at = (t * p.hq + h) * p.dim_v + c;
        double sum = 0;
        for (int b = 0; b < 3; ++b) sum += sigmoid(get(p.gate, t * p.ldg + h * 3 + b)) * get(*branch[b], at);
        set(p.o, at, sum);
      }
  return NSA_OK;
}

int gate_bwd(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_gate_bwd_params*>(params);
  const NsaBuf* branch[3] = {&p.o_cmp, &p.o_slc, &p.o_win};
  const NsaBuf* dbranch[3] = {&p.do_cmp, &p.do_slc, &p.do_win};
  for (int64_t t = 0; t < p.tokens; ++t)
    for (int64_t h = 0; h < p.hq; ++h) {
      double dgate[3] = {0, 0, 0}, delta[3] = {0, 0, 0};
      for (int64_t c = 0; c < p.dim_v; ++c) {
        int64_t at = (t * p.hq + h) * p.dim_v + c;
        double dy = get(p.do_, at);
        for (int b = 0; b < 3; ++b) {
          dgate[b] += dy * get(*branch[b], at);
          set(*dbranch[b], at, sigmoid(get(p.gate, t * p.ldg + h * 3 + b)) * dy);
          delta[b] += get(*dbranch[b], at) * get(*branch[b], at);
        }
      }
      for (int b = 0; b < 3; ++b) {
        double g = sigmoid(get(p.gate, t * p.ldg + h * 3 + b));
        set(p.dgate, t * p.ldg + h * 3 + b, dgate[b] * g * (1 - g));
        if (p.deltas.ptr) set(p.deltas, (b * p.tokens + t) * p.hq + h, delta[b]);
      }
    }
  return NSA_OK;
}

}  // namespace

void register_nsa_gate(NsaOpFn* ops) {
  ops[NSA_OP_nsa_gate_fwd] = gate_fwd;
  ops[NSA_OP_nsa_gate_bwd] = gate_bwd;
}

}  // namespace nsa::ref
