// dk and dv of selected attention on wgmma (sm_90a), bf16, head dims 64/64 and 128/128, selection blocks of at most 64 keys.
//
// A block of threads takes a stretch of the list of (block, query) pairs sorted by block, as in nsa_selected_mma.cu. One warpgroup
// gathers the (query, head) rows of the list, up to BN at a time, into a ring; two others take tiles in turn, both with all keys of the
// block and sums of their own, which are joined where the run of the block ends. Sᵀ and dPᵀ have keys as rows, so that Pᵀ and
// dSᵀ are the left operands of dV += Pᵀ·dO and dK += dSᵀ·Q from registers.
#include <algorithm>

#include "cuda/convert.h"
#include "cuda/documents.h"
#include "cuda/flash_hopper.h"
#include "cuda/hopper.h"
#include "cuda/nsa_selected.h"
#include "cuda/tensor_map.h"

namespace nsa::cuda {
namespace {

constexpr float kLog2e = 1.4426950408889634f;
constexpr int kStages = 4, kKeys = 64, kThreads = 384;

template <int D>
struct Shape {
  static constexpr int BN = D == 64 ? 128 : 64;
  static constexpr uint32_t own = kKeys * D * 2, walked = BN * D * 2, stage = 2 * walked;
  static_assert(2 * own == kKeys * D * 4);  // keys and values make room for sums of one of their gradients
  // Of each stage: lse, delta and row of the query.
  static constexpr uint32_t statistics = kStages * 3 * BN * 4;
  static constexpr uint32_t smem = 4 * own + kStages * stage + statistics + 128 + 1024;
};

// Maps of q and do; `engine`: the bulk copy engine brings the heads of a query into whole tiles.
struct Maps {
  CUtensorMap q, d;
  bool engine;
};

#ifdef NSA_HOPPER

// 4 bytes, zero when not `valid`.
__device__ inline void copy_async_4(uint32_t to, const void* from, bool valid) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(from), "r"(valid ? 4 : 0) : "memory");
}
__device__ inline void computing_barrier() { asm volatile("bar.sync 1, 256;" ::: "memory"); }

// Full and empty of each stage, and empty of the two buffers of keys and values.
struct Barriers {
  uint32_t base;
  __device__ uint32_t full(uint32_t stage) const { return base + stage * 8; }
  __device__ uint32_t empty(uint32_t stage) const { return base + (kStages + stage) * 8; }
  __device__ uint32_t own(uint32_t buffer) const { return base + (2 * kStages + buffer) * 8; }
  // `of_warp`: arrivals of a warp that lets a buffer go.
  __device__ void init(uint32_t of_warp) const {
    if (threadIdx.x == 0) {
      for (uint32_t i = 0; i < kStages; ++i) barrier_init(full(i), 128), barrier_init(empty(i), 4 * of_warp);
      for (uint32_t i = 0; i < 2; ++i) barrier_init(own(i), 8 * of_warp);
      fence_barriers();
    }
    __syncthreads();
  }
};

// How the (query, head) rows of a run are cut into tiles of BN: whole queries where one fits, else one query's heads BN at a time.
template <int BN>
struct Cut {
  int heads, queries, parts;  // of a tile; tiles of a query
  __device__ explicit Cut(int heads) : heads(heads), queries(max(1, BN / heads)), parts((heads + BN - 1) / BN) {}
  __device__ int tiles(int pairs) const { return parts > 1 ? pairs * parts : (pairs + queries - 1) / queries; }
};

// The run of pairs of one block inside the stretch.
struct Run {
  int64_t end, start, kv;
  int key, count, pairs;  // keys of the block; queries
};
__device__ inline Run run_at(const SelectedArgs& a, const SelectedList& list, int64_t at, int64_t to) {
  Run r;
  r.key = list.pairs[at].x;
  r.end = run_end(list, at, to);
  const SelectedBlock block = block_of(a, r.key);
  r.start = block.start, r.kv = block.kv;
  r.count = int(selected_keys(a, r.start));
  r.pairs = int(r.end - at);
  return r;
}

// Adds what the other computing warpgroup has in `sum` to that of the first.
template <int N>
__device__ inline void join(float (&sum)[N], float* buffer, bool first) {
  const int tid = threadIdx.x & 127;
  if (!first) {
#pragma unroll
    for (int i = 0; i < N; ++i) buffer[i * 128 + tid] = sum[i];
  }
  computing_barrier();
  if (first) {
#pragma unroll
    for (int i = 0; i < N; ++i) sum[i] += buffer[i * 128 + tid];
  }
  computing_barrier();
}

#endif

template <int D>
__global__ void __launch_bounds__(kThreads, 1) dkv_kernel(SelectedArgs a, SelectedList list, const __grid_constant__ Maps maps) {
#ifdef NSA_HOPPER
  using S = Shape<D>;
  constexpr int BN = S::BN;
  extern __shared__ char raw[];
  const uint32_t own = (smem_address(raw) + 1023) & ~1023u, walked = own + 4 * S::own, statistics = walked + kStages * S::stage;
  const char* statistics_at = raw + (statistics - smem_address(raw));
  const Barriers barriers{statistics + S::statistics};
  barriers.init(a.all_arrive ? 32 : 1);
  const Cut<BN> cut(int(a.hq / a.hkv));
  const int64_t from = blockIdx.x * list.stretch, to = min(list.n, from + list.stretch);
  Ring<kStages> ring;
  Ring<2> mine;
  if (threadIdx.x < 128) {
    registers_down<40>();
    // A warp copies a quarter of a tile. Each lane finds one of its rows, two tiles ahead, and the others ask it where that is: this
    // warpgroup has one warp a scheduler, and every instruction of it is felt.
    constexpr int chunks = D / 8, quarter = BN / 4, together = 32 / chunks;  // rows of a warp, and those it copies at once
    const int lane = int(threadIdx.x) & 31, mine_of_tile = int(threadIdx.x) / 32 * quarter + lane % quarter, col = lane % chunks * 8;
    const int query_of_tile = mine_of_tile / cut.heads, head_of_tile = mine_of_tile % cut.heads, hq = int(a.hq);
    const unsigned ldq = unsigned(a.ldq / 8), ldo = unsigned(a.ldo / 8);  // in units of 16 bytes, like all offsets below
    constexpr unsigned kNone = ~0u;
    const uint32_t offset = tile_offset(BN, int(threadIdx.x) / 32 * quarter + lane / chunks, col);
    Producer producer;
    for (int64_t at = from; at < to && !is_absent(a, list.pairs[at].x);) {
      const Run run = run_at(a, list, at, to);
      producer.acquire(barriers.own(mine.at), mine.round ^ 1);
      const uint32_t k_tile = own + mine.at * 2 * S::own;
      load_tile<kKeys, D, 128>(k_tile, static_cast<const bf16*>(a.k) + run.start * a.ldk + run.kv * D, a.ldk, run.count, D);
      load_tile<kKeys, D, 128>(k_tile + S::own, static_cast<const bf16*>(a.v) + run.start * a.ldv + run.kv * D, a.ldv, run.count, D);
      const int head0 = int(run.kv) * cut.heads, tiles = cut.tiles(run.pairs);
      const auto *q = static_cast<const bf16*>(a.q) + head0 * D + col, *gradient = static_cast<const bf16*>(a.do_) + head0 * D + col;
      const int2* pairs = list.pairs + at;
      auto head_in = [&](int tile) { return cut.parts == 1 ? head_of_tile : head_of_tile + tile % cut.parts * BN; };
      auto fetch = [&](int tile) {
        const int pair = cut.parts == 1 ? query_of_tile + tile * cut.queries : tile / cut.parts;
        return query_of_tile < cut.queries && pair < run.pairs && head_in(tile) < cut.heads ? pairs[pair].y : -1;
      };
      int row = fetch(0), next = fetch(1);
      for (int tile = 0; tile < tiles; ++tile) {
        producer.acquire(barriers.empty(ring.at), ring.round ^ 1);
        const int after_next = fetch(tile + 2), head = head_in(tile);
        // A whole tile's queries come by the engine, one a lane; a run's first tile, announced together with the keys and values, its
        // last, and groups that do not fit come by the warps' own copies.
        if (maps.engine && tile > 0 && (tile + 1) * cut.queries <= run.pairs) {
          const uint32_t full = barriers.full(ring.at);
          if (lane < quarter) {
            if (head_of_tile == 0) {
              expect_bytes(full, cut.heads * D * 4);
              const uint32_t to = walked + ring.at * S::stage + mine_of_tile * 128;
#pragma unroll
              for (int panel = 0; panel < D / 64; ++panel) {
                copy_heads(to + panel * BN * 128, maps.q, panel * 64, head0, row, full);
                copy_heads(to + S::walked + panel * BN * 128, maps.d, panel * 64, head0, row, full);
              }
            }
            const int64_t of = int64_t(row) * hq + head0 + head;
            const uint32_t to = statistics + (ring.at * 3 * BN + mine_of_tile) * 4;
            copy_async_4(to, a.lse + of, true);
            copy_async_4(to + BN * 4, a.delta + of, true);
            copy_async_4(to + 2 * BN * 4, &pairs[query_of_tile + tile * cut.queries].y, true);
          }
          producer.flush();
          arrive_after_copies(full);
          row = next, next = after_next;
          ring.next();
          continue;
        }
        const unsigned q_mine = row < 0 ? kNone : unsigned(row) * ldq + head * (D / 8), do_mine = unsigned(row) * ldo + head * (D / 8);
        const uint32_t stage = walked + ring.at * S::stage + offset;
#pragma unroll
        for (int i = 0; i < quarter / together; ++i) {
          const unsigned q_at = __shfl_sync(~0u, q_mine, i * together + lane / chunks), do_at = __shfl_sync(~0u, do_mine, i * together + lane / chunks);
          const bool in = q_at != kNone;
          const uint32_t to = (stage ^ uint32_t((i * together & 7) << 4)) + i * together * 128;
          copy_async(to, q + (in ? uint64_t(q_at) * 8 : 0), in);
          copy_async(to + S::walked, gradient + (in ? uint64_t(do_at) * 8 : 0), in);
        }
        if (lane < quarter) {
          const bool in = row >= 0;
          const int64_t of = in ? int64_t(row) * hq + head0 + head : 0;
          const uint32_t to = statistics + (ring.at * 3 * BN + mine_of_tile) * 4;
          copy_async_4(to, a.lse + of, in);
          copy_async_4(to + BN * 4, a.delta + of, in);
          asm volatile("st.shared.s32 [%0], %1;" ::"r"(to + 2 * BN * 4), "r"(row) : "memory");
        }
        row = next, next = after_next;
        producer.announce(barriers.full(ring.at));
        ring.next();
      }
      mine.next();
      at = run.end;
    }
    producer.flush();
    copy_wait<0>();
  } else {
    registers_up<232>();
    const int group = int(threadIdx.x) / 128 - 1, lane = threadIdx.x & 31, g = lane >> 2, quad = lane & 3;
    const int row0 = (int(threadIdx.x) / 32 & 3) * 16 + g;
    const float scale = a.scale * kLog2e;
    for (int64_t at = from; at < to && !is_absent(a, list.pairs[at].x);) {
      const Run run = run_at(a, list, at, to);
      const uint32_t k_tile = own + mine.at * 2 * S::own;
      const uint64_t k_operand = operand(k_tile, 0), v_operand = operand(k_tile + S::own, 0);
      float dk[D / 2], dv[D / 2];
#pragma unroll
      for (int i = 0; i < D / 2; ++i) dk[i] = dv[i] = 0.f;
      int turn = 0;
      for (int tile = cut.tiles(run.pairs); tile > 0; --tile, turn ^= 1) {
        if (turn == group) {
          const uint32_t stage = walked + ring.at * S::stage;
          const uint64_t q_operand = operand(stage, BN * 128), do_operand = operand(stage + S::walked, BN * 128);
          const char* columns = statistics_at + ring.at * 3 * BN * 4 + quad * 8;
          const int* rows = reinterpret_cast<const int*>(statistics_at + (ring.at * 3 + 2) * BN * 4);
          float p[BN / 2], dp[BN / 2];
          barrier_wait(barriers.full(ring.at), ring.round);
          wgmma_fence();
          product_ss<D, BN, kKeys>(p, k_operand, q_operand);
          wgmma_commit();
          product_ss<D, BN, kKeys>(dp, v_operand, do_operand);
          wgmma_commit();
          wgmma_wait<1>();
          hold(p);
#pragma unroll
          for (int n = 0; n < BN / 8; ++n) {
            const float2 l = *reinterpret_cast<const float2*>(columns + n * 32);
#pragma unroll
            for (int e = 0; e < 4; ++e) p[n * 4 + e] = exp2_fast(fmaf(p[n * 4 + e], scale, -kLog2e * (e & 1 ? l.y : l.x)));
          }
          // Queries of a run ascend: when the first of the tile sees the whole block, all do. Rows that are none, −1, are the last.
          const int start = int(run.start);
          if (rows[BN - 1] < 0 || rows[0] < start + kKeys - 1) {
#pragma unroll
            for (int i = 0; i < BN / 2; ++i) {
              const int c = (i >> 2) * 8 + quad * 2 + (i & 1), key = start + row0 + (i >> 1 & 1) * 8;
              if (key > rows[c]) p[i] = 0.f;
            }
          }
          wgmma_wait<0>();
          hold(dp);
          uint32_t x[BN / 4], y[BN / 4];
#pragma unroll
          for (int n = 0; n < BN / 8; ++n) {
            const float2 d = *reinterpret_cast<const float2*>(columns + BN * 4 + n * 32);
#pragma unroll
            for (int i = n * 4; i < n * 4 + 4; i += 2) {
              x[i / 2] = pack_bf16(p[i], p[i + 1]);
              y[i / 2] = pack_bf16(p[i] * (dp[i] - d.x), p[i + 1] * (dp[i + 1] - d.y));
            }
          }
          wgmma_fence();
          product_rs<D, BN>(dv, x, do_operand);
          product_rs<D, BN>(dk, y, q_operand);
          wgmma_commit();
          wgmma_wait<0>();
          hold(dv);
          hold(dk);
          release(barriers.empty(ring.at), a.all_arrive);
        }
        ring.next();
      }
      // Through the keys and values, which neither needs any more.
      auto* joined = reinterpret_cast<float*>(raw + (k_tile - smem_address(raw)));
      computing_barrier();
      join(dk, joined, group == 0);
      join(dv, joined, group == 0);
      release(barriers.own(mine.at), a.all_arrive);
      mine.next();
      const bool before = at == from && at > 0 && list.pairs[at - 1].x == run.key, goes_on = run.end == to && to < list.n && list.pairs[to].x == run.key;
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const int local = row0 + h * 8;
        if (group != 0 || local >= run.count) continue;
        if (before || goes_on) {
          float* part = list.partial + ((int64_t(blockIdx.x) * 2 + (before ? 0 : 1)) * a.block + local) * (2 * D) + quad * 2;
#pragma unroll
          for (int n = 0; n < D / 8; ++n) {
            *reinterpret_cast<float2*>(part + n * 8) = make_float2(dk[n * 4 + h * 2] * a.scale, dk[n * 4 + h * 2 + 1] * a.scale);
            *reinterpret_cast<float2*>(part + D + n * 8) = make_float2(dv[n * 4 + h * 2], dv[n * 4 + h * 2 + 1]);
          }
          continue;
        }
        bf16* to_k = static_cast<bf16*>(a.dk) + (run.start + local) * a.ldk + run.kv * D + quad * 2;
        bf16* to_v = static_cast<bf16*>(a.dv) + (run.start + local) * a.ldv + run.kv * D + quad * 2;
#pragma unroll
        for (int n = 0; n < D / 8; ++n) {
          const float k_x = dk[n * 4 + h * 2] * a.scale, k_y = dk[n * 4 + h * 2 + 1] * a.scale, v_x = dv[n * 4 + h * 2], v_y = dv[n * 4 + h * 2 + 1];
          *reinterpret_cast<uint32_t*>(to_k + n * 8) = pack_bf16(to_float(to_k[n * 8]) + k_x, to_float(to_k[n * 8 + 1]) + k_y);
          *reinterpret_cast<uint32_t*>(to_v + n * 8) = pack_bf16(to_float(to_v[n * 8]) + v_x, to_float(to_v[n * 8 + 1]) + v_y);
        }
      }
      at = run.end;
    }
  }
#endif
}

template <int D>
int launch(void* ctx, const SelectedArgs& a, const SelectedList& list) {
  // The engine's boxes are whole groups of 8 rows of a panel, and a copying warp's quarter of a tile is made of whole queries.
  const int64_t heads = a.hq / a.hkv;
  Maps maps{};
  maps.engine = heads % 8 == 0 && Shape<D>::BN / 4 % heads == 0;
  if (maps.engine) {
    if (int status = heads_map(ctx, maps.q, a.q, a.rows, a.hq, D, a.ldq, int(heads))) return status;
    if (int status = heads_map(ctx, maps.d, a.do_, a.rows, a.hq, D, a.ldo, int(heads))) return status;
  }
  if (int status = check(ctx, cudaFuncSetAttribute(dkv_kernel<D>, cudaFuncAttributeMaxDynamicSharedMemorySize, int(Shape<D>::smem)))) return status;
  dkv_kernel<D><<<unsigned(ceil_div(list.n, list.stretch)), kThreads, Shape<D>::smem, context(ctx).stream>>>(a, list, maps);
  return launched(ctx);
}

}  // namespace

bool selected_hopper_takes(void* ctx, const SelectedArgs& a) {
  return hopper_wanted(ctx) && selected_mma_takes(a) && a.dim_k == a.dim_v && (a.dim_k == 64 || a.dim_k == 128) && a.block <= kKeys &&
         a.rows * std::max(a.ldq, a.ldo) / 8 < int64_t(UINT32_MAX);
}

int selected_dkv_hopper(void* ctx, const SelectedArgs& a, const SelectedList& list) {
  return a.dim_k == 64 ? launch<64>(ctx, a, list) : launch<128>(ctx, a, list);
}

}  // namespace nsa::cuda
