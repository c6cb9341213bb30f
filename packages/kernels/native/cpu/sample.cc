// sample on the CPU: one row per task, so a row's draw does not depend on the batch.
#include <cmath>
#include <limits>

#include "cpu/families.h"
#include "cpu/spans.h"
#include "nsa/philox.h"

namespace nsa::cpu {
namespace {

struct Filters {
  double top_p, min_p;
  int64_t top_k;
};

struct Kept {
  std::vector<int32_t> ids;
  double mass = 0;
};

// The kept set, in no order. Ranks are by falling z, ties to the lower id; p = e/sum.
Kept keep(const float* z, const float* e, int64_t v, double sum, const Filters& f) {
  auto before = [z](int32_t a, int32_t b) { return z[a] > z[b] || (z[a] == z[b] && a < b); };
  Kept kept;
  auto& ids = kept.ids;
  float lowest = -std::numeric_limits<float>::infinity();
  size_t limit = f.top_k > 0 ? std::min(size_t(v), size_t(f.top_k)) : size_t(v);
  int64_t first = std::max_element(z, z + v) - z;
  double threshold = f.min_p > 0 ? std::log(f.min_p) + double(z[first]) : double(lowest);
  ids.reserve(static_cast<size_t>(v));
  for (int64_t j = 0; j < v; ++j)
    if (j == first || double(z[j]) >= threshold) ids.push_back(int32_t(j));
  if (limit < ids.size()) {
    std::nth_element(ids.begin(), ids.begin() + int64_t(limit) - 1, ids.end(), before);
    ids.resize(limit);
  }
  auto mass_of = [&](size_t from, size_t to) {
    double mass = 0;
    for (size_t i = from; i < to; ++i) mass += e[ids[i]] / sum;
    return mass;
  };
  if (f.top_p >= 1) {
    kept.mass = mass_of(0, ids.size());
    return kept;
  }
  // The shortest prefix of the ranking with enough mass, by halving: what lies before `low` is in, after `high` is out.
  size_t low = 0, high = ids.size();
  while (high - low > 32) {
    size_t middle = low + (high - low) / 2;
    std::nth_element(ids.begin() + int64_t(low), ids.begin() + int64_t(middle), ids.begin() + int64_t(high), before);
    double part = mass_of(low, middle);
    if (kept.mass + part >= f.top_p) {
      high = middle;
    } else {
      kept.mass += part;
      low = middle;
    }
  }
  std::sort(ids.begin() + int64_t(low), ids.begin() + int64_t(high), before);
  while (low < high && (low == 0 || kept.mass < f.top_p)) kept.mass += mass_of(low, low + 1), ++low;
  ids.resize(low);
  return kept;
}

// The best of the candidates offered so far by z + noise. A word that cannot win is seen without its logarithms:
// z + g > best needs 1 − u < e^(z − best).
class Race {
 public:
  Race(const Nsa_sample_params& p, int64_t row, const float* z, const float* e, float top)
      : z_(z), e_(e), top_(top), key_(uint64_t(static_cast<const int64_t*>(p.seeds.ptr)[row])),
        request_(uint32_t(index_at(p.request, row))), position_(uint32_t(index_at(p.position, row))) {}

  Philox words(int64_t j) const { return philox(key_, kStreamSample, request_, position_, uint32_t(j / 4)); }

  void offer(int64_t j, uint32_t word) {
    double u = philox_uniform(word);
    if (best_ >= 0 && 1 - u > double(e_[j]) * reach_) return;
    double score = double(z_[j]) - std::log(-std::log(u));
    if (best_ < 0 || score > score_ || (score == score_ && j < best_)) {
      best_ = j;
      score_ = score;
      reach_ = 1.0001 * std::exp(double(top_) - score) + 1e-30;
    }
  }
  int64_t best() const { return best_; }

 private:
  const float *z_, *e_;
  float top_;
  uint64_t key_;
  uint32_t request_, position_;
  int64_t best_ = -1;
  double score_ = 0, reach_ = 0;
};

void sample_row(const Nsa_sample_params& p, int64_t row, std::vector<float>& z, std::vector<float>& e) {
  const float* settings = static_cast<const float*>(p.params.ptr) + row * 4;
  float temperature = settings[0];
  Filters f{settings[1], settings[2], temperature > 0 ? int64_t(settings[3]) : 1};
  const float* logits = read_span(p.logits, row * p.v, p.v, z.data());
  vec().binary_scalar(2, logits, temperature > 0 ? float(1.0 / double(temperature)) : 1.f, z.data(), p.v);
  float top = vec().max(z.data(), p.v);
  vec().exp_shifted(z.data(), top, e.data(), p.v);
  double sum = vec().sum(e.data(), p.v), lse = double(top) + std::log(sum);

  Race race(p, row, z.data(), e.data(), top);
  double kept_logmass = 0;
  if (f.top_k > 0 || f.min_p > 0 || f.top_p < 1) {
    Kept kept = keep(z.data(), e.data(), p.v, sum, f);
    for (int32_t j : kept.ids) race.offer(j, race.words(j).word[j % 4]);
    kept_logmass = std::log(kept.mass);
  } else {
    for (int64_t j = 0; j < p.v; j += 4) {
      Philox words = race.words(j);
      for (int64_t i = 0; i < std::min<int64_t>(4, p.v - j); ++i) race.offer(j + i, words.word[i]);
    }
  }
  int64_t best = race.best();
  static_cast<int32_t*>(p.ids.ptr)[row] = int32_t(best);
  static_cast<float*>(p.logp.ptr)[row] = float(double(z[size_t(best)]) - lse);
  static_cast<float*>(p.kept_logmass.ptr)[row] = float(kept_logmass);
}

int sample(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_sample_params*>(params);
  if (!all_float(p.logits) || p.params.dtype != NSA_F32 || p.logp.dtype != NSA_F32 || p.kept_logmass.dtype != NSA_F32)
    return reference(NSA_OP_sample, ctx, params);
  if (p.logits.numel < p.b * p.v || p.params.numel < p.b * 4 || p.v < 1) return NSA_BAD_ARGUMENT;
  pool(ctx).parallel_for(p.b, [&](int64_t row) {
    std::vector<float> z(static_cast<size_t>(p.v)), e(static_cast<size_t>(p.v));
    sample_row(p, row, z, e);
  });
  return NSA_OK;
}

}  // namespace

void register_sample(NsaOpFn* ops) { ops[NSA_OP_sample] = sample; }

}  // namespace nsa::cpu
