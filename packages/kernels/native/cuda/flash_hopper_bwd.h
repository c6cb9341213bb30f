// What both backward kernels for Hopper share: statistics of rows, and how gradients are written.
#pragma once
#include "cuda/convert.h"
#include "cuda/flash_hopper.h"
#include "cuda/hopper.h"

namespace nsa::cuda {

constexpr float kLog2e = 1.4426950408889634f;

// lse2[h, t] = log2(e)·lse (+inf for rows that see nothing: exp2(x − inf) = 0), delta[h, t] = rowsum(dO∘O). grid: (rows, heads).
template <int D>
__global__ void statistics_kernel(FlashArgs a, float* lse2, float* delta) {
  constexpr int lanes = D / 8;
  const int64_t row = int64_t(blockIdx.x) * (256 / lanes) + threadIdx.x / lanes, head = blockIdx.y;
  const int lane = threadIdx.x % lanes;
  float sum = 0;
  if (row < a.tq) {
    const int64_t at = row * a.ldo + head * D + lane * 8;
    float x[8], y[8];
    load_vec(x, static_cast<const bf16*>(a.o) + at);
    load_vec(y, static_cast<const bf16*>(a.do_) + at);
#pragma unroll
    for (int i = 0; i < 8; ++i) sum += x[i] * y[i];
  }
#pragma unroll
  for (int m = lanes / 2; m > 0; m >>= 1) sum += __shfl_xor_sync(~0u, sum, m);
  if (row < a.tq && lane == 0) {
    const float l = a.lse[row * a.hq + head];
    lse2[head * a.tq + row] = l == -INFINITY ? INFINITY : l * kLog2e;
    delta[head * a.tq + row] = sum;
  }
}

// The same where delta [t, h] is known: turned by way of shared memory. grid: (rows / 32, heads / 32), block: (32, 8).
inline __global__ void known_statistics_kernel(FlashArgs a, float* lse2, float* delta) {
  __shared__ float tile[2][32][33];
  const int64_t row0 = int64_t(blockIdx.x) * 32, head0 = int64_t(blockIdx.y) * 32;
  for (int r = int(threadIdx.y); r < 32; r += 8) {
    const int64_t row = row0 + r, head = head0 + threadIdx.x;
    if (row >= a.tq || head >= a.hq) continue;
    const float l = a.lse[row * a.hq + head];
    tile[0][r][threadIdx.x] = l == -INFINITY ? INFINITY : l * kLog2e;
    tile[1][r][threadIdx.x] = a.delta[row * a.hq + head];
  }
  __syncthreads();
  for (int h = int(threadIdx.y); h < 32; h += 8) {
    const int64_t row = row0 + threadIdx.x, head = head0 + h;
    if (row >= a.tq || head >= a.hq) continue;
    lse2[head * a.tq + row] = tile[0][threadIdx.x][h];
    delta[head * a.tq + row] = tile[1][threadIdx.x][h];
  }
}
template <int D>
void make_statistics(const FlashArgs& a, float* lse2, float* delta, cudaStream_t stream) {
  if (a.delta) known_statistics_kernel<<<dim3(unsigned(ceil_div(a.tq, 32)), unsigned(ceil_div(a.hq, 32))), dim3(32, 8), 0, stream>>>(a, lse2, delta);
  else statistics_kernel<D><<<dim3(unsigned(ceil_div(a.tq, 2048 / D)), unsigned(a.hq)), 256, 0, stream>>>(a, lse2, delta);
}

// A pair of bf16, or their sum with an old pair.
__device__ inline uint32_t put_pair(uint32_t old, float x, float y, bool add) {
  if (add) {
    x += __uint_as_float(old << 16);
    y += __uint_as_float(old & 0xffff0000u);
  }
  return pack_bf16(x, y);
}
// Writes a pair of a bf16 row, or adds to it.
__device__ inline void put(bf16* to, float x, float y, bool add) {
  auto pair = reinterpret_cast<uint32_t*>(to);
  *pair = put_pair(add ? *pair : 0, x, y, add);
}
// x[i] of lane q of four neighbours becomes x[q] of lane i.
__device__ inline void exchange_in_quad(uint32_t (&x)[4], int quad) {
#pragma unroll
  for (int step = 1; step < 4; step *= 2) {
    const bool upper = quad & step;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (i & step) continue;
      const uint32_t got = __shfl_xor_sync(~0u, upper ? x[i] : x[i + step], step);
      if (upper) x[i] = got;
      else x[i + step] = got;
    }
  }
}

// Row h of an accumulator of dq or dk, turned back by its position t: channel c and c + D/2 lie in one lane.
template <int D>
__device__ inline void turn_back(float (&d)[D / 2], int h, int t, const FlashArgs& a, int quad) {
  if (!a.cos) return;
  const int64_t angle = int64_t(t) * (D / 2) + quad * 2;
#pragma unroll
  for (int n = 0; n < D / 16; ++n) {
    const float2 cs = *reinterpret_cast<const float2*>(a.cos + angle + n * 8), sn = *reinterpret_cast<const float2*>(a.sin + angle + n * 8);
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      float &low = d[n * 4 + h * 2 + e], &high = d[(n + D / 16) * 4 + h * 2 + e];
      const float c = e ? cs.y : cs.x, s = e ? sn.y : sn.x, x = low, y = high;
      low = x * c + y * s;
      high = y * c - x * s;
    }
  }
}

#ifdef NSA_HOPPER

// 4 bytes, zero when not `valid`.
__device__ inline void copy_async_4(uint32_t to, const void* from, bool valid) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(from), "r"(valid ? 4 : 0) : "memory");
}

#endif

// For heads of 64 and 128: in two passes of 7 products, or in one of 5.
int flash_bwd_twopass(void* ctx, FlashArgs a);
int flash_bwd_onepass(void* ctx, FlashArgs a);

}  // namespace nsa::cuda
