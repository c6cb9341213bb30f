// The n best blocks of a query, kept by a warp, one a lane: what the tensor-core kernels of block selection do with finished scores.
#pragma once
#include "cuda/nsa_select.h"

namespace nsa::cuda {

constexpr int kLanes = 32;

// The n best candidates of one query so far, one a lane: score bits (−1 none; lanes past n hold what is never the least) and index.
struct Kept {
  int score, index;
};

// Puts candidates base.. of `scores` among the kept; `filled` of n lanes are in use. Larger score first, then the lower index:
// what is kept already has lower indices, so only a larger score replaces it.
__device__ inline Kept merge(const SelectArgs& a, int* scores, Kept kept, int filled, int base, int count, int candidates, float* out) {
  const int lane = int(threadIdx.x) & 31, n = int(a.num_selected), segments = (count + kLanes - 1) / kLanes;
  int best = -1;  // of segment `lane`
  for (int s = 0; s < segments; ++s) {
    const int at = s * kLanes + lane, j = base + at;
    int bits = -1;
    if (at < count) {
      const float x = __int_as_float(scores[at]);
      if (out) out[j] = x;
      bits = __float_as_int(j < a.num_init || j >= candidates - a.num_local ? INFINITY : fmaxf(x, 0.f));
    }
    scores[at] = bits;
    const int most = __reduce_max_sync(~0u, bits);
    if (lane == s) best = most;
  }
  for (;;) {
    const int top = __reduce_max_sync(~0u, best);
    if (top < 0) break;
    int place = filled;
    if (filled < n) {
      ++filled;
    } else {
      const int least = __reduce_min_sync(~0u, kept.score);
      if (top <= least) break;
      const int victim = __reduce_max_sync(~0u, kept.score == least ? kept.index : -1);
      place = __ffs(__ballot_sync(~0u, kept.score == least && kept.index == victim)) - 1;
    }
    const int segment = __ffs(__ballot_sync(~0u, best == top)) - 1, at = segment * kLanes + lane;
    int bits = scores[at];
    const int hit = __ffs(__ballot_sync(~0u, bits == top)) - 1;
    if (lane == hit) scores[at] = bits = -1;
    const int most = __reduce_max_sync(~0u, bits);
    if (lane == segment) best = most;
    if (lane == place) kept = {top, base + segment * kLanes + hit};
  }
  return kept;
}

// Takes the scores of blocks [base, base + stretch) of the query at local position t, whose (query, KV head) is `item`: keeps the n best so
// far in `store` [2, n], and writes them, ascending, after the last of its candidates. The warp calls it together.
__device__ inline void take_stretch(const SelectArgs& a, int t, int64_t item, int* scores, int* store, int base, int stretch) {
  const int lane = int(threadIdx.x) & 31, n = int(a.num_selected), candidates = t / int(a.selection_block) + 1;
  if (candidates <= base) return;
  Kept kept{lane < n ? -1 : INT32_MAX, -1};
  if (base > 0 && lane < n) kept = {store[lane], store[n + lane]};
  float* out = a.scores ? a.scores + item * a.max_blocks : nullptr;
  kept = merge(a, scores, kept, min(n, base), base, min(candidates - base, stretch), candidates, out);
  if (candidates > base + stretch) {
    if (lane < n) store[lane] = kept.score, store[n + lane] = kept.index;
    return;
  }
  const int filled = min(n, candidates);
  int rank = 0;
  for (int other = 0; other < filled; ++other) rank += __shfl_sync(~0u, kept.index, other) < kept.index;
  if (lane < n) a.idx[item * n + (lane < filled ? rank : lane)] = lane < filled ? kept.index : -1;
  if (out)
    for (int64_t j = candidates + lane; j < a.max_blocks; j += kLanes) out[j] = 0.f;
}

}  // namespace nsa::cuda
