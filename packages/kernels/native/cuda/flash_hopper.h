// What the Hopper flash kernels share: tiles in the order of their work, and the range a tile walks.
//
// Legend: BM rows of a block's own tile, BN rows of a walked tile. A persistent grid takes items (tile, head) most work first.
#pragma once
#include "cuda/flash.h"

namespace nsa::cuda {

constexpr int kOwnRows = 128;  // two warpgroups of 64 rows, the backward's
constexpr int kHopperThreads = 384;  // one producing warpgroup, two computing

// A document's place and the part [first, end) of the other side that a tile walks; first is a multiple of BN.
struct Span {
  int64_t q0, k0;
  int nq, nk, rows, first, end;
};

// A tile of queries at local row `from`; `start` is the position of the document's first query.
__device__ inline Span query_span(const FlashArgs& a, Tile tile, int bn, int own_rows = kOwnRows) {
  Span s;
  s.q0 = a.cu_q[tile.doc], s.k0 = a.cu_k[tile.doc];
  s.nq = a.cu_q[tile.doc + 1] - int(s.q0), s.nk = a.cu_k[tile.doc + 1] - int(s.k0);
  s.rows = min(own_rows, s.nq - tile.from);
  const int64_t t = tile.from + (a.q_start ? a.q_start[tile.doc] : 0);
  s.first = int(first_key(a, t)) / bn * bn;
  s.end = int(end_key(a, t + s.rows - 1, s.nk));
  return s;
}
// A tile of keys, the same for every head of its group.
__device__ inline Span key_span(const FlashArgs& a, Tile tile, int bn) {
  Span s;
  s.q0 = a.cu_q[tile.doc], s.k0 = a.cu_k[tile.doc];
  s.nq = a.cu_q[tile.doc + 1] - int(s.q0), s.nk = a.cu_k[tile.doc + 1] - int(s.k0);
  s.rows = min(kOwnRows, s.nk - tile.from);
  const int64_t from = tile.from * a.stride + a.block - 1;
  s.first = int(min(int64_t(s.nq), from)) / bn * bn;
  s.end = a.window > 0 ? int(min(int64_t(s.nq), tile.from + s.rows - 1 + a.window)) : s.nq;
  return s;
}
__device__ inline int steps_of(const Span& s, int bn) { return s.end > s.first ? (s.end - s.first + bn - 1) / bn : 0; }

// The item of this block in a round; every other round runs backwards, so that who got the most in one gets the least in the next.
__device__ inline int64_t item_of(int64_t round) {
  return round * gridDim.x + ((round & 1) ? gridDim.x - 1 - blockIdx.x : blockIdx.x);
}

// Tables [0, capacity) of the tiles of own_rows queries (block 0) and of kOwnRows keys (block 1), most steps first, unused ones last.
// Order among equals is not fixed and no result depends on it. `spare` has the length of both. A null table is skipped.
__global__ void work_table_kernel(FlashArgs a, int own_rows, int bn_q, int bn_k, Tile* q_table, int64_t q_capacity, Tile* k_table, int64_t k_capacity, Tile* spare);

// Whether kernels for sm_90a are to be used: the card is one, and NSA_FLASH=portable does not say no.
bool hopper_wanted(void* ctx);
// Whether bf16 attention of this shape runs on them.
bool flash_hopper(void* ctx, const FlashArgs& a);
int flash_fwd_hopper(void* ctx, const FlashArgs& a);
int flash_bwd_hopper(void* ctx, FlashArgs a);

}  // namespace nsa::cuda
