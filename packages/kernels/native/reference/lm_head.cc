// lm_head_fwd, lm_head_bwd: log-probabilities, logsumexp and entropy of softmax(inv_temperature·h·Wᵀ) at the targets.
#include <algorithm>
#include <vector>

#include "reference/common.h"
#include "reference/families.h"
#include "reference/lm_head.h"

namespace nsa::ref {
namespace {

// z[j] = inv_temperature·h[row]·w[j].
void logits_of(const NsaBuf& h, const NsaBuf& w, int64_t row, int64_t d, int64_t v, double inv_temperature, double* z) {
  std::vector<double> x(static_cast<size_t>(d));
  for (int64_t c = 0; c < d; ++c) x[size_t(c)] = get(h, row * d + c);
  for (int64_t j = 0; j < v; ++j) {
    double sum = 0;
    for (int64_t c = 0; c < d; ++c) sum += x[size_t(c)] * get(w, j * d + c);
    z[j] = inv_temperature * sum;
  }
}

int bwd(void*, const void* params);

int fwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_lm_head_fwd_params*>(params);
  if (p.dlogp.ptr && !p.dh.ptr) return NSA_BAD_ARGUMENT;
  std::vector<double> z(size_t(p.v));
  for (int64_t r = 0; r < p.n; ++r) {
    logits_of(p.h, p.w, r, p.d, p.v, p.inv_temperature, z.data());
    double top = *std::max_element(z.begin(), z.end()), sum = 0, mean = 0;
    for (double x : z) sum += std::exp(x - top);
    double lse = top + std::log(sum);
    for (double x : z) mean += std::exp(x - lse) * x;
    int64_t target = index(p.targets, r);
    if (target >= p.v) return NSA_BAD_ARGUMENT;
    set(p.logp, r, target < 0 ? 0 : z[size_t(target)] - lse);
    set(p.lse, r, lse);
    set(p.entropy, r, lse - mean);
    for (int64_t j = 0; p.logits.ptr && j < p.v; ++j) set(p.logits, r * p.v + j, z[size_t(j)]);
  }
  const Nsa_lm_head_bwd_params back = lm_head_known_slope(p);
  return p.dlogp.ptr ? bwd(ctx, &back) : NSA_OK;
}

int bwd(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_lm_head_bwd_params*>(params);
  auto optional = [](const NsaBuf& b, int64_t i) { return b.ptr ? get(b, i) : 0.0; };
  std::vector<double> z(size_t(p.v)), dh(size_t(p.d)), dw(p.dw.ptr ? size_t(p.v * p.d) : 0, 0.0);
  for (int64_t r = 0; r < p.n; ++r) {
    logits_of(p.h, p.w, r, p.d, p.v, p.inv_temperature, z.data());
    double dlogp = index(p.targets, r) < 0 ? 0 : optional(p.dlogp, r);
    double dlse = optional(p.dlse, r), dentropy = optional(p.dentropy, r);
    double lse = get(p.lse, r), entropy = get(p.entropy, r);
    std::fill(dh.begin(), dh.end(), 0.0);
    for (int64_t j = 0; j < p.v; ++j) {
      double logp_j = z[size_t(j)] - lse, p_j = std::exp(logp_j);
      double dz = dlogp * ((j == index(p.targets, r)) - p_j) + dlse * p_j - dentropy * p_j * (logp_j + entropy);
      for (int64_t c = 0; c < p.d; ++c) {
        dh[size_t(c)] += p.inv_temperature * dz * get(p.w, j * p.d + c);
        if (p.dw.ptr) dw[size_t(j * p.d + c)] += p.inv_temperature * dz * get(p.h, r * p.d + c);
      }
    }
    for (int64_t c = 0; c < p.d; ++c) set(p.dh, r * p.d + c, dh[size_t(c)]);
  }
  for (int64_t i = 0; p.dw.ptr && i < p.v * p.d; ++i) accumulate(p.dw, i, dw[size_t(i)]);
  return NSA_OK;
}

}  // namespace

void register_lm_head(NsaOpFn* ops) {
  ops[NSA_OP_lm_head_fwd] = fwd;
  ops[NSA_OP_lm_head_bwd] = bwd;
}

}  // namespace nsa::ref
