// Flash attention backward on wgmma (sm_90a) in two passes, deterministic: dK and dV by blocks that own a tile of keys and walk its
// queries, dQ by blocks that own a tile of queries and walk its keys, as in flash_bwd.cu. One warpgroup copies, two compute 64 rows each.
//
// dK, dV hold Sᵀ = K·Qᵀ and dPᵀ = V·dOᵀ, so that Pᵀ and dSᵀ are the left operands of dV += Pᵀ·dO and dK += dSᵀ·Q as they are.
// Long documents go in one pass (flash_hopper_onepass.cu).
#include <cstdlib>
#include <cstring>

#include "cuda/flash_hopper_bwd.h"
#include "cuda/launch.h"
#include "cuda/rope.h"

namespace nsa::cuda {
namespace {

constexpr int kStages = 3;

// Rows of a walked tile, and bytes of shared memory. A unit is what one barrier announces.
template <int D, int N>
struct Shape {
  static constexpr int BN = N;
  static constexpr uint32_t own = kOwnRows * D * 2, walked = BN * D * 2;
  static constexpr uint32_t stage = 2 * walked, statistics = kStages * 2 * BN * 4;
  // Two buffers of the block's own pair of tiles, the stages, (lse, delta) of each stage, barriers.
  static constexpr uint32_t smem = 4 * own + kStages * stage + statistics + 128 + 1024;
};
template <int D>
using KeyShape = Shape<D, D == 64 ? 128 : 64>;
template <int D>
using QueryShape = Shape<D, D == 64 ? 128 : 64>;

#ifdef NSA_HOPPER

// Barriers of a block: full and empty of each stage, and empty of the two own buffers.
struct Barriers {
  uint32_t base;
  __device__ uint32_t full(uint32_t stage) const { return base + stage * 8; }
  __device__ uint32_t empty(uint32_t stage) const { return base + (kStages + stage) * 8; }
  __device__ uint32_t own(uint32_t buffer) const { return base + (2 * kStages + buffer) * 8; }
  // `readers`: arrivals that free a stage.
  __device__ void init(uint32_t readers) const {
    if (threadIdx.x == 0) {
      for (uint32_t i = 0; i < kStages; ++i) barrier_init(full(i), 128), barrier_init(empty(i), readers);
      for (uint32_t i = 0; i < 2; ++i) barrier_init(own(i), 8);
    }
    __syncthreads();
  }
};

#endif

// Items: (key tile, KV head, split). part: f32 [splits, tk, hkv, 2·D], null when splits = 1.
template <int D>
__global__ void __launch_bounds__(kHopperThreads, 1)
    dkv_kernel(FlashArgs a, const Tile* table, int64_t capacity, const float* lse2, const float* delta, int splits, float* part) {
#ifdef NSA_HOPPER
  using S = KeyShape<D>;
  constexpr int BN = S::BN;
  extern __shared__ char raw[];
  const uint32_t own = (smem_address(raw) + 1023) & ~1023u, walked = own + 4 * S::own, statistics = walked + kStages * S::stage;
  const float* statistics_at = reinterpret_cast<const float*>(raw + (statistics - smem_address(raw)));
  const Barriers barriers{statistics + S::statistics};
  // Every thread reads statistics and arrives for itself: racecheck does not follow a lane through an arrival of its warp.
  barriers.init(256);
  const int heads = int(a.hq / a.hkv), per_tile = int(a.hkv) * splits;
  const int64_t items = capacity * per_tile;
  Ring<kStages> ring;
  Ring<2> mine;
  if (threadIdx.x < 128) {
    registers_down<40>();
    Producer producer;
    for (int64_t round = 0; item_of(round) < items; ++round) {
      const int64_t item = item_of(round);
      const Tile tile = table[item / per_tile];
      if (tile.doc < 0) break;
      const int group = int(item % per_tile) / splits, split = int(item % per_tile) % splits;
      const Span s = key_span(a, tile, BN);
      if (s.end <= s.first) continue;
      producer.acquire(barriers.own(mine.at), mine.round ^ 1);
      const uint32_t k_tile = own + mine.at * 2 * S::own;
      load_tile<kOwnRows, D, 128>(k_tile, static_cast<const bf16*>(a.k) + (s.k0 + tile.from) * a.ldk + group * D, a.ldk, s.rows, D);
      load_tile<kOwnRows, D, 128>(k_tile + S::own, static_cast<const bf16*>(a.v) + (s.k0 + tile.from) * a.ldv + group * D, a.ldv, s.rows, D);
      for (int h = split; h < heads; h += splits)
        for (int at = s.first; at < s.end; at += BN) {
          const int64_t head = group * heads + h;
          const int rows = min(BN, s.nq - at);
          producer.acquire(barriers.empty(ring.at), ring.round ^ 1);
          const uint32_t stage = walked + ring.at * S::stage;
          load_tile<BN, D, 128>(stage, static_cast<const bf16*>(a.q) + (s.q0 + at) * a.ldq + head * D, a.ldq, rows, D);
          load_tile<BN, D, 128>(stage + S::walked, static_cast<const bf16*>(a.do_) + (s.q0 + at) * a.ldo + head * D, a.ldo, rows, D);
          const int64_t first = head * a.tq + s.q0 + at;
#pragma unroll
          for (int i = 0; i < 2 * BN / 128; ++i) {
            const int c = i * 128 + int(threadIdx.x), r = c % BN;
            const float* from = (c < BN ? lse2 : delta) + first;
            copy_async_4(statistics + (ring.at * 2 * BN + c) * 4, r < rows ? from + r : from, r < rows);
          }
          producer.announce(barriers.full(ring.at));
          ring.next();
        }
      mine.next();
    }
    producer.flush();
    copy_wait<0>();
  } else {
    registers_up<232>();
    const int group_of_warps = int(threadIdx.x) / 128 - 1, lane = threadIdx.x & 31, g = lane >> 2, quad = lane & 3;
    const int row0 = group_of_warps * 64 + (int(threadIdx.x) / 32 & 3) * 16 + g;
    const float scale = a.scale * kLog2e;
    for (int64_t round = 0; item_of(round) < items; ++round) {
      const int64_t item = item_of(round);
      const Tile tile = table[item / per_tile];
      if (tile.doc < 0) break;
      const int group = int(item % per_tile) / splits, split = int(item % per_tile) % splits;
      const Span s = key_span(a, tile, BN);
      float dk[D / 2], dv[D / 2];
#pragma unroll
      for (int i = 0; i < D / 2; ++i) dk[i] = dv[i] = 0.f;
      if (s.end > s.first) {
        // Local positions that see this lane's two keys: [from, to); of the tile: every query of [inner_from, inner_to) sees all of it.
        int from[2], to[2];
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          const int j = tile.from + row0 + h * 8;
          from[h] = j < s.nk ? int(min(int64_t(s.nq), j * a.stride + a.block - 1)) : s.nq;
          to[h] = a.window > 0 ? int(min(int64_t(s.nq), j + a.window)) : s.nq;
        }
        const bool whole = s.rows == kOwnRows;
        const int inner_from = int(min(int64_t(s.nq), (tile.from + kOwnRows - 1) * a.stride + a.block - 1));
        const int inner_to = a.window > 0 ? int(min(int64_t(s.nq), tile.from + a.window)) : s.nq;
        const uint32_t k_tile = own + mine.at * 2 * S::own + group_of_warps * 8192;
        const uint64_t k_operand = operand(k_tile, 0), v_operand = operand(k_tile + S::own, 0);
        for (int h = split; h < heads; h += splits)
          for (int at = s.first; at < s.end; at += BN) {
            const uint32_t stage = walked + ring.at * S::stage;
            const uint64_t q_operand = operand(stage, BN * 128), do_operand = operand(stage + S::walked, BN * 128);
            const float* columns = statistics_at + ring.at * 2 * BN + quad * 2;
            float p[BN / 2], dp[BN / 2];
            barrier_wait(barriers.full(ring.at), ring.round);
            wgmma_fence();
            product_ss<D, BN, kOwnRows>(p, k_operand, q_operand);
            wgmma_commit();
            product_ss<D, BN, kOwnRows>(dp, v_operand, do_operand);
            wgmma_commit();
            wgmma_wait<1>();
            hold(p);
#pragma unroll
            for (int n = 0; n < BN / 8; ++n) {
              const float2 l = *reinterpret_cast<const float2*>(columns + n * 8);
#pragma unroll
              for (int e = 0; e < 4; ++e) p[n * 4 + e] = exp2_fast(fmaf(p[n * 4 + e], scale, -(e & 1 ? l.y : l.x)));
            }
            if (!(whole && at >= inner_from && at + BN <= inner_to)) {
#pragma unroll
              for (int i = 0; i < BN / 2; ++i) {
                const int c = at + (i >> 2) * 8 + quad * 2 + (i & 1), half = i >> 1 & 1;
                if (c < from[half] || c >= to[half]) p[i] = 0.f;
              }
            }
            wgmma_wait<0>();
            hold(dp);
            // P and dS are packed together: with P kept for after dV there would be more values than registers.
            uint32_t x[BN / 4], y[BN / 4];
#pragma unroll
            for (int n = 0; n < BN / 8; ++n) {
              const float2 d = *reinterpret_cast<const float2*>(columns + BN + n * 8);
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
            barrier_arrive(barriers.empty(ring.at));
            ring.next();
          }
        release(barriers.own(mine.at));
        mine.next();
      }
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        if (row0 + h * 8 >= s.rows) continue;
        const int64_t key = s.k0 + tile.from + row0 + h * 8;
        if (part) {
          float* to = part + ((split * a.tk + key) * a.hkv + group) * 2 * D + quad * 2;
#pragma unroll
          for (int n = 0; n < D / 8; ++n) {
            *reinterpret_cast<float2*>(to + n * 8) = make_float2(dk[n * 4 + h * 2] * a.scale, dk[n * 4 + h * 2 + 1] * a.scale);
            *reinterpret_cast<float2*>(to + D + n * 8) = make_float2(dv[n * 4 + h * 2], dv[n * 4 + h * 2 + 1]);
          }
          continue;
        }
        turn_back<D>(dk, h, tile.from + row0 + h * 8, a, quad);
        bf16 *dk_row = static_cast<bf16*>(a.dk) + key * a.ldk + group * D + quad * 2, *dv_row = static_cast<bf16*>(a.dv) + key * a.ldv + group * D + quad * 2;
#pragma unroll
        for (int n = 0; n < D / 8; ++n) {
          put(dk_row + n * 8, dk[n * 4 + h * 2] * a.scale, dk[n * 4 + h * 2 + 1] * a.scale, a.add_dkv);
          put(dv_row + n * 8, dv[n * 4 + h * 2], dv[n * 4 + h * 2 + 1], a.add_dkv);
        }
      }
    }
  }
#endif
}

// Items: (query tile, query head).
template <int D>
__global__ void __launch_bounds__(kHopperThreads, 1) dq_kernel(FlashArgs a, const Tile* table, int64_t capacity, const float* lse2, const float* delta) {
#ifdef NSA_HOPPER
  using S = QueryShape<D>;
  constexpr int BN = S::BN;
  extern __shared__ char raw[];
  const uint32_t own = (smem_address(raw) + 1023) & ~1023u, walked = own + 4 * S::own;
  const Barriers barriers{walked + kStages * S::stage};
  barriers.init(8);
  const int heads = int(a.hq / a.hkv);
  const int64_t items = capacity * a.hq;
  Ring<kStages> ring;
  Ring<2> mine;
  if (threadIdx.x < 128) {
    registers_down<40>();
    Producer producer;
    for (int64_t round = 0; item_of(round) < items; ++round) {
      const int64_t item = item_of(round);
      const Tile tile = table[item / a.hq];
      if (tile.doc < 0) break;
      const int head = int(item % a.hq), group = head / heads;
      const Span s = query_span(a, tile, BN);
      if (s.end <= s.first) continue;
      producer.acquire(barriers.own(mine.at), mine.round ^ 1);
      const uint32_t q_tile = own + mine.at * 2 * S::own;
      load_tile<kOwnRows, D, 128>(q_tile, static_cast<const bf16*>(a.q) + (s.q0 + tile.from) * a.ldq + head * D, a.ldq, s.rows, D);
      load_tile<kOwnRows, D, 128>(q_tile + S::own, static_cast<const bf16*>(a.do_) + (s.q0 + tile.from) * a.ldo + head * D, a.ldo, s.rows, D);
      for (int at = s.first; at < s.end; at += BN) {
        const int keys = min(BN, s.end - at);
        producer.acquire(barriers.empty(ring.at), ring.round ^ 1);
        const uint32_t stage = walked + ring.at * S::stage;
        load_tile<BN, D, 128>(stage, static_cast<const bf16*>(a.k) + (s.k0 + at) * a.ldk + group * D, a.ldk, keys, D);
        load_tile<BN, D, 128>(stage + S::walked, static_cast<const bf16*>(a.v) + (s.k0 + at) * a.ldv + group * D, a.ldv, keys, D);
        producer.announce(barriers.full(ring.at));
        ring.next();
      }
      mine.next();
    }
    producer.flush();
    copy_wait<0>();
  } else {
    registers_up<232>();
    const int group_of_warps = int(threadIdx.x) / 128 - 1, lane = threadIdx.x & 31, g = lane >> 2, quad = lane & 3;
    const int row0 = group_of_warps * 64 + (int(threadIdx.x) / 32 & 3) * 16 + g;
    const float scale = a.scale * kLog2e;
    for (int64_t round = 0; item_of(round) < items; ++round) {
      const int64_t item = item_of(round);
      const Tile tile = table[item / a.hq];
      if (tile.doc < 0) break;
      const int head = int(item % a.hq);
      const Span s = query_span(a, tile, BN);
      float dq[D / 2];
#pragma unroll
      for (int i = 0; i < D / 2; ++i) dq[i] = 0.f;
      if (s.end > s.first) {
        float l[2], d[2];
        int from[2], to[2];
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          const int row = row0 + h * 8;
          const int64_t r = head * a.tq + s.q0 + tile.from + row;
          l[h] = row < s.rows ? lse2[r] : INFINITY;
          d[h] = row < s.rows ? delta[r] : 0.f;
          from[h] = int(first_key(a, tile.from + row));
          to[h] = int(end_key(a, tile.from + row, s.nk));
        }
        const int inner_from = int(first_key(a, tile.from + s.rows - 1)), inner_to = int(end_key(a, tile.from, s.nk));
        const uint32_t q_tile = own + mine.at * 2 * S::own + group_of_warps * 8192;
        const uint64_t q_operand = operand(q_tile, 0), do_operand = operand(q_tile + S::own, 0);
        uint32_t x[BN / 4], before = ring.at;
        for (int at = s.first; at < s.end; at += BN) {
          const uint32_t stage = walked + ring.at * S::stage;
          const uint64_t k_operand = operand(stage, BN * 128), v_operand = operand(stage + S::walked, BN * 128);
          float p[BN / 2], dp[BN / 2];
          barrier_wait(barriers.full(ring.at), ring.round);
          wgmma_fence();
          product_ss<D, BN, kOwnRows>(p, q_operand, k_operand);
          wgmma_commit();
          product_ss<D, BN, kOwnRows>(dp, do_operand, v_operand);
          wgmma_commit();
          // The dQ of the step before has run beside these two.
          wgmma_wait<1>();
          hold(p);
          hold(dq);
          if (at > s.first) release(barriers.empty(before));
#pragma unroll
          for (int i = 0; i < BN / 2; ++i) p[i] = exp2_fast(fmaf(p[i], scale, -l[i >> 1 & 1]));
          if (!(at >= inner_from && at + BN <= inner_to)) {
#pragma unroll
            for (int i = 0; i < BN / 2; ++i) {
              const int c = at + (i >> 2) * 8 + quad * 2 + (i & 1), half = i >> 1 & 1;
              if (c < from[half] || c >= to[half]) p[i] = 0.f;
            }
          }
          wgmma_wait<0>();
          hold(dp);
#pragma unroll
          for (int i = 0; i < BN / 2; ++i) dp[i] = p[i] * (dp[i] - d[i >> 1 & 1]);
          pack_a(x, dp);
          wgmma_fence();
          product_rs<D, BN>(dq, x, k_operand);
          wgmma_commit();
          before = ring.at;
          ring.next();
        }
        wgmma_wait<0>();
        hold(dq);
        release(barriers.empty(before));
        release(barriers.own(mine.at));
        mine.next();
      }
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        if (row0 + h * 8 >= s.rows) continue;
        turn_back<D>(dq, h, tile.from + row0 + h * 8, a, quad);
        bf16* row = static_cast<bf16*>(a.dq) + (s.q0 + tile.from + row0 + h * 8) * a.ldq + head * D + quad * 2;
#pragma unroll
        for (int n = 0; n < D / 8; ++n) put(row + n * 8, dq[n * 4 + h * 2] * a.scale, dq[n * 4 + h * 2 + 1] * a.scale, a.add_dq);
      }
    }
  }
#endif
}

template <int D>
int launch(void* ctx, FlashArgs a) {
  const int64_t q_tiles = tile_capacity(a.tq, a.n_docs, kOwnRows), k_tiles = tile_capacity(a.tk, a.n_docs, kOwnRows), heads = a.hq / a.hkv;
  const int sms = context(ctx).sm_count;
  const auto splits = int(std::min(heads, std::max<int64_t>(1, ceil_div(int64_t(sms) * 4, std::max<int64_t>(1, (a.tk / kOwnRows) * a.hkv)))));
  Scratch statistics(ctx, size_t(a.tq * a.hq) * 8), tables(ctx, size_t(q_tiles + k_tiles) * 2 * sizeof(Tile)),
      part(ctx, splits > 1 ? size_t(splits * a.tk * a.hkv * 2 * D) * 4 : 0);
  if (!statistics || !tables || !part) return out_of_memory(ctx);
  auto stream = context(ctx).stream;
  float *lse2 = statistics.as<float>(), *delta = lse2 + a.tq * a.hq;
  Tile *q_table = tables.as<Tile>(), *k_table = q_table + q_tiles;
  if (int status = check(ctx, cudaFuncSetAttribute(dkv_kernel<D>, cudaFuncAttributeMaxDynamicSharedMemorySize, int(KeyShape<D>::smem)))) return status;
  if (int status = check(ctx, cudaFuncSetAttribute(dq_kernel<D>, cudaFuncAttributeMaxDynamicSharedMemorySize, int(QueryShape<D>::smem)))) return status;
  make_statistics<D>(a, lse2, delta, stream);
  work_table_kernel<<<2, 1024, 0, stream>>>(a, kOwnRows, QueryShape<D>::BN, KeyShape<D>::BN, q_table, q_tiles, k_table, k_tiles, k_table + k_tiles);
  if (a.tk > 0) {
    dkv_kernel<D><<<unsigned(std::min<int64_t>(sms, k_tiles * a.hkv * splits)), kHopperThreads, KeyShape<D>::smem, stream>>>(
        a, k_table, k_tiles, lse2, delta, splits, part.as<float>());
    if (splits > 1) {
      flash_join(ctx, a, part.as<float>(), splits);
      if (a.cos) {
        const NsaBuf dk{a.dk, (a.tk - 1) * a.ldk + a.hkv * D, NSA_BF16, 0}, cos{const_cast<float*>(a.cos), 0, NSA_F32, 0}, sin{const_cast<float*>(a.sin), 0, NSA_F32, 0},
            positions{const_cast<int32_t*>(a.positions), a.tk, NSA_I32, 0};
        Nsa_rope_params turn{dk, dk, cos, sin, positions, a.tk, a.hkv, D, D, a.ldk, a.ldk, 1};
        if (int status = rope(ctx, &turn)) return status;
      }
    }
  }
  dq_kernel<D><<<unsigned(std::min<int64_t>(sms, q_tiles * a.hq)), kHopperThreads, QueryShape<D>::smem, stream>>>(a, q_table, q_tiles, lse2, delta);
  return launched(ctx);
}

}  // namespace

int flash_bwd_twopass(void* ctx, FlashArgs a) { return a.dim_k == 64 ? launch<64>(ctx, a) : launch<128>(ctx, a); }

int flash_bwd_hopper(void* ctx, FlashArgs a) {
  // One pass has two products fewer to make a step and more to do before and after a walk: it gains where walks are long and there are
  // many, on average over the documents. Figures are in docs/LOG.md.
  const char* wanted = std::getenv("NSA_FLASH");
  const int64_t docs = std::max<int64_t>(1, a.n_docs), queries = a.tq / docs, keys = a.tk / docs;
  const int64_t long_enough = a.dim_k == 128 ? 4096 : a.window > 0 ? 16384 : 8192;
  bool one = queries >= long_enough && keys >= 768;
  if (wanted && std::strcmp(wanted, "onepass") == 0) one = true;
  if (wanted && std::strcmp(wanted, "twopass") == 0) one = false;
  return one ? flash_bwd_onepass(ctx, a) : flash_bwd_twopass(ctx, a);
}

}  // namespace nsa::cuda
