// nsa_gate_fwd, nsa_gate_bwd on the CPU: the sigmoid-gated sum of the three branches (NSA eq. 5), one task per run of tokens.
#include "cpu/attn_tiles.h"
#include "cpu/families.h"

namespace nsa::cpu {
namespace {

constexpr int64_t kTokens = 64;

NsaOpFn reference_fwd, reference_bwd;

float sigmoid(float x) { return 1 / (1 + std::exp(-x)); }

int gate_fwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_gate_fwd_params*>(params);
  if (!all_fast(p.gate, p.o_cmp, p.o_slc, p.o_win, p.o)) return reference_fwd(ctx, params);
  const NsaBuf* branch[3] = {&p.o_cmp, &p.o_slc, &p.o_win};
  pool(ctx).parallel_for(ceil_div(p.tokens, kTokens), [&](int64_t task) {
    std::vector<float> gate(3 * p.hq), x(p.dim_v), sum(p.dim_v);
    for (int64_t t = task * kTokens; t < std::min(p.tokens, (task + 1) * kTokens); ++t) {
      load_row(p.gate, t * p.ldg, gate.data(), 3 * p.hq, 1.f);
      for (int64_t h = 0; h < p.hq; ++h) {
        const int64_t at = (t * p.hq + h) * p.dim_v;
        std::fill(sum.begin(), sum.end(), 0.f);
        for (int b = 0; b < 3; ++b) {
          load_row(*branch[b], at, x.data(), p.dim_v, sigmoid(gate[h * 3 + b]));
          for (int64_t c = 0; c < p.dim_v; ++c) sum[c] += x[c];
        }
        store_row(p.o, at, sum.data(), p.dim_v, 1.f, false);
      }
    }
  });
  return NSA_OK;
}

int gate_bwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_gate_bwd_params*>(params);
  if (!all_fast(p.do_, p.gate, p.o_cmp, p.o_slc, p.o_win, p.dgate, p.do_cmp, p.do_slc, p.do_win) || (p.deltas.ptr && p.deltas.dtype != NSA_F32))
    return reference_bwd(ctx, params);
  const AttnKernels& kernels = attn_kernels();
  const NsaBuf* branch[3] = {&p.o_cmp, &p.o_slc, &p.o_win};
  const NsaBuf* dbranch[3] = {&p.do_cmp, &p.do_slc, &p.do_win};
  const int64_t dv = padded(p.dim_v);
  pool(ctx).parallel_for(ceil_div(p.tokens, kTokens), [&](int64_t task) {
    std::vector<float> gate(3 * p.hq), dgate(3 * p.hq), x(dv, 0.f), dy(dv, 0.f), stored(dv, 0.f);
    for (int64_t t = task * kTokens; t < std::min(p.tokens, (task + 1) * kTokens); ++t) {
      load_row(p.gate, t * p.ldg, gate.data(), 3 * p.hq, 1.f);
      for (int64_t h = 0; h < p.hq; ++h) {
        const int64_t at = (t * p.hq + h) * p.dim_v;
        load_row(p.do_, at, dy.data(), p.dim_v, 1.f);
        for (int b = 0; b < 3; ++b) {
          const float g = sigmoid(gate[h * 3 + b]);
          float dot;
          load_row(*branch[b], at, x.data(), p.dim_v, 1.f);
          kernels.dot_rows(x.data(), dv, dy.data(), dv, 1, dv, &dot);
          dgate[h * 3 + b] = dot * g * (1 - g);
          store_row(*dbranch[b], at, dy.data(), p.dim_v, g, false);
          if (!p.deltas.ptr) continue;
          load_row(*dbranch[b], at, stored.data(), p.dim_v, 1.f);
          kernels.dot_rows(x.data(), dv, stored.data(), dv, 1, dv, static_cast<float*>(p.deltas.ptr) + (b * p.tokens + t) * p.hq + h);
        }
      }
      store_row(p.dgate, t * p.ldg, dgate.data(), 3 * p.hq, 1.f, false);
    }
  });
  return NSA_OK;
}

}  // namespace

void register_nsa_gate(NsaOpFn* ops) {
  reference_fwd = ops[NSA_OP_nsa_gate_fwd];
  reference_bwd = ops[NSA_OP_nsa_gate_bwd];
  ops[NSA_OP_nsa_gate_fwd] = gate_fwd;
  ops[NSA_OP_nsa_gate_bwd] = gate_bwd;
}

}  // namespace nsa::cpu
