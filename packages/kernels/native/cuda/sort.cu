// Radix sort by 8 bits a pass: counts of each stretch of pairs, their scan, and a stable placement.
#include "cuda/sort.h"

#include <utility>

#include "cuda/launch.h"

namespace nsa::cuda {
namespace {

constexpr int kDigits = 256, kItems = 2048, kScan = 512;

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

// Exclusive scan of each digit's counts over the blocks, a block of threads a digit; its sum goes to total[digit].
__global__ void scan_kernel(int32_t* count, int64_t blocks, int32_t* total) {
  __shared__ int32_t sums[kScan];
  int32_t* row = count + blockIdx.x * blocks;
  int32_t carried = 0;
  for (int64_t base = 0; base < blocks; base += kScan) {
    const int64_t i = base + threadIdx.x;
    const int32_t value = i < blocks ? row[i] : 0;
    sums[threadIdx.x] = value;
    __syncthreads();
    for (int step = 1; step < kScan; step <<= 1) {
      const int32_t left = int(threadIdx.x) >= step ? sums[threadIdx.x - step] : 0;
      __syncthreads();
      sums[threadIdx.x] += left;
      __syncthreads();
    }
    if (i < blocks) row[i] = carried + sums[threadIdx.x] - value;
    carried += sums[kScan - 1];
    __syncthreads();
  }
  if (threadIdx.x == 0) total[blockIdx.x] = carried;
}

// Places the block's entries, in order: stable. A warp takes a stretch of them, 32 at a time; thread d finds where those of digit d begin
// for each warp, behind the totals of lower digits and the warps before.
__global__ void place_kernel(const int2* x, int2* y, int64_t n, int shift, const int32_t* offset, const int32_t* total) {
  constexpr int warps = kDigits / 32, stretch = kItems / warps;
  __shared__ int32_t first[kDigits], next[warps][kDigits];
  const int me = int(threadIdx.x), warp = me / 32, lane = me % 32;
  const int64_t from = int64_t(blockIdx.x) * kItems + warp * stretch;
  for (int w = 0; w < warps; ++w) next[w][me] = 0;
  first[me] = total[me];
  __syncthreads();
  for (int step = 1; step < kDigits; step <<= 1) {
    const int32_t left = me >= step ? first[me - step] : 0;
    __syncthreads();
    first[me] += left;
    __syncthreads();
  }
  auto digit_of = [&](int64_t at) { return at < n ? x[at].x >> shift & 255 : -1; };
  for (int i = lane; i < stretch; i += 32) {
    const int digit = digit_of(from + i);
    const uint32_t equals = __match_any_sync(~0u, digit);
    if (digit >= 0 && lane == __ffs(int(equals)) - 1) next[warp][digit] += __popc(equals);
    __syncwarp();
  }
  __syncthreads();
  int32_t at = first[me] - total[me] + offset[int64_t(me) * gridDim.x + blockIdx.x];
  for (int w = 0; w < warps; ++w) {
    const int32_t here = next[w][me];
    next[w][me] = at;
    at += here;
  }
  __syncthreads();
  for (int i = lane; i < stretch; i += 32) {
    const int digit = digit_of(from + i);
    const uint32_t equals = __match_any_sync(~0u, digit);
    const int32_t begin = digit >= 0 ? next[warp][digit] : 0;
    __syncwarp();
    if (digit >= 0) {
      y[begin + __popc(equals & ((1u << lane) - 1))] = x[from + i];
      if (lane == __ffs(int(equals)) - 1) next[warp][digit] = begin + __popc(equals);
    }
    __syncwarp();
  }
}

}  // namespace

size_t sort_bytes(int64_t n) { return size_t((ceil_div(n, kItems) + 1) * kDigits) * 4; }

int2* sort_entries(void* ctx, int2* x, int2* y, int32_t* counts, int64_t n, int64_t largest) {
  auto stream = context(ctx).stream;
  int64_t blocks = ceil_div(n, kItems);
  for (int shift = 0; shift < 32 && (largest >> shift) > 0; shift += 8) {
    count_kernel<<<unsigned(blocks), kDigits, 0, stream>>>(x, n, shift, counts);
    int32_t* totals = counts + blocks * kDigits;
    scan_kernel<<<kDigits, kScan, 0, stream>>>(counts, blocks, totals);
    place_kernel<<<unsigned(blocks), kDigits, 0, stream>>>(x, y, n, shift, counts, totals);
    std::swap(x, y);
  }
  return x;
}

}  // namespace nsa::cuda
