// Block scores and the choice of blocks for one query (NSA eq. 8-12), shared by training and decode.
#pragma once
#include <algorithm>
#include <vector>

#include "reference/common.h"

namespace nsa::ref {

struct SelectionRule {
  int64_t block_size, stride, selection_block_size, num_selected, num_init, num_local;
};

// Eq. 9, 0-based: p_slc[J] = Σ_{m < l'/d} Σ_{n < l/d} p_cmp[(l'/d)·J + m − n]; absent blocks count 0.
inline double block_score(const std::vector<double>& p_cmp, int64_t block, const SelectionRule& r) {
  int64_t per_selection = r.selection_block_size / r.stride, per_block = r.block_size / r.stride;
  double sum = 0;
  for (int64_t m = 0; m < per_selection; ++m)
    for (int64_t n = 0; n < per_block; ++n) {
      int64_t i = per_selection * block + m - n;
      if (i >= 0 && i < int64_t(p_cmp.size())) sum += p_cmp[i];
    }
  return sum;
}

// The top-n of scores[0 .. t/l'], forced blocks first, ties to the lower index; ascending, padded with −1.
inline std::vector<int64_t> choose_blocks(std::vector<double> scores, const SelectionRule& r) {
  int64_t n = int64_t(scores.size());
  std::vector<int64_t> chosen(n);
  for (int64_t j = 0; j < n; ++j) {
    chosen[j] = j;
    if (j < r.num_init || j >= n - r.num_local) scores[j] = std::numeric_limits<double>::infinity();
  }
  std::stable_sort(chosen.begin(), chosen.end(), [&](int64_t a, int64_t b) { return scores[a] > scores[b]; });
  chosen.resize(std::min(n, r.num_selected));
  std::sort(chosen.begin(), chosen.end());
  chosen.resize(r.num_selected, -1);
  return chosen;
}

}  // namespace nsa::ref
