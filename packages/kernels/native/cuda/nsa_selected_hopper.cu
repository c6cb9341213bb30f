// dk and dv of selected attention on wgmma (sm_90a), bf16, head dims 64/64 and 128/128, selection blocks of at most 64 keys.
//
// A block of threads takes a stretch of the list of (block, query) pairs sorted by block, as in nsa_selected_mma.cu. One warpgroup
// gathers the (query, head) rows of the list, BN at a time, into a ring; two others take tiles in turn, both with all keys of the
// block and sums of their own, which are joined where the run of the block ends. Sᵀ and dPᵀ have keys as rows, so that Pᵀ and
// dSᵀ are the left operands of dV += Pᵀ·dO and dK += dSᵀ·Q from registers.
#include "cuda/convert.h"
#include "cuda/documents.h"
#include "cuda/flash_hopper.h"
#include "cuda/hopper.h"
#include "cuda/nsa_selected.h"

namespace nsa::cuda {
namespace {

constexpr float kLog2e = 1.4426950408889634f;
constexpr int kStages = 3, kKeys = 64, kThreads = 384;

template <int D>
struct Shape {
  static constexpr int BN = D == 64 ? 128 : 64;
  static constexpr uint32_t own = kKeys * D * 2, walked = BN * D * 2, stage = 2 * walked, joined = kKeys * D * 4;
  // Of each stage: lse, delta and row of the query.
  static constexpr uint32_t statistics = kStages * 3 * BN * 4;
  static constexpr uint32_t smem = 4 * own + kStages * stage + joined + statistics + 128 + 1024;
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
  __device__ void init() const {
    if (threadIdx.x == 0) {
      for (uint32_t i = 0; i < kStages; ++i) barrier_init(full(i), 128), barrier_init(empty(i), 4);
      for (uint32_t i = 0; i < 2; ++i) barrier_init(own(i), 8);
    }
    __syncthreads();
  }
};

// The run of pairs of one block inside the stretch.
struct Run {
  int64_t end, start, kv;
  int key, count, items;  // keys of the block; (query, head) rows
};
__device__ inline Run run_at(const SelectedArgs& a, const SelectedList& list, int64_t at, int64_t to) {
  Run r;
  r.key = list.pairs[at].x;
  r.end = run_end(list, at, to);
  r.start = r.key / a.hkv, r.kv = r.key % a.hkv;
  r.count = int(selected_keys(a, r.start));
  r.items = int(r.end - at) * int(a.hq / a.hkv);
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
__global__ void __launch_bounds__(kThreads, 1) dkv_kernel(SelectedArgs a, SelectedList list) {
#ifdef NSA_HOPPER
  using S = Shape<D>;
  constexpr int BN = S::BN;
  extern __shared__ char raw[];
  const uint32_t own = (smem_address(raw) + 1023) & ~1023u, walked = own + 4 * S::own, joined = walked + kStages * S::stage,
                 statistics = joined + S::joined;
  const char* statistics_at = raw + (statistics - smem_address(raw));
  const Barriers barriers{statistics + S::statistics};
  barriers.init();
  const int heads = int(a.hq / a.hkv);
  const int64_t from = blockIdx.x * list.stretch, to = min(list.n, from + list.stretch), limit = a.rows * a.hkv;
  Ring<kStages> ring;
  Ring<2> mine;
  if (threadIdx.x < 128) {
    registers_down<40>();
    constexpr int chunks = D / 8, step = 128 / chunks, per = BN / step;
    const int ldq = int(a.ldq), ldo = int(a.ldo), hq = int(a.hq);
    const unsigned magic = 0xffffffffu / unsigned(heads) + 1;  // item / heads is the upper half of item · magic, below 2^32 / heads
    const int tid = int(threadIdx.x), row0 = tid / chunks, col = tid % chunks * 8;
    Producer producer;
    for (int64_t at = from; at < to && list.pairs[at].x < limit;) {
      const Run run = run_at(a, list, at, to);
      producer.acquire(barriers.own(mine.at), mine.round ^ 1);
      const uint32_t k_tile = own + mine.at * 2 * S::own;
      load_tile<kKeys, D, 128>(k_tile, static_cast<const bf16*>(a.k) + run.start * a.ldk + run.kv * D, a.ldk, run.count, D);
      load_tile<kKeys, D, 128>(k_tile + S::own, static_cast<const bf16*>(a.v) + run.start * a.ldv + run.kv * D, a.ldv, run.count, D);
      // Rows of the list are fetched a tile ahead: this warpgroup has one warp a scheduler, and every wait of it is felt.
      const int2* pairs = list.pairs + at;
      auto pair_of = [&](int item) { return heads == 1 ? item : int(__umulhi(unsigned(item), magic)); };
      auto row_of = [&](int item) { return item < run.items ? pairs[pair_of(item)].y : 0; };
      int rows[per], statistics_row;
      auto fetch = [&](int first) {
#pragma unroll
        for (int i = 0; i < per; ++i) rows[i] = row_of(first + row0 + i * step);
        statistics_row = row_of(first + tid);
      };
      const int head0 = int(run.kv) * heads;
      const auto *q = static_cast<const bf16*>(a.q) + head0 * D + col, *gradient = static_cast<const bf16*>(a.do_) + head0 * D + col;
      fetch(0);
      for (int first = 0; first < run.items; first += BN) {
        producer.acquire(barriers.empty(ring.at), ring.round ^ 1);
        const uint32_t stage = walked + ring.at * S::stage + tile_offset(BN, row0, col);
#pragma unroll
        for (int i = 0; i < per; ++i) {
          const int item = first + row0 + i * step, head = item - pair_of(item) * heads;
          const bool in = item < run.items;
          const uint32_t to = (stage ^ uint32_t((i * step & 7) << 4)) + i * step * 128;
          copy_async(to, in ? q + int64_t(rows[i]) * ldq + head * D : q, in);
          copy_async(to + S::walked, in ? gradient + int64_t(rows[i]) * ldo + head * D : gradient, in);
        }
        if (tid < BN) {
          const int item = first + tid, pair = pair_of(item);
          const bool in = item < run.items;
          const int64_t of = in ? int64_t(statistics_row) * hq + head0 + item - pair * heads : 0;
          const uint32_t to = statistics + (ring.at * 3 * BN + tid) * 4;
          copy_async_4(to, a.lse + of, in);
          copy_async_4(to + BN * 4, a.delta + of, in);
          copy_async_4(to + 2 * BN * 4, &pairs[in ? pair : 0].y, in);
        }
        fetch(first + BN);
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
    auto* joined_at = reinterpret_cast<float*>(raw + (joined - smem_address(raw)));
    for (int64_t at = from; at < to && list.pairs[at].x < limit;) {
      const Run run = run_at(a, list, at, to);
      const uint32_t k_tile = own + mine.at * 2 * S::own;
      const uint64_t k_operand = operand(k_tile, 0), v_operand = operand(k_tile + S::own, 0);
      float dk[D / 2], dv[D / 2];
#pragma unroll
      for (int i = 0; i < D / 2; ++i) dk[i] = dv[i] = 0.f;
      int turn = 0;
      for (int first = 0; first < run.items; first += BN, turn ^= 1) {
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
          // Queries of a run ascend: when the first of the tile sees the whole block, all do.
          const int valid = min(BN, run.items - first), start = int(run.start);
          if (valid < BN || rows[0] < start + kKeys - 1) {
#pragma unroll
            for (int i = 0; i < BN / 2; ++i) {
              const int c = (i >> 2) * 8 + quad * 2 + (i & 1), key = start + row0 + (i >> 1 & 1) * 8;
              if (c >= valid || key > rows[c]) p[i] = 0.f;
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
          release(barriers.empty(ring.at));
        }
        ring.next();
      }
      release(barriers.own(mine.at));
      mine.next();
      join(dk, joined_at, group == 0);
      join(dv, joined_at, group == 0);
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
  if (int status = check(ctx, cudaFuncSetAttribute(dkv_kernel<D>, cudaFuncAttributeMaxDynamicSharedMemorySize, int(Shape<D>::smem)))) return status;
  dkv_kernel<D><<<unsigned(ceil_div(list.n, list.stretch)), kThreads, Shape<D>::smem, context(ctx).stream>>>(a, list);
  return launched(ctx);
}

}  // namespace

bool selected_hopper_takes(void* ctx, const SelectedArgs& a) {
  return hopper_wanted(ctx) && selected_mma_takes(a) && a.dim_k == a.dim_v && (a.dim_k == 64 || a.dim_k == 128) && a.block <= kKeys;
}

int selected_dkv_hopper(void* ctx, const SelectedArgs& a, const SelectedList& list) {
  return a.dim_k == 64 ? launch<64>(ctx, a, list) : launch<128>(ctx, a, list);
}

}  // namespace nsa::cuda
