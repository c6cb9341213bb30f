// One query head against the keys of its selected blocks, by warps: the plain forward of nsa_selected_fwd and its paged form.
#pragma once
#include "cuda/documents.h"
#include "cuda/launch.h"
#include "cuda/nsa_rows.h"

namespace nsa::cuda {

struct SelectedArgs {
  const void *q, *k, *v, *o, *do_;
  void *out, *dq, *dk, *dv;
  float* lse;  // may be null in the paged form
  const float* delta;
  const int32_t *idx, *cu_seqlens, *table, *lens;
  int64_t n_docs, rows, hq, hkv, dim_k, dim_v, ldq, ldk, ldv, ldo, block, num_selected, page, max_pages;
  float scale;
  bool add_dq, add_dkv;
  bool all_arrive;  // lanes arrive at barriers one by one: racecheck does not follow a lane that arrives for its warp
};

constexpr int kSelectedWarps = 4, kSelectedDim = 256, kSelectedPer = kSelectedDim / 32;

// Row of k and v, in units of their leading dimensions, of key `local` of the query's document.
template <bool PAGED>
__device__ inline int64_t key_row(const SelectedArgs& a, int64_t row, int64_t start, int64_t local) {
  if constexpr (PAGED) return int64_t(a.table[row * a.max_pages + local / a.page]) * a.page + local % a.page;
  return start + local;
}

// SPLIT warps share one (query, head): each takes every SPLIT-th selected block, and their sums are joined in order.
template <class T, bool PAGED, bool WIDE, int SPLIT>
__global__ void __launch_bounds__(kSelectedWarps * 32) selected_plain_kernel(SelectedArgs a) {
  __shared__ __align__(16) float query[kSelectedWarps][kSelectedDim];
  __shared__ float sums[kSelectedWarps][kSelectedDim], tops[kSelectedWarps], totals[kSelectedWarps];
  constexpr int items = kSelectedWarps / SPLIT;
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, part = warp % SPLIT, dk = int(a.dim_k), dv = int(a.dim_v);
  const int64_t item = int64_t(blockIdx.x) * items + warp / SPLIT;
  const bool live = item < a.rows * a.hq;
  const int64_t row = live ? item / a.hq : 0, head = live ? item % a.hq : 0, kv = head / (a.hq / a.hkv);
  float o[kSelectedPer] = {}, top = -INFINITY, sum = 0;
  if (live) {
    int64_t start = 0, t;
    if constexpr (PAGED) {
      t = int64_t(a.lens[row]) - 1;
    } else {
      start = a.cu_seqlens[document_of(a.cu_seqlens, a.n_docs, row)];
      t = row - start;
    }
    const T* q = static_cast<const T*>(a.q) + row * a.ldq + head * dk;
    const T *k = static_cast<const T*>(a.k) + kv * dk, *v = static_cast<const T*>(a.v) + kv * dv;
    for (int c = lane; c < dk; c += 32) query[warp][c] = to_float(q[c]) * a.scale;
    __syncwarp();
    const int32_t* idx = a.idx + (row * a.hkv + kv) * a.num_selected;
    for (int64_t n = part; n < a.num_selected; n += SPLIT) {
      if (idx[n] < 0) continue;
      const int64_t first = idx[n] * a.block, end = min(first + a.block, t + 1);
      for (int64_t at = first; at < end; at += 32) {
        const int64_t key = at + lane < end ? key_row<PAGED>(a, row, start, at + lane) : 0;
        const float s = at + lane < end ? dot_row<WIDE>(query[warp], k + key * a.ldk, dk) : -INFINITY;
        const float high = fmaxf(top, warp_max(s)), shrink = expf(top - high), p = expf(s - high);
        sum = sum * shrink + warp_sum(p);
        top = high;
#pragma unroll
        for (int i = 0; i < kSelectedPer; ++i) o[i] *= shrink;
        for (int i = 0; i < 32 && at + i < end; ++i) {
          const float w = __shfl_sync(~0u, p, i);
          const T* value = v + __shfl_sync(~0u, key, i) * a.ldv;
#pragma unroll
          for (int c = 0; c < kSelectedPer; ++c)
            if (c * 32 + lane < dv) o[c] = fmaf(w, to_float(value[c * 32 + lane]), o[c]);
        }
      }
    }
  }
  if constexpr (SPLIT > 1) {
    for (int c = lane; c < kSelectedDim; c += 32) sums[warp][c] = o[c / 32];
    if (lane == 0) tops[warp] = top, totals[warp] = sum;
    __syncthreads();
    if (part != 0 || !live) return;
    for (int w = 1; w < SPLIT; ++w) top = fmaxf(top, tops[warp + w]);
    sum = 0;
#pragma unroll
    for (int c = 0; c < kSelectedPer; ++c) o[c] = 0;
    for (int w = 0; w < SPLIT; ++w) {
      if (tops[warp + w] == -INFINITY) continue;
      const float shrink = expf(tops[warp + w] - top);
      sum += totals[warp + w] * shrink;
#pragma unroll
      for (int c = 0; c < kSelectedPer; ++c) o[c] += sums[warp + w][c * 32 + lane] * shrink;
    }
  }
  if (!live) return;
  T* out = static_cast<T*>(a.out) + row * a.ldo + head * dv;
#pragma unroll
  for (int c = 0; c < kSelectedPer; ++c)
    if (c * 32 + lane < dv) from_float(sum > 0 ? o[c] / sum : 0.f, out[c * 32 + lane]);
  if (lane == 0 && a.lse) a.lse[item] = sum > 0 ? top + logf(sum) : -INFINITY;
}

}  // namespace nsa::cuda
