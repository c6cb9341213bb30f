// What the plain and the tensor-core kernels of block selection share.
#pragma once
#include <cuda_runtime.h>
#include <stdint.h>

#include "cuda/context.h"

namespace nsa::cuda {

struct SelectArgs {
  const void *q, *k;
  const float* lse;
  int32_t* idx;
  float* scores;  // null: not asked for
  const int32_t *cu_seqlens, *cu_blocks, *table, *lens;
  int64_t n_docs, hq, hkv, dim_k, ldq, ldk, block_size, stride, selection_block, num_selected, num_init, num_local, max_blocks, page, max_pages;
  int64_t entries, candidates;  // room in shared memory, of the plain kernel
  float scale;
};

// Tensor-core kernel; false when the shape is not its: bf16 over packed documents with l = 2·d, l' = 4·d, head dims up to 192, at
// most 32 selected blocks, rows that start on 16 bytes.
bool select_mma(void* ctx, const SelectArgs& a, int64_t tokens, int& status);
// The same on wgmma (sm_90a), which select_mma asks first: head dims 64 and 128, groups up to 16.
bool select_hopper(void* ctx, const SelectArgs& a, int64_t tokens, int& status);

}  // namespace nsa::cuda
