// Flash attention backward in one pass on wgmma (sm_90a): a block owns 128 keys, walks their queries, and makes S and dP once for all
// three gradients (5 products). dK and dV stay in registers; dQ is summed in f32 in global memory, in a fixed order.
//
//   warps 0-1   K, V of an item, then (Q, dO, lse, delta) of its steps into a ring of stages: whole tiles by the bulk copy engine, those
//               at a document's end and the statistics by cp.async
//   warps 2-3   take the steps in turn: wait for the block's turn at a tile of queries, add its dQ by one bulk reduction, give the turn on
//   warps 4-11  two warpgroups of 64 keys: Sᵀ = K·Qᵀ, dPᵀ = V·dOᵀ, then dV += Pᵀ·dO and dK += dSᵀ·Q from registers;
//               dSᵀ goes to shared memory, where both read it for dQ = dS·K (half of the tile each)
//
// Order. The tiles of keys that see a tile of queries add to its dQ in ascending order, counted by an integer of that tile. A block
// walks queries from last to first, and items (tile of keys, heads) are taken off one queue in ascending order of keys: an item starts
// no earlier than the one it waits for, walks at the same pace one step behind it, and the last items are the shortest.
// Nobody waits for ever: an item waits for earlier items of the queue alone, a block takes an item only when it is running and works
// on its items in the order of the queue, so that the earliest unfinished item never waits.
#include <algorithm>
#include <cstdlib>

#include "cuda/flash_hopper_onepass.h"
#include "cuda/launch.h"
#include "cuda/tensor_map.h"

namespace nsa::cuda {
namespace {

using namespace onepass;

template <int D>
__global__ void __launch_bounds__(kHopperThreads, 1) onepass_kernel(const __grid_constant__ FlashArgs a, const __grid_constant__ Plan w,
                                                                    const __grid_constant__ Maps maps) {
#ifdef NSA_HOPPER
  using S = Shape<D>;
  constexpr int BM = S::BM;
  extern __shared__ char raw[];
  const uint32_t own = (smem_address(raw) + 1023) & ~1023u, scores = own + 2 * S::own, sum = scores + 2 * S::scores, stages_at = sum + S::sum,
                 statistics = stages_at + S::stages * 2 * S::walked;
  char* at_own = raw + (own - smem_address(raw));
  const float* statistics_at = reinterpret_cast<const float*>(at_own + (statistics - own));
  const Barriers<S::stages> barriers{statistics + S::statistics};
  volatile Slot* slot = reinterpret_cast<volatile Slot*>(at_own + (statistics - own) + S::statistics + 192);
  const bool all = w.all_arrive;
  barriers.init(all);
  if (threadIdx.x < 128) {
    registers_down<40>();
    // Uniform for the compiler too, which spills otherwise.
    const int warp = __shfl_sync(~0u, int(threadIdx.x) / 32, 0);
    if (warp < kLoaders / 32) {
      load_items<D>(a, w, maps, own, stages_at, statistics, slot, barriers);
    } else if (warp < kLoaders / 32 + kAdders) {
      const int window = int(min(a.window, int64_t(1) << 30));
      add_sums<D>(w.tiles, w.dq, w.dq_turn, int(w.q_capacity), w.first, w.each, window, sum, uint32_t(warp - kLoaders / 32), slot, barriers);
    }
  } else {
    registers_up<232>();
    const int group_of_warps = __shfl_sync(~0u, int(threadIdx.x) / 128, 0) - 1;  // uniform for the compiler too
    const int lane = threadIdx.x & 31, g = lane >> 2, quad = lane & 3, in_group = int(threadIdx.x) & 127;
    const int row0 = group_of_warps * 64 + (int(threadIdx.x) / 32 & 3) * 16 + g;
    const float scale = a.scale * kLog2e;
    const uint32_t k_tile = own + group_of_warps * 8192;
    const uint64_t k_operand = operand(k_tile, 0), v_operand = operand(k_tile + S::own, 0);
    // dQ: heads of 128 are halved by channel, heads of 64 by query.
    const uint64_t k_rows = operand(own + (D == 128 ? group_of_warps * kOwnRows * 128 : 0), 0);
    const uint32_t scores_read = scores + (D == 64 ? group_of_warps * kOwnRows * 128 : 0);
    const uint32_t scores_write = a_base(scores, row0 - g);
    float4* sum_at = reinterpret_cast<float4*>(at_own + (sum - own)) + group_of_warps * 1024 + in_group;
    Ring<S::stages> ring;
    Ring<2> buffer, before;
    Ring<kAdders> given;
    uint32_t round = 0;
    for (;; round ^= 1) {
      barrier_wait(barriers.own_full(), round);
      const Item item{slot->tile, slot->unit};
      if (item.tile < 0) break;
      const Tile tile = w.tiles[item.tile];
      const Span s = key_span(a, tile, BM);
      const int each_steps = steps_of(s, BM), last = s.first + (each_steps - 1) * BM;
      float dk[D / 2], dv[D / 2];
#pragma unroll
      for (int i = 0; i < D / 2; ++i) dk[i] = dv[i] = 0.f;
      if (each_steps > 0) {
        // Local positions that see this lane's two keys: [from, to); of the tile: every query of [inner_from, inner_to) sees all of it.
        int from[2], to[2];
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          const int j = tile.from + row0 + h * 8;
          from[h] = j < s.nk ? int(min(int64_t(s.nq), j * a.stride + a.block - 1)) : s.nq;
          to[h] = a.window > 0 ? int(min(int64_t(s.nq), j + a.window)) : s.nq;
        }
        const int inner_from = s.rows == kOwnRows ? int(min(int64_t(s.nq), (tile.from + kOwnRows - 1) * a.stride + a.block - 1)) : s.nq;
        const int inner_to = a.window > 0 ? int(min(int64_t(s.nq), tile.from + a.window)) : s.nq;
        int at = last;
        uint32_t x[BM / 4], y[BM / 4];
        // P of the step in `ring`, in place of S.
        auto weigh = [&](float (&p)[BM / 2]) {
          const float* columns = statistics_at + ring.at * 2 * BM + quad * 2;
#pragma unroll
          for (int n = 0; n < BM / 8; ++n) {
            const float2 l = *reinterpret_cast<const float2*>(columns + n * 8);
#pragma unroll
            for (int e = 0; e < 4; ++e) p[n * 4 + e] = exp2_fast(fmaf(p[n * 4 + e], scale, -(e & 1 ? l.y : l.x)));
          }
          if (!(at >= inner_from && at + BM <= inner_to)) {
#pragma unroll
            for (int i = 0; i < BM / 2; ++i) {
              const int c = at + (i >> 2) * 8 + quad * 2 + (i & 1), half = i >> 1 & 1;
              if (c < from[half] || c >= to[half]) p[i] = 0.f;
            }
          }
        };
        // P and dS as left operands in x and y, dS also in shared memory. Its two buffers take turns: who writes one has seen the other
        // warpgroup write the one before, which it does after its last reading of this one.
        auto pack = [&](float (&p)[BM / 2], float (&dp)[BM / 2]) {
          const float* columns = statistics_at + ring.at * 2 * BM + BM + quad * 2;
#pragma unroll
          for (int n = 0; n < BM / 8; ++n) {
            const float2 d = *reinterpret_cast<const float2*>(columns + n * 8);
#pragma unroll
            for (int i = n * 4; i < n * 4 + 4; i += 2) {
              x[i / 2] = pack_bf16(p[i], p[i + 1]);
              y[i / 2] = pack_bf16(p[i] * (dp[i] - d.x), p[i + 1] * (dp[i + 1] - d.y));
            }
          }
#pragma unroll
          for (int n = 0; n < BM / 8; n += 2)
            store_matrix(at_column(scores_write + buffer.at * S::scores, kOwnRows, n * 8), y[2 * n], y[2 * n + 1], y[2 * n + 2], y[2 * n + 3]);
#pragma unroll
          for (int i = 0; i < BM / 4; ++i) asm volatile("" : "+r"(x[i]), "+r"(y[i])::"memory");
          fence_async_proxy();
          release(barriers.scores(buffer.at), all);
          before = buffer;
          buffer.next();
        };
        auto stage_at = [&] { return stages_at + ring.at * 2 * S::walked; };
        auto issue_s = [&](float (&p)[BM / 2]) {
          wgmma_fence();
          product_ss<D, BM, kOwnRows>(p, k_operand, operand(stage_at(), BM * 128));
          wgmma_commit();
        };
        auto issue_dp = [&](float (&dp)[BM / 2]) {
          wgmma_fence();
          product_ss<D, BM, kOwnRows>(dp, v_operand, operand(stage_at() + S::walked, BM * 128));
          wgmma_commit();
        };
        auto issue_dkv = [&] {
          wgmma_fence();
          product_rs<D, BM>(dv, x, operand(stage_at() + S::walked, BM * 128));
          product_rs<D, BM>(dk, y, operand(stage_at(), BM * 128));
          wgmma_commit();
        };
        auto next_step = [&] {
          release(barriers.empty(ring.at), all);
          ring.next();
          at = at == s.first ? last : at - BM;
        };
        // From the buffer written last.
        auto issue_dq = [&](float (&dq)[32]) {
          wgmma_fence();
          product_rows(dq, operand(scores_read + (buffer.at ^ 1) * S::scores, 0), k_rows);
          wgmma_commit();
        };
        auto give_dq = [&](float (&dq)[32]) {
          barrier_wait(barriers.sum_empty(), given.at ^ 1);
#pragma unroll
          for (int i = 0; i < 8; ++i) sum_at[i * 128] = make_float4(dq[i * 4], dq[i * 4 + 1], dq[i * 4 + 2], dq[i * 4 + 3]);
          fence_async_proxy();
          release(barriers.sum_full(given.at), all);
          given.next();
        };
        if constexpr (D == 128) {
          // dQ of a step is made in the next, behind S, when the other warpgroup has long stored its half of dS: the two may be half a
          // step apart. The first step's dQ is of no step and goes nowhere.
          bool begun = false;
          for (int step = each_steps * w.each; step > 0; --step) {
            float p[BM / 2], dp[BM / 2], dq[32];
            barrier_wait(barriers.full(ring.at), ring.round);
            issue_s(p);
            if (begun) barrier_wait(barriers.scores(before.at), before.round);
            issue_dq(dq);
            wgmma_wait<1>();
            hold(p);
            weigh(p);
            wgmma_wait<0>();
            hold(dq);
            if (begun) give_dq(dq);
            begun = true;
            issue_dp(dp);
            wgmma_wait<0>();
            hold(dp);
            pack(p, dp);
            issue_dkv();
            wgmma_wait<0>();
            hold(dk), hold(dv);
            next_step();
          }
          float dq[32];
          barrier_wait(barriers.scores(before.at), before.round);
          issue_dq(dq);
          wgmma_wait<0>();
          hold(dq);
          give_dq(dq);
        } else {
          // With twice the exponentials, S and dP together and dQ at once are faster.
          for (int step = each_steps * w.each; step > 0; --step) {
            float p[BM / 2], dp[BM / 2], dq[32];
            barrier_wait(barriers.full(ring.at), ring.round);
            issue_s(p);
            issue_dp(dp);
            wgmma_wait<1>();
            hold(p);
            weigh(p);
            wgmma_wait<0>();
            hold(dp);
            pack(p, dp);
            issue_dkv();
            barrier_wait(barriers.scores(before.at), before.round);
            issue_dq(dq);
            wgmma_wait<0>();
            hold(dk), hold(dv), hold(dq);
            next_step();
            give_dq(dq);
          }
        }
      }
      barrier_arrive(barriers.own_empty());
      const int group = item.unit % w.hkv, split = item.unit / w.hkv;
      if (w.splits > 1) {
        // The units of a KV head add up in turn; the last writes the sum.
        const int64_t place = (item.tile * a.hkv + group) * 2 + group_of_warps;
        float4* part = w.dkv + place * (D / 4 * 128) + in_group;
        int* turn = w.dkv_turn + place;
        if (split > 0) {
          if (in_group == 0) wait_turn(turn, split);
          meet(3 + group_of_warps, 128);
        }
        auto pass = [&](float (&d)[D / 2], float4* here) {
#pragma unroll
          for (int i = 0; i < D / 8; ++i) {
            float4 mine = make_float4(d[i * 4], d[i * 4 + 1], d[i * 4 + 2], d[i * 4 + 3]);
            if (split == w.splits - 1) {
              const float4 sofar = __ldcg(here + i * 128);
              d[i * 4] += sofar.x, d[i * 4 + 1] += sofar.y, d[i * 4 + 2] += sofar.z, d[i * 4 + 3] += sofar.w;
            } else if (split == 0) {
              __stcg(here + i * 128, mine);
            } else {
              add_vec(here + i * 128, mine);
            }
          }
        };
        pass(dk, part);
        pass(dv, part + D / 8 * 128);
        if (split < w.splits - 1) {
          __threadfence();
          meet(3 + group_of_warps, 128);
          if (in_group == 0) store_release(turn, split + 1);
          continue;
        }
      }
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        if (row0 + h * 8 >= s.rows) continue;
        const int64_t key = s.k0 + tile.from + row0 + h * 8;
#pragma unroll
        for (int i = h * 2; i < D / 2; i += 4) dk[i] *= a.scale, dk[i + 1] *= a.scale;
        turn_back<D>(dk, h, tile.from + row0 + h * 8, a, quad);
        bf16 *dk_row = static_cast<bf16*>(a.dk) + key * a.ldk + group * D + quad * 2, *dv_row = static_cast<bf16*>(a.dv) + key * a.ldv + group * D + quad * 2;
#pragma unroll
        for (int n = 0; n < D / 8; ++n) {
          put(dk_row + n * 8, dk[n * 4 + h * 2], dk[n * 4 + h * 2 + 1], a.add_dkv);
          put(dv_row + n * 8, dv[n * 4 + h * 2], dv[n * 4 + h * 2 + 1], a.add_dkv);
        }
      }
    }
  }
#endif
}

// dq of one tile of queries and a head from its f32 sum, or zeros where nobody added. grid: (tiles, heads of the launch).
template <int D>
__global__ void __launch_bounds__(128) finish_kernel(FlashArgs a, Plan w, const Tile* tiles) {
  constexpr int BM = Shape<D>::BM;
  const Tile tile = tiles[blockIdx.x];
  if (tile.doc < 0) return;
  const int64_t head = w.head_of(w.first + int(blockIdx.y) / w.each) + blockIdx.y % w.each, at = query_tile<BM>(a, tile.doc, tile.from / BM);
  const float4* from = reinterpret_cast<const float4*>(w.dq + (blockIdx.y * w.q_capacity + at) * (BM * D)) + threadIdx.x;
  const bool added = w.dq_turn[head * w.q_capacity + at] > 0;
  const int lane = threadIdx.x & 31, quad = lane & 3, rows = a.cu_q[tile.doc + 1] - a.cu_q[tile.doc] - tile.from;
#pragma unroll
  for (int part = 0; part < BM / 64; ++part) {
    float d[D / 2];
#pragma unroll
    for (int i = 0; i < D / 8; ++i) {
      const float4 x = added ? from[(part * 8 + i) * 128] : make_float4(0.f, 0.f, 0.f, 0.f);
      d[i * 4] = x.x * a.scale, d[i * 4 + 1] = x.y * a.scale, d[i * 4 + 2] = x.z * a.scale, d[i * 4 + 3] = x.w * a.scale;
    }
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int row = part * 64 + int(threadIdx.x) / 32 * 16 + (lane >> 2) + h * 8;
      const bool there = row < rows;  // of the four lanes of a row alike
      if (there) turn_back<D>(d, h, tile.from + row, a, quad);
      // A lane has two channels of every eight; it writes, or adds to, all eight of every fourth.
      uint4* to = reinterpret_cast<uint4*>(static_cast<bf16*>(a.dq) + (a.cu_q[tile.doc] + tile.from + row) * a.ldq + head * D) + quad;
#pragma unroll
      for (int n = 0; n < D / 8; n += 4) {
        uint32_t x[4] = {};
        if (a.add_dq) {
          const uint4 old = there ? to[n] : make_uint4(0, 0, 0, 0);
          x[0] = old.x, x[1] = old.y, x[2] = old.z, x[3] = old.w;
          exchange_in_quad(x, quad);
        }
#pragma unroll
        for (int i = 0; i < 4; ++i) x[i] = put_pair(x[i], d[(n + i) * 4 + h * 2], d[(n + i) * 4 + h * 2 + 1], a.add_dq);
        exchange_in_quad(x, quad);
        if (there) to[n] = make_uint4(x[0], x[1], x[2], x[3]);
      }
    }
  }
}

// Bytes of f32 dQ held at once; heads beyond go into further launches of about as many.
constexpr int64_t kSumBytes = int64_t(288) << 20;

template <int D>
int launch(void* ctx, FlashArgs a) {
  using S = Shape<D>;
  const int sms = context(ctx).sm_count;
  const int64_t heads = a.hq / a.hkv;
  Plan w{};
  w.k_capacity = tile_capacity(a.tk, a.n_docs, kOwnRows), w.q_capacity = tile_capacity(a.tq, a.n_docs, S::BM);
  // Items of a window are short: they take several heads, so that starting and ending one costs little, as long as there are enough of
  // them to fill the card evenly. Elsewhere a tile of keys walks two tiles less a head than the one before it and would wait for it.
  const int64_t steps = a.window > 0 ? ceil_div(a.window + kOwnRows, S::BM) : INT32_MAX;
  int64_t each = 1;
  for (int64_t d = 2; d <= heads; ++d)
    if (heads % d == 0 && d * steps <= 48 && (a.tk / kOwnRows) * a.hkv * (heads / d) >= 6 * sms) each = d;
  w.all_arrive = std::getenv("NSA_RACECHECK") != nullptr;
  w.heads = int(heads), w.hkv = int(a.hkv), w.each = int(each), w.splits = int(heads / each);
  // Few units side by side: neighbours in the queue share queries in the L2 cache. Enough of them that the last chunk fills the card.
  w.chunk = 4;
  while (w.chunk < 512 / std::max<int64_t>(1, a.tk / kOwnRows)) w.chunk *= 2;
  const int units = int(a.hkv) * w.splits;
  const int64_t unit_bytes = each * w.q_capacity * S::sum;
  const int launches = int(ceil_div(units, std::max<int64_t>(1, kSumBytes / std::max<int64_t>(1, unit_bytes))));
  const int units_at_once = int(ceil_div(units, launches));
  const int64_t turns = a.hq * w.q_capacity + (w.splits > 1 ? w.k_capacity * a.hkv * 2 : 0) + launches;
  Scratch statistics(ctx, size_t(a.tq * a.hq) * 8), tables(ctx, size_t(w.k_capacity + w.q_capacity) * sizeof(Tile)), counters(ctx, size_t(turns) * 4),
      dq(ctx, size_t(units_at_once * unit_bytes)), dkv(ctx, w.splits > 1 ? size_t(w.k_capacity * a.hkv) * 2 * kOwnRows * D * 4 : 0);
  if (!statistics || !tables || !counters || !dq || !dkv) return out_of_memory(ctx);
  auto stream = context(ctx).stream;
  Tile *k_tiles = tables.as<Tile>(), *q_tiles = k_tiles + w.k_capacity;
  float* lse2 = statistics.as<float>();
  w.tiles = k_tiles, w.lse2 = lse2, w.delta_at = a.tq * a.hq, w.dq = dq.as<float>(), w.dkv = dkv.as<float4>();
  w.dq_turn = counters.as<int>(), w.dkv_turn = w.dq_turn + a.hq * w.q_capacity;
  Maps maps;
  if (int status = tensor_map(ctx, maps.q, a.q, a.tq, a.hq * D, a.ldq, S::BM)) return status;
  if (int status = tensor_map(ctx, maps.d, a.do_, a.tq, a.hq * D, a.ldo, S::BM)) return status;
  if (int status = tensor_map(ctx, maps.k, a.tk > 0 ? a.k : a.q, a.tk, a.hkv * D, a.ldk, kOwnRows)) return status;
  if (int status = tensor_map(ctx, maps.v, a.tk > 0 ? a.v : a.q, a.tk, a.hkv * D, a.ldv, kOwnRows)) return status;
  if (int status = check(ctx, cudaFuncSetAttribute(onepass_kernel<D>, cudaFuncAttributeMaxDynamicSharedMemorySize, int(S::smem)))) return status;
  if (int status = check(ctx, cudaMemsetAsync(counters.as<int>(), 0, size_t(turns) * 4, stream))) return status;
  make_statistics<D>(a, lse2, lse2 + a.tq * a.hq, stream);
  tile_table_kernel<<<1, 1024, 0, stream>>>(a.cu_k, a.n_docs, kOwnRows, k_tiles, w.k_capacity);
  tile_table_kernel<<<1, 1024, 0, stream>>>(a.cu_q, a.n_docs, S::BM, q_tiles, w.q_capacity);
  for (int pass = 0; pass < launches; ++pass) {
    w.first = pass * units_at_once, w.last = std::min(units, w.first + units_at_once);
    w.queue = counters.as<int>() + turns - launches + pass;
    const int64_t items = w.k_capacity * (w.last - w.first);
    if (a.tk > 0) onepass_kernel<D><<<unsigned(std::min<int64_t>(sms, items)), kHopperThreads, S::smem, stream>>>(a, w, maps);
    finish_kernel<D><<<dim3(unsigned(w.q_capacity), unsigned((w.last - w.first) * w.each)), 128, 0, stream>>>(a, w, q_tiles);
  }
  return launched(ctx);
}

}  // namespace

int flash_bwd_onepass(void* ctx, FlashArgs a) { return a.dim_k == 64 ? launch<64>(ctx, a) : launch<128>(ctx, a); }

}  // namespace nsa::cuda
