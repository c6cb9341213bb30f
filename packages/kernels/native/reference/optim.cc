// optim_prepare, adamw: gradient clipping and decoupled AdamW (Loshchilov and Hutter, 2019).
#include <algorithm>

#include "nsa/philox.h"
#include "reference/common.h"
#include "reference/families.h"

namespace nsa::ref {
namespace {

int prepare(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_optim_prepare_params*>(params);
  if (p.state.numel < 6) return NSA_BAD_ARGUMENT;
  double norm = std::sqrt(get(p.sumsq, 0)) * p.grad_scale;
  double clip = p.max_norm > 0 ? std::min(1.0, p.max_norm / (norm + 1e-6)) : 1.0;
  set(p.state, 2, p.grad_scale * clip);
  bool finite = std::isfinite(norm);
  for (int64_t i = 0; p.losses.ptr && i < p.losses.numel; ++i) finite = finite && std::isfinite(get(p.losses, i));
  double limit = get(p.state, 5);
  set(p.state, 3, !finite ? 1 : limit > 0 && norm > limit ? 2 : 0);
  set(p.state, 4, norm);
  return NSA_OK;
}

// Truncates to bf16 after adding 16 random bits below the last kept one: unbiased.
uint16_t round_stochastically(float f, uint32_t random) {
  uint32_t u;
  std::memcpy(&u, &f, 4);
  if ((u & 0x7f800000u) == 0x7f800000u) return float_to_bf16(f);
  return uint16_t((u + (random & 0xffffu)) >> 16);
}

void set_moment(const NsaBuf& b, int64_t i, double v, uint32_t random) {
  if (b.dtype == NSA_BF16)
    static_cast<uint16_t*>(b.ptr)[i] = round_stochastically(float(v), random);
  else
    set(b, i, v);
}

// Rounding bits of element i: words 2·(i mod 2) for m and the next one for v, of
// Philox(seed; rounding, step, i/2 lo, i/2 hi).
int adamw(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_adamw_params*>(params);
  if (p.g.numel != p.p.numel || p.m.numel != p.p.numel || p.v.numel != p.p.numel || p.state.numel < 5) return NSA_BAD_ARGUMENT;
  if (get(p.state, 3) != 0) return NSA_OK;
  double lr = get(p.state, 0) * p.lr_mult, step = get(p.state, 1), clip = get(p.state, 2);
  double correct_m = 1 - std::pow(p.beta1, step), correct_v = 1 - std::pow(p.beta2, step);
  for (int64_t i = 0; i < p.p.numel; ++i) {
    double g = get(p.g, i) * clip, w = get(p.p, i);
    double m = p.beta1 * get(p.m, i) + (1 - p.beta1) * g;
    double v = p.beta2 * get(p.v, i) + (1 - p.beta2) * g * g;
    w -= lr * (m / correct_m / (std::sqrt(v / correct_v) + p.eps) + p.weight_decay * w);
    auto pair = uint64_t(i / 2);
    Philox bits = philox(uint64_t(p.seed), kStreamRounding, uint32_t(step), uint32_t(pair), uint32_t(pair >> 32));
    set_moment(p.m, i, m, bits.word[2 * (i % 2)]);
    set_moment(p.v, i, v, bits.word[2 * (i % 2) + 1]);
    set(p.p, i, w);
    if (p.p_low.ptr) set(p.p_low, i, w);
  }
  return NSA_OK;
}

}  // namespace

void register_optim(NsaOpFn* ops) {
  ops[NSA_OP_optim_prepare] = prepare;
  ops[NSA_OP_adamw] = adamw;
}

}  // namespace nsa::ref
