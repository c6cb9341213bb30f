// What the flash kernels take: strides, documents and visibility, shared by the tensor-core and the plain kernels.
//
// Query row r of document i has local index t = r − cu_q[i] (+ q_start[i]); key j is visible iff j·stride + block − 1 <= t and
// (window = 0 or j > t − window).
#pragma once
#include <cuda_runtime.h>
#include <stdint.h>

#include "cuda/context.h"

namespace nsa::cuda {

struct FlashArgs {
  const void *q, *k, *v, *o, *do_;
  void *out, *dq, *dk, *dv;
  float* lse;
  const float* delta;  // rowsum(dO∘O), [tq, hq]; null: to be summed
  const int32_t *cu_q, *cu_k, *q_start;
  int64_t n_docs, tq, tk, hq, hkv, dim_k, dim_v, ldq, ldk, ldv, ldo, window, block, stride;
  float scale;
  bool add_dq, add_dkv;
  // dq and dk are turned back by these where cos is there: half = rot_dim / 2 channels with the next half.
  const float *cos, *sin;
  const int32_t* positions;
  int64_t half;
};

// A tile of a document: rows (or keys) [from, ...) of document doc; doc −1 marks an unused entry.
struct Tile {
  int32_t doc, from;
};

__device__ inline int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }
// Keys visible to local position t: [first_key, end_key) within a document of nk keys.
__device__ inline int64_t end_key(const FlashArgs& a, int64_t t, int64_t nk) {
  int64_t e = floor_div(t - a.block + 1, a.stride) + 1;
  return e < 0 ? 0 : e < nk ? e : nk;
}
__device__ inline int64_t first_key(const FlashArgs& a, int64_t t) { return a.window > 0 && t - a.window + 1 > 0 ? t - a.window + 1 : 0; }

// Fills table[0 .. capacity) with the tiles of `rows` tokens of every document.
__global__ void tile_table_kernel(const int32_t* cu, int64_t n_docs, int32_t rows, Tile* table, int64_t capacity);

inline int64_t tile_capacity(int64_t tokens, int64_t n_docs, int64_t rows) { return tokens / rows + n_docs; }

// Tensor-core kernels; false when the shape is not theirs.
bool flash_fwd_mma(void* ctx, const FlashArgs& a, int& status);
bool flash_bwd_mma(void* ctx, const FlashArgs& a, int& status);

// dk, dv = (or +=) the sum over splits, in order, of part [splits, tk, hkv, dim_k + dim_v]. Launches only.
void flash_join(void* ctx, const FlashArgs& a, const float* part, int splits);

}  // namespace nsa::cuda
