// sample: Gumbel-max sampling by token id after top-k, min-p and top-p. p is the full-vocabulary softmax throughout.
#include <algorithm>
#include <vector>

#include "nsa/philox.h"
#include "reference/common.h"
#include "reference/families.h"

namespace nsa::ref {
namespace {

int sample(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_sample_params*>(params);
  if (p.logits.numel < p.b * p.v || p.params.numel < p.b * 4 || p.v < 1) return NSA_BAD_ARGUMENT;
  std::vector<double> logp(size_t(p.v));
  std::vector<int64_t> order(size_t(p.v));
  for (int64_t row = 0; row < p.b; ++row) {
    double temperature = get(p.params, row * 4), top_p = get(p.params, row * 4 + 1), min_p = get(p.params, row * 4 + 2);
    auto top_k = int64_t(get(p.params, row * 4 + 3));
    double scale = temperature > 0 ? 1 / temperature : 1;

    for (int64_t j = 0; j < p.v; ++j) {
      logp[size_t(j)] = get(p.logits, row * p.v + j) * scale;
      order[size_t(j)] = j;
    }
    double top = *std::max_element(logp.begin(), logp.end()), sum = 0;
    for (double z : logp) sum += std::exp(z - top);
    for (double& z : logp) z -= top + std::log(sum);

    // Highest p first, ties to the lower id.
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return logp[size_t(a)] > logp[size_t(b)]; });
    size_t kept = order.size();
    if (temperature == 0) kept = 1;
    if (top_k > 0) kept = std::min(kept, size_t(top_k));
    if (min_p > 0)
      while (kept > 1 && logp[size_t(order[kept - 1])] < std::log(min_p) + logp[size_t(order[0])]) --kept;
    double mass = 0;
    for (size_t i = 0; i < kept; ++i) {
      mass += std::exp(logp[size_t(order[i])]);
      if (top_p < 1 && mass >= top_p) kept = i + 1;
    }

    int64_t best = order[0];
    double best_score = -std::numeric_limits<double>::infinity();
    std::sort(order.begin(), order.begin() + int64_t(kept));
    for (size_t i = 0; i < kept; ++i) {
      int64_t j = order[i];
      Philox words = philox(uint64_t(static_cast<const int64_t*>(p.seeds.ptr)[row]), kStreamSample,
                            uint32_t(index(p.request, row)), uint32_t(index(p.position, row)), uint32_t(j / 4));
      double gumbel = -std::log(-std::log(philox_uniform(words.word[j % 4])));
      if (logp[size_t(j)] + gumbel > best_score) {
        best = j;
        best_score = logp[size_t(j)] + gumbel;
      }
    }
    set(p.ids, row, double(best));
    set(p.logp, row, logp[size_t(best)]);
    set(p.kept_logmass, row, int64_t(kept) == p.v ? 0 : std::log(mass));
  }
  return NSA_OK;
}

}  // namespace

void register_sample(NsaOpFn* ops) { ops[NSA_OP_sample] = sample; }

}  // namespace nsa::ref
