// The one-pass backward's memory, queue and helping warps: those that load, and the one that adds up dQ in its order.
#pragma once
#include "cuda/flash_hopper_bwd.h"

namespace nsa::cuda {
namespace onepass {

constexpr int kLoaders = 64, kComputers = 256, kAdders = 2;

// BM: queries of a step. Bytes of shared memory: K and V, two buffers of dS [128, BM], the block's dQ of a step, stages, statistics.
template <int D>
struct Shape {
  static constexpr int BM = D == 64 ? 128 : 64, stages = D == 64 ? 2 : 3;
  static constexpr uint32_t own = kOwnRows * D * 2, walked = BM * D * 2, scores = kOwnRows * BM * 2, sum = BM * D * 4;
  static constexpr uint32_t statistics = stages * 2 * BM * 4;
  static constexpr uint32_t smem = 2 * own + 2 * scores + sum + stages * 2 * walked + statistics + 256 + 1024;
};

// Work of a launch. A unit is `each` query heads of a KV head, whose heads make `splits` units; unit u is number u / hkv of KV head
// u % hkv, so that neighbours do not wait for each other's dK and dV. `chunk` units go side by side in the queue.
struct Plan {
  const Tile* tiles;  // of 128 keys, in order
  int64_t k_capacity, q_capacity;
  int first, last, each, chunk, splits;
  float* dq;       // [heads of the launch, q_capacity, BM·D], in the order of the accumulators
  float4* dkv;     // [k_capacity, hkv, 2 warpgroups, dk and dv, ...] likewise; null when splits = 1
  int *dq_turn, *dkv_turn, *queue;
  int heads, hkv;  // query heads of a KV head; KV heads
  __device__ int head_of(int unit) const { return unit % hkv * heads + unit / hkv * each; }
  const float* lse2;  // [hq, tq], and delta_at further the deltas
  int64_t delta_at;
  bool all_arrive;  // lanes arrive at barriers one by one: racecheck does not follow a lane that arrives for its warp
};

// Tensor maps of q, do, k and v.
struct Maps {
  CUtensorMap q, d, k, v;
};

// Tile m of a document's queries has this number among all: documents start at a fresh one.
template <int BM>
__device__ inline int64_t query_tile(const FlashArgs& a, int doc, int m) {
  return a.cu_q[doc] / BM + doc + m;
}

#ifdef NSA_HOPPER

__device__ inline int load_acquire(const int* p) {
  int x;
  asm volatile("ld.acquire.gpu.global.s32 %0, [%1];" : "=r"(x) : "l"(p) : "memory");
  return x;
}
__device__ inline void store_release(int* p, int x) { asm volatile("st.release.gpu.global.s32 [%0], %1;" ::"l"(p), "r"(x) : "memory"); }
__device__ inline void wait_turn(const int* turn, int mine) {
  while (load_acquire(turn) != mine) {
  }
}
__device__ inline void add_vec(float4* to, float4 x) {
  asm volatile("red.relaxed.gpu.global.add.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(to), "f"(x.x), "f"(x.y), "f"(x.z), "f"(x.w) : "memory");
}
__device__ inline void meet(int id, int threads) { asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory"); }
__device__ inline void store_matrix(uint32_t address, uint32_t r0, uint32_t r1, uint32_t r2, uint32_t r3) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(r0), "r"(r1), "r"(r2), "r"(r3) : "memory");
}

// Barriers of a block: full and empty of each stage; K and V there, and read; dQ of a step read, and there, for each adder; dS of both
// warpgroups there.
template <int STAGES>
struct Barriers {
  uint32_t base;
  __device__ uint32_t full(uint32_t stage) const { return base + stage * 8; }
  __device__ uint32_t empty(uint32_t stage) const { return base + (STAGES + stage) * 8; }
  __device__ uint32_t own_full() const { return base + 2 * STAGES * 8; }
  __device__ uint32_t own_empty() const { return base + (2 * STAGES + 1) * 8; }
  __device__ uint32_t sum_empty() const { return base + (2 * STAGES + 2) * 8; }
  __device__ uint32_t sum_full(uint32_t adder) const { return base + (2 * STAGES + 3 + adder) * 8; }
  __device__ uint32_t scores(uint32_t buffer) const { return base + (2 * STAGES + 3 + kAdders + buffer) * 8; }
  __device__ void init(bool all) const {
    const uint32_t computers = all ? kComputers : kComputers / 32;
    if (threadIdx.x == 0) {
      for (uint32_t i = 0; i < STAGES; ++i) barrier_init(full(i), kLoaders), barrier_init(empty(i), computers);
      barrier_init(own_full(), kLoaders), barrier_init(own_empty(), kComputers + kAdders * 32);
      barrier_init(sum_empty(), 1);
      for (uint32_t i = 0; i < kAdders; ++i) barrier_init(sum_full(i), computers);
      for (uint32_t i = 0; i < 2; ++i) barrier_init(scores(i), computers);
      fence_barriers();
    }
    __syncthreads();
  }
};

// Number of used tiles, found by a whole warp: the unused ones are at the end.
__device__ inline int used_tiles(const Tile* tiles, int capacity) {
  int low = 0, up = capacity;  // the answer lies in [low, up]
  const int lane = int(threadIdx.x) & 31;
  while (up > low) {
    const int step = (up - low + 31) / 32, at = low + lane * step;
    const unsigned used = __ballot_sync(~0u, at < up && tiles[at].doc >= 0);
    const int n = __popc(used);
    if (n == 0) return low;
    const int last = low + (n - 1) * step;  // used
    up = min(up, last + step);
    low = last + 1;
  }
  return low;
}

// Item: a tile of keys and a unit of heads; tile −1 ends the work.
struct Item {
  int tile, unit;
};
__device__ inline Item item_at(const Plan& w, int at, int tiles) {
  const int units = w.last - w.first;
  if (at >= tiles * units) return {-1, 0};
  const int row = tiles * w.chunk, chunk = at / row, rest = at - chunk * row, wide = min(w.chunk, units - chunk * w.chunk);
  return {rest / wide, w.first + chunk * w.chunk + rest % wide};
}

// Starts copying rows [0, valid) of D channels into a tile of ROWS rows, zeros past them, by the loading threads. `p` points to the
// thread's own first chunk, `step` elements below which is its next; `readable` is any valid address.
template <int ROWS, int D>
__device__ inline void load_rows(uint32_t tile, const bf16* p, int step, int valid, const void* readable) {
  constexpr int chunks = D / 8, rows = kLoaders / chunks;  // rows of a round: 4 or 8
  const int row = int(threadIdx.x) / chunks, col = int(threadIdx.x) % chunks * 8;
  const uint32_t to = tile + tile_offset(ROWS, row, col);
  valid -= row;
#pragma unroll 8
  for (int r = 0; r < ROWS; r += rows) {
    copy_async((to ^ uint32_t((r & 7) << 4)) + r * 128, r < valid ? p : readable, r < valid);
    p += step;
  }
}

// d [64, 64] = A·B, both contracted over the 128 rows of their tiles.
__device__ inline void product_rows(float (&d)[32], uint64_t a, uint64_t b) {
#pragma unroll
  for (int k = 0; k < 8; ++k) Wgmma<64>::ss_rows(d, a + row_step(k), b + row_step(k), k > 0);
}

// What the roles of a block share of an item: its place in the table (−1 ends the work), its unit, the first of its query heads, the
// steps of a head, the local position of the first step, and the number of the last step's tile of queries.
struct Slot {
  int tile, unit, head, steps, first, top;
};

template <int D>
__device__ __forceinline__ void load_items(const FlashArgs& a, const Plan& w, const Maps& maps, uint32_t own, uint32_t stages_at, uint32_t statistics,
                                           volatile Slot* slot, const Barriers<Shape<D>::stages>& barriers) {
  using S = Shape<D>;
  constexpr int BM = S::BM;
  const int tiles = used_tiles(w.tiles, int(w.k_capacity));
  Producer producer;
  Ring<S::stages> ring;
  uint32_t round = 0;
  for (;;) {
    Item item{-1, 0};
    if (threadIdx.x == 0) item = item_at(w, atomicAdd(w.queue, 1), tiles);
    producer.acquire(barriers.own_empty(), round ^ 1);
    round ^= 1;
    if (threadIdx.x == 0) slot->tile = item.tile, slot->unit = item.unit;
    meet(2, kLoaders);
    item = {slot->tile, slot->unit};
    if (item.tile < 0) {
      producer.announce(barriers.own_full());
      break;
    }
    const Tile tile = w.tiles[item.tile];
    const Span s = key_span(a, tile, BM);
    const int steps = steps_of(s, BM), head0 = w.head_of(item.unit), group = item.unit % w.hkv, last = s.first + (steps - 1) * BM;
    if (threadIdx.x == 0) slot->head = head0, slot->steps = steps, slot->first = s.first, slot->top = int(query_tile<BM>(a, tile.doc, last / BM));
    const int row = int(threadIdx.x) / (D / 8), col = int(threadIdx.x) % (D / 8) * 8;
    constexpr int rows = kLoaders / (D / 8);
    const int64_t key = s.k0 + tile.from + row;
    // The engine brings whole tiles. At a document's end it would bring rows of the next one: those tiles are copied with zeros instead.
    if (s.rows == kOwnRows) {
      producer.flush();
      if (threadIdx.x == 0) {
        expect_bytes(barriers.own_full(), 2 * S::own);
        copy_tile<kOwnRows, D>(own, maps.k, group, key - row, barriers.own_full());
        copy_tile<kOwnRows, D>(own + S::own, maps.v, group, key - row, barriers.own_full());
      }
      barrier_arrive(barriers.own_full());
    } else {
      load_rows<kOwnRows, D>(own, static_cast<const bf16*>(a.k) + key * a.ldk + group * D + col, rows * int(a.ldk), s.rows, a.k);
      load_rows<kOwnRows, D>(own + S::own, static_cast<const bf16*>(a.v) + key * a.ldv + group * D + col, rows * int(a.ldv), s.rows, a.v);
      producer.announce(barriers.own_full());
    }
    for (int h = 0; h < w.each; ++h) {
      const int64_t first = s.q0 + last;
      const bf16* q = static_cast<const bf16*>(a.q) + (first + row) * a.ldq + (head0 + h) * D + col;
      const bf16* d = static_cast<const bf16*>(a.do_) + (first + row) * a.ldo + (head0 + h) * D + col;
      const float* numbers = w.lse2 + (head0 + h) * a.tq + first + threadIdx.x;
      for (int at = last; at >= s.first; at -= BM) {
        const int there = s.nq - at;
        producer.acquire(barriers.empty(ring.at), ring.round ^ 1);
        const uint32_t stage = stages_at + ring.at * 2 * S::walked;
        const bool whole = there >= BM;
        if (!whole) {
          load_rows<BM, D>(stage, q, rows * int(a.ldq), there, a.q);
          load_rows<BM, D>(stage + S::walked, d, rows * int(a.ldo), there, a.do_);
        } else if (threadIdx.x == 0) {
          expect_bytes(barriers.full(ring.at), 2 * S::walked);
          copy_tile<BM, D>(stage, maps.q, head0 + h, s.q0 + at, barriers.full(ring.at));
          copy_tile<BM, D>(stage + S::walked, maps.d, head0 + h, s.q0 + at, barriers.full(ring.at));
        }
        const uint32_t to = statistics + (ring.at * 2 * BM + threadIdx.x) * 4;
#pragma unroll
        for (int c = 0; c < BM; c += kLoaders) {
          const bool valid = c + int(threadIdx.x) < there;
          copy_async_4(to + c * 4, valid ? numbers + c : w.lse2, valid);
          copy_async_4(to + (BM + c) * 4, valid ? numbers + w.delta_at + c : w.lse2, valid);
        }
        q -= BM * a.ldq, d -= BM * a.ldo, numbers -= BM;
        if (whole) {
          producer.flush();
          arrive_after_copies(barriers.full(ring.at));
        } else {
          producer.announce(barriers.full(ring.at));
        }
        ring.next();
      }
    }
  }
  producer.flush();
  copy_wait<0>();
}

// A warp whose first lane adds dQ of every other step, beginning with the `adder`th of the block, when it is the step's turn: two such
// warps, so that the next sum need not wait until all have seen the last.
template <int D>
__device__ __forceinline__ void add_sums(const Tile* tiles, float* dq, int* dq_turn, int q_capacity, int first_unit, int each, int window, uint32_t sum,
                                      uint32_t adder, const volatile Slot* slot, Barriers<Shape<D>::stages> barriers) {
  using S = Shape<D>;
  constexpr int BM = S::BM;
  const int reach = window + kOwnRows - 1;
  uint32_t round = 0;
  Ring<kAdders> given;
  for (;; round ^= 1) {
    barrier_wait(barriers.own_full(), round);
    const int place = slot->tile, unit = slot->unit, head = slot->head, steps = slot->steps, first = slot->first, top = slot->top;
    barrier_arrive(barriers.own_empty());
    if (place < 0) break;
    if (threadIdx.x % 32 != 0) {
      __syncwarp();
      continue;
    }
    const int key = tiles[place].from / kOwnRows;
    for (int h = 0; h < each; ++h) {
      int* turn = dq_turn + (int64_t(head + h) * q_capacity + top);
      float* to = dq + (int64_t((unit - first_unit) * each + h) * q_capacity + top) * (BM * D);
      for (int at = first + (steps - 1) * BM; at >= first; at -= BM, --turn, to -= BM * D) {
        const Ring<kAdders> step = given;
        given.next();
        if (step.at != adder) continue;
        // Tiles n of keys before this one that walk the queries at `at`: those with 128·n + 127 + window > at.
        const int mine = key - (window > 0 && at >= reach ? (at - reach) / kOwnRows + 1 : 0);
        barrier_wait(barriers.sum_full(adder), step.round);
        if (mine == 0) {
          asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(to), "r"(sum), "n"(S::sum) : "memory");
        } else {
          wait_turn(turn, mine);
          asm volatile("fence.proxy.async.global;" ::: "memory");
          asm volatile("cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 [%0], [%1], %2;" ::"l"(to), "r"(sum), "n"(S::sum) : "memory");
        }
        asm volatile("cp.async.bulk.commit_group;\ncp.async.bulk.wait_group.read 0;" ::: "memory");
        barrier_arrive(barriers.sum_empty());
        asm volatile("cp.async.bulk.wait_group 0;\nfence.proxy.async.global;" ::: "memory");
        store_release(turn, mine + 1);
      }
    }
    __syncwarp();
  }
}

#endif

}  // namespace onepass
}  // namespace nsa::cuda
