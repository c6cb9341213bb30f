// adamw and philox_normal on the CPU, in blocks of elements.
#include <cmath>

#include "cpu/families.h"
#include "cpu/spans.h"
#include "nsa/philox.h"

namespace nsa::cpu {
namespace {

uint16_t round_stochastically(float f, uint32_t random) {
  uint32_t u;
  std::memcpy(&u, &f, 4);
  uint16_t nearest;
  vec().to_bf16(&f, &nearest, 1);
  return (u & 0x7f800000u) == 0x7f800000u ? nearest : uint16_t((u + (random & 0xffffu)) >> 16);
}

// Rounding bits as in the reference: words 2·(i mod 2) for m and the next for v, of Philox(seed; rounding, step, i/2).
void store_moments(const Nsa_adamw_params& p, int64_t at, int64_t n, uint32_t step, const float* m, const float* v) {
  Philox bits{};
  for (int64_t i = at; i < at + n; ++i) {
    auto pair = uint64_t(i / 2);
    if (i % 2 == 0 || i == at)
      bits = philox(uint64_t(p.seed), kStreamRounding, step, uint32_t(pair), uint32_t(pair >> 32));
    if (p.m.dtype == NSA_BF16) static_cast<uint16_t*>(p.m.ptr)[i] = round_stochastically(m[i - at], bits.word[2 * (i % 2)]);
    if (p.v.dtype == NSA_BF16) static_cast<uint16_t*>(p.v.ptr)[i] = round_stochastically(v[i - at], bits.word[2 * (i % 2) + 1]);
  }
}

int adamw(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_adamw_params*>(params);
  if (p.p.dtype != NSA_F32 || p.state.dtype != NSA_F32 || !all_float(p.g, p.m, p.v, p.p_low))
    return reference(NSA_OP_adamw, ctx, params);
  if (p.g.numel != p.p.numel || p.m.numel != p.p.numel || p.v.numel != p.p.numel || p.state.numel < 5) return NSA_BAD_ARGUMENT;
  const float* state = static_cast<const float*>(p.state.ptr);
  if (state[3] != 0) return NSA_OK;
  AdamStep step{float(state[0] * p.lr_mult),
                float(p.beta1),
                float(p.beta2),
                float(1 - p.beta1),
                float(1 - p.beta2),
                float(p.eps),
                float(p.weight_decay),
                state[2],
                float(1 / (1 - std::pow(p.beta1, double(state[1])))),
                float(1 / (1 - std::pow(p.beta2, double(state[1]))))};
  for_blocks(ctx, p.p.numel, [&](int64_t at, int64_t n) {
    float g[kBlock], m_tmp[kBlock], v_tmp[kBlock];
    float *w = static_cast<float*>(p.p.ptr) + at, *m = write_span(p.m, at, m_tmp), *v = write_span(p.v, at, v_tmp);
    read_span(p.m, at, n, m_tmp);
    read_span(p.v, at, n, v_tmp);
    vec().adamw(step, w, read_span(p.g, at, n, g), m, v, n);
    if (p.m.dtype == NSA_BF16 || p.v.dtype == NSA_BF16) store_moments(p, at, n, uint32_t(state[1]), m, v);
    if (p.p_low.ptr && p.p_low.dtype == NSA_BF16) store_span(p.p_low, at, n, w);
    if (p.p_low.ptr && p.p_low.dtype == NSA_F32) std::memcpy(static_cast<float*>(p.p_low.ptr) + at, w, size_t(n) * 4);
  });
  return NSA_OK;
}

int normal(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_philox_normal_params*>(params);
  if (!all_float(p.x)) return reference(NSA_OP_philox_normal, ctx, params);
  const double two_pi = 6.283185307179586476925;
  for_blocks(ctx, p.x.numel, [&](int64_t at, int64_t n) {
    float tmp[kBlock + 1];
    for (int64_t i = 0; i < n; i += 2) {
      auto pair = uint64_t((at + i) / 2);
      Philox words = philox(uint64_t(p.seed), uint32_t(p.stream), uint32_t(p.step), uint32_t(pair), uint32_t(pair >> 32));
      double r = std::sqrt(-2 * std::log(philox_uniform(words.word[0]))), angle = two_pi * philox_uniform(words.word[1]);
      tmp[i] = float(p.mean + p.std * r * std::cos(angle));
      tmp[i + 1] = float(p.mean + p.std * r * std::sin(angle));
    }
    if (p.x.dtype == NSA_F32) std::memcpy(static_cast<float*>(p.x.ptr) + at, tmp, size_t(n) * 4);
    store_span(p.x, at, n, tmp);
  });
  return NSA_OK;
}

}  // namespace

void register_optim(NsaOpFn* ops) {
  ops[NSA_OP_adamw] = adamw;
  ops[NSA_OP_philox_normal] = normal;
}

}  // namespace nsa::cpu
