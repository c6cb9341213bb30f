// Grids for loops over elements: enough blocks to fill the card, each thread striding.
#pragma once
#include <algorithm>

#include "cuda/context.h"

namespace nsa::cuda {

constexpr int kThreads = 256;

inline unsigned grid_for(void* ctx, int64_t items, int per_sm = 16) {
  return unsigned(std::max<int64_t>(1, std::min(ceil_div(items, kThreads), int64_t(context(ctx).sm_count) * per_sm)));
}

#define NSA_GRID_STRIDE(i, n) \
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < (n); i += int64_t(gridDim.x) * blockDim.x)

}  // namespace nsa::cuda
