// Flash attention forward on wgmma (sm_90a): one warp copies by the bulk engine, two warpgroups hold 64 queries each and walk the keys; the
// scores of the next keys are computed while those before are weighed, and the warpgroups take turns in giving products to the tensor
// cores, so that one's exponentials run under the other's products. Also the order of work and the choice of these kernels.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "cuda/convert.h"
#include "cuda/flash_hopper.h"
#include "cuda/hopper.h"
#include "cuda/tensor_map.h"

namespace nsa::cuda {

__global__ void work_table_kernel(FlashArgs a, int own_rows, int bn_q, int bn_k, Tile* q_table, int64_t q_capacity, Tile* k_table, int64_t k_capacity, Tile* spare) {
  const bool keys = blockIdx.x == 1;
  const int32_t* cu = keys ? a.cu_k : a.cu_q;
  const int64_t capacity = keys ? k_capacity : q_capacity;
  const int tall = keys ? kOwnRows : own_rows;
  Tile *table = keys ? k_table : q_table, *unsorted = keys ? spare + q_capacity : spare;
  constexpr int kMost = 1022;  // tiles of more steps count as equals; 1023 is for unused entries
  __shared__ int32_t sums[1024], counts[1024];
  __shared__ int32_t carried;
  const int me = int(threadIdx.x);
  auto scan = [&](int32_t* x) {
    for (int step = 1; step < 1024; step <<= 1) {
      int32_t left = me >= step ? x[me - step] : 0;
      __syncthreads();
      x[me] += left;
      __syncthreads();
    }
  };
  auto bucket = [&](Tile tile) {
    if (tile.doc < 0) return 1023;
    const int steps = keys ? steps_of(key_span(a, tile, bn_k), bn_k) : steps_of(query_span(a, tile, bn_q, own_rows), bn_q);
    return kMost - min(steps, kMost);
  };
  counts[me] = 0;
  if (me == 0) carried = 0;
  __syncthreads();
  for (int64_t base = 0; base < a.n_docs; base += 1024) {
    const int64_t doc = base + me;
    sums[me] = doc < a.n_docs ? (cu[doc + 1] - cu[doc] + tall - 1) / tall : 0;
    __syncthreads();
    scan(sums);
    const int64_t before = carried;
    for (int i = me; i < sums[1023] && before + i < capacity; i += 1024) {
      int low = 0, up = 1023;  // the first document whose sum is more than i
      while (low < up) {
        const int mid = (low + up) / 2;
        if (sums[mid] > i) up = mid;
        else low = mid + 1;
      }
      unsorted[before + i] = {int32_t(base + low), (i - (low > 0 ? sums[low - 1] : 0)) * tall};
    }
    __syncthreads();
    if (me == 0) carried += sums[1023];
    __syncthreads();
  }
  for (int64_t i = carried + me; i < capacity; i += 1024) unsorted[i] = {-1, 0};
  __syncthreads();
  for (int64_t i = me; i < capacity; i += 1024) atomicAdd(&counts[bucket(unsorted[i])], 1);
  __syncthreads();
  const int32_t mine = counts[me];
  scan(counts);
  counts[me] -= mine;
  __syncthreads();
  for (int64_t i = me; i < capacity; i += 1024) {
    const Tile tile = unsorted[i];
    table[atomicAdd(&counts[bucket(tile)], 1)] = tile;
  }
}

namespace {

constexpr int kStages = 2;

// Computing warpgroups of 64 rows, rows of a walked tile, registers of the two roles (together what an SM has), and bytes of shared
// memory: two buffers of queries, rings of keys and of values, barriers. Heads of 64 leave room for three warpgroups, which hide
// the exponentials that two do not.
template <int D>
struct Shape {
  static constexpr int groups = D == 64 ? 3 : 2, rows = groups * 64, threads = (groups + 1) * 128, BN = groups == 3 ? 96 : 128;
  static constexpr int few = groups == 3 ? 32 : 24, many = groups == 3 ? 160 : 240;
  static constexpr uint32_t own = rows * D * 2, walked = BN * D * 2;
  static constexpr uint32_t smem = 2 * own + 2 * kStages * walked + 128 + 1024;
};

// Maps of the queries, keys and values.
struct Maps {
  CUtensorMap q, k, v;
};

#ifdef NSA_HOPPER

// Full and empty of each key and each value buffer (side 0, 1), empty of the query buffers, and one for the copying warp itself. A query
// tile comes with its first keys.
template <int WARPS>
struct Barriers {
  uint32_t base;
  __device__ uint32_t full(int side, uint32_t stage) const { return base + (side * kStages + stage) * 8; }
  __device__ uint32_t empty(int side, uint32_t stage) const { return base + ((2 + side) * kStages + stage) * 8; }
  __device__ uint32_t own(uint32_t buffer) const { return base + (4 * kStages + buffer) * 8; }
  __device__ uint32_t copied() const { return own(2); }
  __device__ void init() const {
    if (threadIdx.x == 0) {
      for (int side = 0; side < 2; ++side)
        for (uint32_t i = 0; i < kStages; ++i) barrier_init(full(side, i), 1), barrier_init(empty(side, i), WARPS);
      for (uint32_t i = 0; i < 2; ++i) barrier_init(own(i), WARPS);
      barrier_init(copied(), 1);
      fence_barriers();
    }
    __syncthreads();
  }
};

// A load that the compiler may not replace by a value it has kept.
__device__ inline Tile load_again(const Tile* p) {
  Tile t;
  asm volatile("ld.global.v2.s32 {%0, %1}, [%2];" : "=r"(t.doc), "=r"(t.from) : "l"(p));
  return t;
}

// Running maximum and sum of a lane's two rows.
struct Softmax {
  float top[2] = {-INFINITY, -INFINITY}, sum[2] = {0.f, 0.f}, shrink[2];

  // s becomes exp(scale·(s − max)); shrink is what earlier sums and outputs are multiplied by.
  template <int N>
  __device__ void step(float (&s)[N], float scale) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float high = top[h];
#pragma unroll
      for (int i = h * 2; i < N; i += 4) high = fmaxf(high, fmaxf(s[i], s[i + 1]));
      high = fmaxf(high, __shfl_xor_sync(~0u, high, 1));
      high = fmaxf(high, __shfl_xor_sync(~0u, high, 2));
      const float base = high == -INFINITY ? 0.f : high * scale;
      shrink[h] = exp2_fast(fmaf(top[h], scale, -base));
      top[h] = high;
      float total = 0;
#pragma unroll
      for (int i = h * 2; i < N; i += 4) {
        s[i] = exp2_fast(fmaf(s[i], scale, -base));
        s[i + 1] = exp2_fast(fmaf(s[i + 1], scale, -base));
        total += s[i] + s[i + 1];
      }
      sum[h] = fmaf(sum[h], shrink[h], total);
    }
  }
};

#endif

// Items: (query tile, query head).
template <int D>
__global__ void __launch_bounds__(Shape<D>::threads, 1) fwd_kernel(FlashArgs a, const __grid_constant__ Maps maps, const Tile* table, int64_t capacity) {
#ifdef NSA_HOPPER
  using S = Shape<D>;
  constexpr int BN = S::BN, ROWS = S::rows;
  extern __shared__ char raw[];
  const uint32_t own = (smem_address(raw) + 1023) & ~1023u, keys_at = own + 2 * S::own, values_at = keys_at + kStages * S::walked;
  const Barriers<S::groups * 4> barriers{values_at + kStages * S::walked};
  barriers.init();
  const int heads = int(a.hq / a.hkv);
  const int64_t items = capacity * a.hq;
  Ring<2> mine;
  if (threadIdx.x < 128) {
    registers_down<S::few>();
    if (threadIdx.x >= 32) return;
    const bool first_lane = threadIdx.x == 0;
    uint32_t copied = 0;
    Ring<kStages> ring;
    for (int64_t round = 0; item_of(round) < items; ++round) {
      const int64_t item = item_of(round);
      const Tile tile = table[item / a.hq];
      if (tile.doc < 0) break;
      const int head = int(item % a.hq), group = head / heads;
      const Span s = query_span(a, tile, BN, ROWS);
      if (s.end <= s.first) continue;
      barrier_wait(barriers.own(mine.at), mine.round ^ 1);
      for (int at = s.first; at < s.end; at += BN) {
        barrier_wait(barriers.empty(0, ring.at), ring.round ^ 1);
        if (first_lane) {
          const uint32_t full = barriers.full(0, ring.at);
          barrier_expect(full, S::walked + (at == s.first ? S::own : 0));
          if (at == s.first) copy_tile<ROWS, D>(own + mine.at * S::own, maps.q, head, s.q0 + tile.from, full);
          copy_tile<BN, D>(keys_at + ring.at * S::walked, maps.k, group, s.k0 + at, full);
        }
        barrier_wait(barriers.empty(1, ring.at), ring.round ^ 1);
        const uint32_t values = values_at + ring.at * S::walked, full = barriers.full(1, ring.at);
        const bool whole = at + BN <= s.nk;
        if (first_lane) {
          barrier_expect(whole ? full : barriers.copied(), S::walked);
          copy_tile<BN, D>(values, maps.v, group, s.k0 + at, whole ? full : barriers.copied());
        }
        if (!whole) {
          // What lies past the document is weighed with 0, which would not make 0 of infinite values.
          barrier_wait(barriers.copied(), copied);
          copied ^= 1;
          for (int i = (s.nk - at) * 8 + int(threadIdx.x); i < BN * 8; i += 32)
#pragma unroll
            for (int panel = 0; panel < D / 64; ++panel)
              asm volatile("st.shared.v4.b32 [%0], {%1, %1, %1, %1};" ::"r"(values + panel * BN * 128 + i * 16), "r"(0) : "memory");
          fence_async_proxy();
          __syncwarp();
          if (first_lane) barrier_arrive(full);
        }
        ring.next();
      }
      mine.next();
    }
  } else {
    registers_up<S::many>();
    const int group_of_warps = int(threadIdx.x) / 128 - 1, lane = threadIdx.x & 31, g = lane >> 2, quad = lane & 3;
    const int row0 = group_of_warps * 64 + (int(threadIdx.x) / 32 & 3) * 16 + g;
    const float scale = a.scale * 1.4426950408889634f;
    Ring<kStages> k_ring, v_ring;
    // One turn a step of the tile's walk, taken by all, in order.
    auto wait_turn = [&] { turn_sync(1 + group_of_warps, 256); };
    auto pass_turn = [&] { turn_arrive(1 + (group_of_warps + 1 == S::groups ? 0 : group_of_warps + 1), 256); };
    if (group_of_warps + 1 == S::groups) pass_turn();
    for (int round = 0; item_of(round) < items; ++round) {
      int first, end, keys, rows, t0;
      {
        const Tile tile = table[item_of(round) / a.hq];
        if (tile.doc < 0) break;
        const Span s = query_span(a, tile, BN, ROWS);
        first = s.first, end = s.end, keys = s.nk, rows = s.rows, t0 = tile.from + (a.q_start ? a.q_start[tile.doc] : 0);
      }
      float o[D / 2];
#pragma unroll
      for (int i = 0; i < D / 2; ++i) o[i] = 0.f;
      Softmax softmax;
      if (end > first) {
        // What this warpgroup's rows see: the tile's other walked tiles are let go unread.
        const int top_row = group_of_warps * 64, rows_here = min(64, rows - top_row);
        const int my_first = rows_here > 0 ? int(first_key(a, t0 + top_row)) / BN * BN : end;
        const int my_end = rows_here > 0 ? int(end_key(a, t0 + top_row + rows_here - 1, keys)) : end;
        auto pass = [&](int at, int to) {
          for (; at < to; at += BN) {
            wait_turn();
            pass_turn();
            barrier_wait(barriers.full(0, k_ring.at), k_ring.round);
            release(barriers.empty(0, k_ring.at));
            k_ring.next();
            barrier_wait(barriers.full(1, v_ring.at), v_ring.round);
            release(barriers.empty(1, v_ring.at));
            v_ring.next();
          }
        };
        pass(first, min(my_first, end));
        if (my_end > my_first) {
          const int inner_from = int(first_key(a, t0 + top_row + rows_here - 1)), inner_to = int(end_key(a, t0 + top_row, keys));
          const uint64_t q_operand = operand(own + mine.at * S::own + group_of_warps * 8192, 0);
          float p[BN / 2];
          uint32_t x[BN / 4];
          auto mask = [&](int at) {
            if (at >= inner_from && at + BN <= inner_to) return;
            // Looked up again each time: few tiles need it, and every register counts.
#pragma unroll
            for (int h = 0; h < 2; ++h) {
              const int from = int(first_key(a, t0 + row0 + h * 8)) - at - quad * 2, to = int(end_key(a, t0 + row0 + h * 8, keys)) - at - quad * 2;
#pragma unroll
              for (int i = h * 2; i < BN / 2; i += 4)
#pragma unroll
                for (int e = 0; e < 2; ++e) {
                  const int c = (i >> 2) * 8 + e;
                  if (c < from || c >= to) p[i + e] = -INFINITY;
                }
            }
          };
          barrier_wait(barriers.full(0, k_ring.at), k_ring.round);
          wait_turn();
          wgmma_fence();
          product_ss<D, BN, ROWS>(p, q_operand, operand(keys_at + k_ring.at * S::walked, 0));
          wgmma_commit();
          pass_turn();
          wgmma_wait<0>();
          hold(p);
          release(barriers.empty(0, k_ring.at));
          k_ring.next();
          mask(my_first);
          softmax.step(p, scale);
          pack_a(x, p);
          for (int at = my_first + BN; at < my_end; at += BN) {
            barrier_wait(barriers.full(0, k_ring.at), k_ring.round);
            wait_turn();
            wgmma_fence();
            product_ss<D, BN, ROWS>(p, q_operand, operand(keys_at + k_ring.at * S::walked, 0));
            wgmma_commit();
            barrier_wait(barriers.full(1, v_ring.at), v_ring.round);
            wgmma_fence();
            product_rs<D, BN>(o, x, operand(values_at + v_ring.at * S::walked, BN * 128));
            wgmma_commit();
            pass_turn();
            wgmma_wait<1>();
            hold(p);
            release(barriers.empty(0, k_ring.at));
            k_ring.next();
            mask(at);
            softmax.step(p, scale);
            wgmma_wait<0>();
            hold(o);
            release(barriers.empty(1, v_ring.at));
            v_ring.next();
            pack_a(x, p);
#pragma unroll
            for (int i = 0; i < D / 2; ++i) o[i] *= softmax.shrink[i >> 1 & 1];
          }
          barrier_wait(barriers.full(1, v_ring.at), v_ring.round);
          wgmma_fence();
          product_rs<D, BN>(o, x, operand(values_at + v_ring.at * S::walked, BN * 128));
          wgmma_commit();
          wgmma_wait<0>();
          hold(o);
          release(barriers.empty(1, v_ring.at));
          v_ring.next();
        }
        pass(max(first, (my_end + BN - 1) / BN * BN), end);
        release(barriers.own(mine.at));
        mine.next();
      }
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        float total = softmax.sum[h];
        total += __shfl_xor_sync(~0u, total, 1);
        total += __shfl_xor_sync(~0u, total, 2);
        if (row0 + h * 8 >= rows) continue;
        // Found again rather than kept: the loop above has no register to spare.
        const int64_t item = item_of(round);
        const Tile tile = load_again(table + item / a.hq);
        const int64_t r = a.cu_q[tile.doc] + tile.from + row0 + h * 8, head = item % a.hq;
        const float inverse = total > 0 ? 1.f / total : 0.f;
        if (quad == 0) a.lse[r * a.hq + head] = total > 0 ? softmax.top[h] * a.scale + logf(total) : -INFINITY;
        bf16* to = static_cast<bf16*>(a.out) + r * a.ldo + head * D + quad * 2;
#pragma unroll
        for (int n = 0; n < D / 8; ++n) *reinterpret_cast<uint32_t*>(to + n * 8) = pack_bf16(o[n * 4 + h * 2] * inverse, o[n * 4 + h * 2 + 1] * inverse);
      }
    }
  }
#endif
}

template <int D>
int launch(void* ctx, const FlashArgs& a) {
  using S = Shape<D>;
  const int64_t tiles = tile_capacity(a.tq, a.n_docs, S::rows);
  Scratch tables(ctx, size_t(tiles) * 2 * sizeof(Tile));
  if (!tables) return out_of_memory(ctx);
  auto stream = context(ctx).stream;
  Tile* table = tables.as<Tile>();
  if (int status = check(ctx, cudaFuncSetAttribute(fwd_kernel<D>, cudaFuncAttributeMaxDynamicSharedMemorySize, int(S::smem)))) return status;
  Maps maps;
  if (int status = tensor_map(ctx, maps.q, a.q, a.tq, a.hq * D, a.ldq, S::rows)) return status;
  if (int status = tensor_map(ctx, maps.k, a.tk > 0 ? a.k : a.q, a.tk, a.hkv * D, a.ldk, S::BN)) return status;
  if (int status = tensor_map(ctx, maps.v, a.tk > 0 ? a.v : a.q, a.tk, a.hkv * D, a.ldv, S::BN)) return status;
  work_table_kernel<<<1, 1024, 0, stream>>>(a, S::rows, S::BN, 0, table, tiles, nullptr, 0, table + tiles);
  fwd_kernel<D><<<unsigned(std::min<int64_t>(context(ctx).sm_count, tiles * a.hq)), S::threads, S::smem, stream>>>(a, maps, table, tiles);
  return launched(ctx);
}

}  // namespace

bool hopper_wanted(void* ctx) {
  const char* wanted = std::getenv("NSA_FLASH");
  return context(ctx).arch == 90 && !(wanted && std::strcmp(wanted, "portable") == 0);
}

bool flash_hopper(void* ctx, const FlashArgs& a) {
  return hopper_wanted(ctx) && a.dim_k == a.dim_v && (a.dim_k == 64 || a.dim_k == 128);
}

int flash_fwd_hopper(void* ctx, const FlashArgs& a) { return a.dim_k == 64 ? launch<64>(ctx, a) : launch<128>(ctx, a); }

}  // namespace nsa::cuda
