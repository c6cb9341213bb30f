// philox_normal: normal numbers by Box-Muller on Philox words.
#include "nsa/philox.h"
#include "reference/common.h"
#include "reference/families.h"

namespace nsa::ref {
namespace {

int normal(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_philox_normal_params*>(params);
  const double two_pi = 6.283185307179586476925;
  for (int64_t i = 0; i < p.x.numel; i += 2) {
    auto pair = uint64_t(i / 2);
    Philox words = philox(uint64_t(p.seed), uint32_t(p.stream), uint32_t(p.step), uint32_t(pair), uint32_t(pair >> 32));
    double r = std::sqrt(-2 * std::log(philox_uniform(words.word[0]))), angle = two_pi * philox_uniform(words.word[1]);
    set(p.x, i, p.mean + p.std * r * std::cos(angle));
    if (i + 1 < p.x.numel) set(p.x, i + 1, p.mean + p.std * r * std::sin(angle));
  }
  return NSA_OK;
}

}  // namespace

void register_random(NsaOpFn* ops) { ops[NSA_OP_philox_normal] = normal; }

}  // namespace nsa::ref
