// Radix sort by 8 bits a pass: counts of each stretch of pairs, their scan, and a stable placement.
#include "cuda/sort.h"

#include <utility>

#include "cuda/launch.h"

namespace nsa::cuda {
namespace {

constexpr int kDigits = 256, kItems = 2048;

// count[digit·blocks + block].
__global__ void count_kernel(const int2* x, int64_t n, int shift, int32_t* count) {
  __shared__ int32_t histogram[kDigits];
  histogram[threadIdx.x] = 0;
  __syncthreads();
  for (int i = threadIdx.x; i < kItems; i += kDigits) {
    int64_t at = int64_t(blockIdx.x) * kItems + i;
    if (at < n) atomicAdd(&histogram[x[at].x >> shift & 255], 1);
  }
  __syncthreads();
  count[int64_t(threadIdx.x) * gridDim.x + blockIdx.x] = histogram[threadIdx.x];
}

// Exclusive scan of n counts by one block.
__global__ void scan_kernel(int32_t* x, int64_t n) {
  __shared__ int32_t sums[1024];
  int64_t per = (n + 1023) / 1024, from = threadIdx.x * per, to = min(n, from + per);
  int32_t sum = 0;
  for (int64_t i = from; i < to; ++i) sum += x[i];
  sums[threadIdx.x] = sum;
  __syncthreads();
  for (int step = 1; step < 1024; step <<= 1) {
    int32_t left = int(threadIdx.x) >= step ? sums[threadIdx.x - step] : 0;
    __syncthreads();
    sums[threadIdx.x] += left;
    __syncthreads();
  }
  int32_t base = threadIdx.x ? sums[threadIdx.x - 1] : 0;
  for (int64_t i = from; i < to; ++i) {
    int32_t value = x[i];
    x[i] = base;
    base += value;
  }
}

// Thread d places the block's entries with digit d, in order: stable.
__global__ void place_kernel(const int2* x, int2* y, int64_t n, int shift, const int32_t* offset) {
  __shared__ int2 items[kItems];
  int64_t from = int64_t(blockIdx.x) * kItems;
  int here = int(min(int64_t(kItems), n - from));
  for (int i = threadIdx.x; i < here; i += kDigits) items[i] = x[from + i];
  __syncthreads();
  int32_t at = offset[int64_t(threadIdx.x) * gridDim.x + blockIdx.x];
  for (int i = 0; i < here; ++i)
    if ((items[i].x >> shift & 255) == int(threadIdx.x)) y[at++] = items[i];
}

}  // namespace

size_t sort_bytes(int64_t n) { return size_t(ceil_div(n, kItems) * kDigits) * 4; }

int2* sort_entries(void* ctx, int2* x, int2* y, int32_t* counts, int64_t n, int64_t largest) {
  auto stream = context(ctx).stream;
  int64_t blocks = ceil_div(n, kItems);
  for (int shift = 0; shift < 32 && (largest >> shift) > 0; shift += 8) {
    count_kernel<<<unsigned(blocks), kDigits, 0, stream>>>(x, n, shift, counts);
    scan_kernel<<<1, 1024, 0, stream>>>(counts, blocks * kDigits);
    place_kernel<<<unsigned(blocks), kDigits, 0, stream>>>(x, y, n, shift, counts);
    std::swap(x, y);
  }
  return x;
}

}  // namespace nsa::cuda
