// Block scores and top-n for one query on the CPU (NSA eq. 8-12), shared by training and decode.
#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

namespace nsa::cpu {

struct Selector {
  int64_t block_size, stride, selection_block_size, num_selected, num_init, num_local;
  std::vector<float> scores, best;
  std::vector<int32_t> chosen;

  // p[0 .. visible) are the group-summed probabilities; writes idx[num_selected] for local token t.
  void choose(const float* p, int64_t visible, int64_t t, int32_t* idx) {
    const int64_t per_selection = selection_block_size / stride, per_block = block_size / stride;
    const int64_t candidates = t < 0 ? 0 : t / selection_block_size + 1;
    scores.assign(candidates, 0.f);
    // Compressed block i covers strides i .. i + l/d − 1; each adds p[i] to the selection block that holds it.
    for (int64_t j = 0; j < candidates; ++j) {
      const int64_t first = j * per_selection;
      float sum = 0;
      for (int64_t m = 0; m < per_selection; ++m)
        for (int64_t n = 0; n < per_block; ++n)
          if (int64_t i = first + m - n; i >= 0 && i < visible) sum += p[i];
      scores[j] = sum;
    }
    // A sorted list of the best so far; a later block must be strictly better to enter.
    best.clear();
    chosen.clear();
    const size_t n = size_t(num_selected);
    for (int64_t j = 0; j < candidates; ++j) {
      const bool forced = j < num_init || j >= candidates - num_local;
      const float s = forced ? std::numeric_limits<float>::infinity() : scores[j];
      if (best.size() == n && !(s > best.back())) continue;
      size_t at = best.size();
      while (at > 0 && s > best[at - 1]) --at;
      best.insert(best.begin() + int64_t(at), s);
      chosen.insert(chosen.begin() + int64_t(at), int32_t(j));
      if (best.size() > n) best.pop_back(), chosen.pop_back();
    }
    std::sort(chosen.begin(), chosen.end());
    for (size_t i = 0; i < n; ++i) idx[i] = i < chosen.size() ? chosen[i] : -1;
  }
};

}  // namespace nsa::cpu
