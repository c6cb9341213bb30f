// What the plain and the tensor-core kernels of selected attention share: the list of (block, query) pairs, sorted by block.
#pragma once
#include "cuda/documents.h"
#include "cuda/nsa_attend.h"

namespace nsa::cuda {

// Pairs (KV head · rows + first token of the block, query row); absent blocks have the key rows · hkv and come last.
struct SelectedList {
  const int2* pairs;
  int64_t n, stretch;
  float* partial;  // [stretches, 2, block, dim_k + dim_v]: sums of runs that began before the stretch, of runs that go on after it
};

// Of a block: its first row and KV head.
struct SelectedBlock {
  int64_t start, kv;
};
__device__ inline bool is_absent(const SelectedArgs& a, int32_t key) { return key >= a.rows * a.hkv; }
__device__ inline SelectedBlock block_of(const SelectedArgs& a, int32_t key) { return {key % a.rows, key / a.rows}; }

// Keys of the block that starts at row `start`: fewer at a document's end.
__device__ inline int64_t selected_keys(const SelectedArgs& a, int64_t start) {
  return min(a.block, int64_t(a.cu_seqlens[document_of(a.cu_seqlens, a.n_docs, start) + 1]) - start);
}

// The end of the run of equal keys that begins at pair `at`, at most `to`. The lanes of a warp, all of which call it, look at 32 places at once.
__device__ inline int64_t run_end(const SelectedList& list, int64_t at, int64_t to) {
  const int32_t key = list.pairs[at].x;
  const int lane = threadIdx.x & 31;
  int64_t end = at + 1, up = to;
  while (end < up) {
    const int64_t part = (up - end + 31) / 32, place = end + lane * part;
    const int equal = __popc(__ballot_sync(~0u, place < up && list.pairs[place].x == key));
    if (equal < 32) up = min(up, end + equal * part);
    if (equal > 0) end += (equal - 1) * part + 1;
  }
  return end;
}

// bf16, head dims up to 128, rows that start on 16 bytes.
bool selected_mma_takes(const SelectedArgs& a);
int selected_fwd_mma(void* ctx, const SelectedArgs& a);
int selected_dq_mma(void* ctx, const SelectedArgs& a);
int selected_dkv_mma(void* ctx, const SelectedArgs& a, const SelectedList& list);

// Forward and dq for neighbouring queries together: cards of sm_90. NSA_FLASH=portable says no.
bool selected_tiles_take(void* ctx, const SelectedArgs& a);
int selected_fwd_tiles(void* ctx, const SelectedArgs& a);
int selected_dq_tiles(void* ctx, const SelectedArgs& a);

// dk and dv on wgmma: cards of sm_90, head dims 64/64 or 128/128, blocks of at most 64 keys. NSA_FLASH=portable says no.
bool selected_hopper_takes(void* ctx, const SelectedArgs& a);
int selected_dkv_hopper(void* ctx, const SelectedArgs& a, const SelectedList& list);

}  // namespace nsa::cuda
