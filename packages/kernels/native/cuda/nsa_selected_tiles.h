// What the kernels of nsa_selected_tiles.cu share: the shape of a tile, the ring of keys and values and the warp that fills it, and the
// rows of a computing warp.
#pragma once
#include <algorithm>

#include "cuda/documents.h"
#include "cuda/hopper.h"
#include "cuda/launch.h"
#include "cuda/nsa_selected.h"
#include "cuda/tensor_map.h"

namespace nsa::cuda::tiles {

constexpr int kKeys = 32, kRows = 16, kMostQueries = 32;

// Rows that a query takes in a tile, its heads first: a power of two up to a warp's rows, so that queries do not straddle warps. Of
// larger groups a block of threads takes kRows heads. At most kMostQueries queries, a lane of the first warp each.
struct Grouping {
  int rows, queries;
};
inline Grouping grouping_of(int64_t heads, int warps) {
  int rows = 1;
  while (rows < std::min<int64_t>(heads, kRows) || warps * kRows / rows > kMostQueries) rows *= 2;
  return {rows, warps * kRows / rows};
}

// Computing warps, buffers of the ring, blocks of threads on a processor, and whether a left operand lies in shared memory.
template <int D, int WARPS, int STAGES, int BLOCKS, bool SHARED>
struct Shape {
  static constexpr int dim = D, warps = WARPS, stages = STAGES, blocks = BLOCKS, threads = (WARPS + 1) * 32;
  static constexpr bool shared = SHARED;
  static constexpr uint32_t tile = kKeys * D * 2, stage = 2 * tile, left = SHARED ? kRows * D * 2 : 0;
  static constexpr uint32_t smem = STAGES * (stage + 32) + WARPS * left + 1024;
};

// Keys and values for the bulk copy engine, used where `there`: both head dims are the shape's.
struct Maps {
  CUtensorMap k, v;
  int there;
};
#ifdef NSA_HOPPER

// What lies in a stage: the row of its first key, how many keys (0: the end), and which queries of the tile selected them, a bit each.
struct Note {
  int32_t first, count;
  uint32_t holders, spare;
};

// The ring in shared memory: stages of keys and values, left operands, and a note and two barriers a stage.
template <class S>
struct Buffers {
  uint32_t base;
  __device__ explicit Buffers(const SelectedArgs& a) {
    extern __shared__ char raw[];
    base = (smem_address(raw) + 1023) & ~1023u;
    if (threadIdx.x == 0) {
      for (uint32_t i = 0; i < S::stages; ++i) barrier_init(full(i), 33), barrier_init(empty(i), a.all_arrive ? S::warps * 32 : S::warps);
      fence_barriers();
    }
    __syncthreads();
  }
  __device__ uint32_t keys(uint32_t stage) const { return base + stage * S::stage; }
  __device__ uint32_t values(uint32_t stage) const { return keys(stage) + S::tile; }
  __device__ uint32_t note_at(uint32_t stage) const { return base + S::stages * S::stage + S::warps * S::left + stage * 16; }
  __device__ Note note(uint32_t stage) const {
    Note n;
    asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];" : "=r"(n.first), "=r"(n.count), "=r"(n.holders), "=r"(n.spare) : "r"(note_at(stage)) : "memory");
    return n;
  }
  __device__ void write(uint32_t stage, Note n) const {
    asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(note_at(stage)), "r"(n.first), "r"(n.count), "r"(n.holders), "r"(n.spare) : "memory");
  }
  // Of this computing warp.
  __device__ uint32_t own() const { return base + S::stages * S::stage + (threadIdx.x / 32 - 1) * S::left; }
  __device__ uint32_t full(uint32_t stage) const { return base + S::stages * (S::stage + 16) + S::warps * S::left + stage * 8; }
  __device__ uint32_t empty(uint32_t stage) const { return full(stage) + S::stages * 8; }
};

// Arrives when this thread's copies so far have landed.
__device__ inline void arrive_with_copies(uint32_t barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(barrier) : "memory");
}

// A lane's place in the list of one query: the row of the first key of its next block, kEnd behind the last. What is no block of
// the document, or starts after the query, is left out. The entry after the next is fetched ahead.
struct Place {
  static constexpr int kEnd = 0x7fffffff;
  const int32_t* idx;
  int n, count, start, last, block, ahead, row;

  __device__ Place(const SelectedArgs& a, bool mine, int64_t at, int64_t kv)
      : idx(a.idx + (at * a.hkv + kv) * a.num_selected), n(0), count(mine ? int(a.num_selected) : 0), block(int(a.block)), row(kEnd) {
    start = int(a.cu_seqlens[document_of(a.cu_seqlens, a.n_docs, at)]);
    last = (int(at) - start) / block;
    ahead = count > 0 ? idx[0] : -1;
    next();
  }
  __device__ void next() {
    row = kEnd;
    while (n < count && row == kEnd) {
      const int chosen = ahead;
      if (++n < count) ahead = idx[n];
      if (chosen >= 0 && chosen <= last) row = start + chosen * block;
    }
  }
};

// The warp's copies of `count` of the kKeys rows of a tile, zeros elsewhere; few registers rather than few instructions.
template <int D>
__device__ __noinline__ void copy_rows(uint32_t tile, const bf16* from, int64_t ld, int count, int dim) {
#pragma unroll 2
  for (int i = int(threadIdx.x); i < kKeys * D / 8; i += 32) {
    const int row = i / (D / 8), col = i % (D / 8) * 8;
    const bool in = row < count && col < dim;
    copy_async(tile + tile_offset(kKeys, row, col), in ? from + row * ld + col : from, in);
  }
}

// The first warp: copies the union of the blocks of the tile's queries, in ascending order. It is one warp, and waits for each instruction
// that depends on the one before: where all keys of a stage are there the copy engine brings them.
template <class S>
__device__ inline void produce(const SelectedArgs& a, const Buffers<S>& buffers, Grouping grouping, const Maps& maps) {
  constexpr int D = S::dim;
  const int lane = threadIdx.x;
  const int64_t row0 = int64_t(blockIdx.x) * grouping.queries, kv = blockIdx.y;
  const bool mine = lane < grouping.queries && row0 + lane < a.rows;
  const int64_t row = mine ? row0 + lane : row0;
  const auto *k = static_cast<const bf16*>(a.k) + kv * a.dim_k, *v = static_cast<const bf16*>(a.v) + kv * a.dim_v;
  Place place(a, mine, row, kv);
  Ring<S::stages> ring;
  auto publish = [&](Note note, bool bulk) {
    const uint32_t full = buffers.full(ring.at);
    if (lane == 0) {
      buffers.write(ring.at, note);
      if (bulk) {
        barrier_expect(full, S::stage);
        copy_tile<kKeys, D>(buffers.keys(ring.at), maps.k, int(kv), note.first, full);
        copy_tile<kKeys, D>(buffers.values(ring.at), maps.v, int(kv), note.first, full);
      } else {
        barrier_arrive(full);
      }
    }
    arrive_with_copies(full);
    ring.next();
  };
  while (true) {
    const int first = int(__reduce_min_sync(~0u, unsigned(place.row)));
    if (first == Place::kEnd) break;
    const bool holder = place.row == first;
    const uint32_t holders = __ballot_sync(~0u, holder);
    const int end = int(__reduce_max_sync(~0u, holder ? unsigned(min(first + a.block, row + 1)) : 0u));
    if (holder) place.next();
#pragma unroll 1
    for (int at = first; at < end; at += kKeys) {
      const int count = min(kKeys, end - at);
      barrier_wait(buffers.empty(ring.at), ring.round ^ 1);
      const bool bulk = maps.there && count == kKeys;
      if (!bulk) {
        copy_rows<D>(buffers.keys(ring.at), k + at * a.ldk, a.ldk, count, int(a.dim_k));
        copy_rows<D>(buffers.values(ring.at), v + at * a.ldv, a.ldv, count, int(a.dim_v));
      }
      publish({at, count, holders, 0}, bulk);
    }
  }
  barrier_wait(buffers.empty(ring.at), ring.round ^ 1);
  publish({0, 0, 0, 0}, false);
}

// Row r of a tile: head r % rows of query r / rows.
struct Row {
  int64_t at, head;
  bool valid;
  __device__ Row(const SelectedArgs& a, Grouping grouping, int r) {
    const int heads = int(a.hq / a.hkv), of_group = int(blockIdx.z) * kRows + r % grouping.rows;
    at = int64_t(blockIdx.x) * grouping.queries + r / grouping.rows, head = int64_t(blockIdx.y) * heads + of_group;
    valid = of_group < heads && at < a.rows;
  }
};
// The first row of this warp.
__device__ inline int first_row() { return (int(threadIdx.x) / 32 - 1) * kRows; }
// The row of the tile of half h of a lane's accumulators.
__device__ inline int row_of(int h) { return first_row() + (int(threadIdx.x & 31) >> 2) + h * 8; }

// Which queries of the tile a warp has, and of each half of a lane's accumulators the query's bit (0: no row) and row.
struct Owned {
  uint32_t queries, bit[2];
  int row[2];

  __device__ Owned(const SelectedArgs& a, Grouping grouping) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const Row r(a, grouping, row_of(h));
      bit[h] = r.valid ? 1u << row_of(h) / grouping.rows : 0u, row[h] = int(r.at);
    }
    queries = __reduce_or_sync(~0u, bit[0] | bit[1]);
  }
  // Keys of a stage that the lane's row sees.
  __device__ int seen(Note note, int h) const { return note.holders & bit[h] ? min(note.count, row[h] - note.first + 1) : 0; }
};

// The left operand of a warp, rows of x [.., dim] for its 16 rows of the tile and zeros where there are none: in registers, or in shared
// memory at `tile` where registers are short.
template <int D, bool SHARED>
struct Left;
template <int D>
struct Left<D, false> {
  uint32_t f[D / 16][4];
  __device__ Left(const SelectedArgs& a, Grouping grouping, const void* x, int64_t ld, int dim, uint32_t) {
    const int quad = threadIdx.x & 3;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const Row r(a, grouping, row_of(h));
      const bf16* from = static_cast<const bf16*>(x) + (r.valid ? r.at * ld + r.head * dim : 0);
#pragma unroll
      for (int i = 0; i < D / 8; ++i) {
        const int c = i * 8 + quad * 2;
        f[i / 2][(i & 1) * 2 + h] = r.valid && c < dim ? *reinterpret_cast<const uint32_t*>(from + c) : 0u;
      }
    }
  }
  __device__ void get(uint32_t (&x)[4], int kk) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) x[i] = f[kk / 16][i];
  }
};
template <int D>
struct Left<D, true> {
  uint32_t at;
  __device__ Left(const SelectedArgs& a, Grouping grouping, const void* x, int64_t ld, int dim, uint32_t tile) : at(a_base(tile, 0)) {
#pragma unroll 4
    for (int i = threadIdx.x & 31; i < kRows * D / 8; i += 32) {
      const int local = i / (D / 8), c = i % (D / 8) * 8;
      const Row r(a, grouping, first_row() + local);
      const bool in = r.valid && c < dim;
      copy_async(tile + tile_offset(kRows, local, c), static_cast<const bf16*>(x) + (in ? r.at * ld + r.head * dim + c : 0), in);
    }
    copy_commit();
    copy_wait<0>();
    __syncwarp();
  }
  __device__ void get(uint32_t (&x)[4], int kk) const { load_a_at(x, at, kRows, kk); }
};

#endif

}  // namespace nsa::cuda::tiles
