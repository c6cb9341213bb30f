// Forward and dq of selected attention for neighbouring queries together (sm_90a), bf16, head dims up to 128.
//
// A block of threads takes a tile of neighbouring queries of one KV head. Its first warp walks the union of their selected blocks in
// ascending order and copies keys and values, kKeys at a time, into a ring; each other warp has 16 rows of the tile, (query, head)
// pairs with the heads of a query side by side, in registers, and takes those keys that one of its queries selected. A query's
// sums do not depend on which others are in the tile: keys that it has not selected leave them as they are, bit for bit.
#include "cuda/convert.h"
#include "cuda/flash_hopper.h"
#include "cuda/nsa_selected_tiles.h"

namespace nsa::cuda {
namespace {

using namespace tiles;

constexpr float kLog2e = 1.4426950408889634f;
using Forward64 = Shape<64, 3, 5, 5, false>;
using Forward128 = Shape<128, 3, 4, 3, false>;
using Backward64 = Shape<64, 3, 6, 4, false>;
using Backward128 = Shape<128, 3, 3, 3, true>;

#ifdef NSA_HOPPER

// s = rows times keys of a [kKeys, D] tile, transposed.
template <int D, class Rows>
__device__ inline void scores(float (&s)[kKeys / 8][4], const Rows& rows, uint32_t tile) {
#pragma unroll
  for (int n = 0; n < kKeys / 8; ++n)
#pragma unroll
    for (int e = 0; e < 4; ++e) s[n][e] = 0.f;
#pragma unroll
  for (int kk = 0; kk < D; kk += 16) {
    uint32_t fa[4];
    rows.get(fa, kk);
#pragma unroll
    for (int n = 0; n < kKeys; n += 16) {
      uint32_t fb[4];
      load_b_at(fb, tile, kKeys, n, kk);
      mma_bf16(s[n / 8], fa, fb[0], fb[1]);
      mma_bf16(s[n / 8 + 1], fa, fb[2], fb[3]);
    }
  }
}

// o += p · tile, the tile stored [kKeys, D].
template <int D>
__device__ inline void weigh(float (&o)[D / 8][4], const float (&p)[kKeys / 8][4], uint32_t tile) {
#pragma unroll
  for (int kk = 0; kk < kKeys; kk += 16) {
    const uint32_t fp[4] = {pack_bf16(p[kk / 8][0], p[kk / 8][1]), pack_bf16(p[kk / 8][2], p[kk / 8][3]), pack_bf16(p[kk / 8 + 1][0], p[kk / 8 + 1][1]),
                            pack_bf16(p[kk / 8 + 1][2], p[kk / 8 + 1][3])};
#pragma unroll
    for (int n = 0; n < D; n += 16) {
      uint32_t fb[4];
      load_b_trans_at(fb, tile, kKeys, kk, n);
      mma_bf16(o[n / 8], fp, fb[0], fb[1]);
      mma_bf16(o[n / 8 + 1], fp, fb[2], fb[3]);
    }
  }
}

// Calls visit(note, stage) for the stages that hold keys of the warp's queries.
template <class S, class Visit>
__device__ inline void consume(const SelectedArgs& a, const Buffers<S>& buffers, uint32_t queries, Visit visit) {
  for (Ring<S::stages> ring;; ring.next()) {
    barrier_wait(buffers.full(ring.at), ring.round);
    const Note note = buffers.note(ring.at);
    if (note.count == 0) return;
    if (note.holders & queries) visit(note, ring.at);
    release(buffers.empty(ring.at), a.all_arrive);
  }
}

#endif

template <class S>
__global__ void __launch_bounds__(S::threads, S::blocks) fwd_kernel(SelectedArgs a, Grouping grouping, const __grid_constant__ Maps maps) {
#ifdef NSA_HOPPER
  constexpr int D = S::dim;
  const Buffers<S> buffers(a);
  if (threadIdx.x < 32) return produce(a, buffers, grouping, maps);
  const Owned owned(a, grouping);
  const Left<D, S::shared> q(a, grouping, a.q, a.ldq, int(a.dim_k), buffers.own());
  const uint32_t k_at = b_base(0), v_at = b_trans_base(0);
  const int quad = threadIdx.x & 3;
  const float scale = a.scale * kLog2e;
  float o[D / 8][4] = {}, top[2] = {-INFINITY, -INFINITY}, sum[2] = {};
  consume(a, buffers, owned.queries, [&](Note note, uint32_t stage) {
    float s[kKeys / 8][4], shrink[2];
    scores<D>(s, q, buffers.keys(stage) + k_at);
    const int seen[2] = {owned.seen(note, 0), owned.seen(note, 1)};
    if (__any_sync(~0u, min(seen[0], seen[1]) < kKeys)) {
#pragma unroll
      for (int n = 0; n < kKeys / 8; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          if (n * 8 + quad * 2 + (e & 1) >= seen[e >> 1]) s[n][e] = -INFINITY;
    }
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float high = top[h];
#pragma unroll
      for (int n = 0; n < kKeys / 8; ++n) high = fmaxf(high, fmaxf(s[n][h * 2], s[n][h * 2 + 1]));
      high = fmaxf(high, __shfl_xor_sync(~0u, high, 1));
      high = fmaxf(high, __shfl_xor_sync(~0u, high, 2));
      const float base = high == -INFINITY ? 0.f : high * scale;
      shrink[h] = high == top[h] ? 1.f : exp2_fast(fmaf(top[h], scale, -base));
      top[h] = high;
      float total = 0;
#pragma unroll
      for (int n = 0; n < kKeys / 8; ++n)
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          float& x = s[n][h * 2 + e];
          x = exp2_fast(fmaf(x, scale, -base));
          total += x;
        }
      sum[h] = fmaf(sum[h], shrink[h], total);
    }
    if (__any_sync(~0u, shrink[0] != 1.f || shrink[1] != 1.f)) {
#pragma unroll
      for (int n = 0; n < D / 8; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e) o[n][e] *= shrink[e >> 1];
    }
    weigh<D>(o, s, buffers.values(stage) + v_at);
  });
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    float total = sum[h];
    total += __shfl_xor_sync(~0u, total, 1);
    total += __shfl_xor_sync(~0u, total, 2);
    const Row r(a, grouping, row_of(h));
    if (!r.valid) continue;
    const float inverse = total > 0 ? 1.f / total : 0.f;
    if (quad == 0) a.lse[r.at * a.hq + r.head] = total > 0 ? top[h] * a.scale + logf(total) : -INFINITY;
    bf16* to = static_cast<bf16*>(a.out) + r.at * a.ldo + r.head * a.dim_v;
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
      const int c = n * 8 + quad * 2;
      if (c < a.dim_v) *reinterpret_cast<uint32_t*>(to + c) = pack_bf16(o[n][h * 2] * inverse, o[n][h * 2 + 1] * inverse);
    }
  }
#endif
}

template <class S>
__global__ void __launch_bounds__(S::threads, S::blocks) dq_kernel(SelectedArgs a, Grouping grouping, const __grid_constant__ Maps maps) {
#ifdef NSA_HOPPER
  constexpr int D = S::dim;
  const Buffers<S> buffers(a);
  if (threadIdx.x < 32) return produce(a, buffers, grouping, maps);
  const Owned owned(a, grouping);
  const Left<D, false> q(a, grouping, a.q, a.ldq, int(a.dim_k), 0);
  const Left<D, S::shared> gradient(a, grouping, a.do_, a.ldo, int(a.dim_v), buffers.own());
  const uint32_t k_at = b_base(0), k_trans = b_trans_base(0);
  const int quad = threadIdx.x & 3;
  const float scale = a.scale * kLog2e;
  float dq[D / 8][4] = {}, lse[2], delta[2];
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const Row r(a, grouping, row_of(h));
    const float l = r.valid ? a.lse[r.at * a.hq + r.head] : -INFINITY;
    lse[h] = l == -INFINITY ? INFINITY : l * kLog2e;
    delta[h] = r.valid ? a.delta[r.at * a.hq + r.head] : 0.f;
  }
  consume(a, buffers, owned.queries, [&](Note note, uint32_t stage) {
    float s[kKeys / 8][4], dp[kKeys / 8][4];
    scores<D>(s, q, buffers.keys(stage) + k_at);
    scores<D>(dp, gradient, buffers.values(stage) + k_at);
    const int seen[2] = {owned.seen(note, 0), owned.seen(note, 1)};
#pragma unroll
    for (int n = 0; n < kKeys / 8; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const float p = n * 8 + quad * 2 + (e & 1) < seen[e >> 1] ? exp2_fast(fmaf(s[n][e], scale, -lse[e >> 1])) : 0.f;
        s[n][e] = p * (dp[n][e] - delta[e >> 1]);
      }
    weigh<D>(dq, s, buffers.keys(stage) + k_trans);
  });
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const Row r(a, grouping, row_of(h));
    if (!r.valid) continue;
    bf16* to = static_cast<bf16*>(a.dq) + r.at * a.ldq + r.head * a.dim_k;
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
      const int c = n * 8 + quad * 2;
      if (c >= a.dim_k) continue;
      float x = dq[n][h * 2] * a.scale, y = dq[n][h * 2 + 1] * a.scale;
      if (a.add_dq) x += to_float(to[c]), y += to_float(to[c + 1]);
      *reinterpret_cast<uint32_t*>(to + c) = pack_bf16(x, y);
    }
  }
#endif
}

template <class S>
int launch(void* ctx, void (*kernel)(SelectedArgs, Grouping, Maps), const SelectedArgs& a) {
  const Grouping grouping = grouping_of(a.hq / a.hkv, S::warps);
  if (int status = check(ctx, cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(S::smem)))) return status;
  Maps maps{};
  maps.there = a.dim_k == S::dim && a.dim_v == S::dim;
  if (maps.there) {
    if (int status = tensor_map(ctx, maps.k, a.k, a.rows, a.hkv * S::dim, a.ldk, kKeys)) return status;
    if (int status = tensor_map(ctx, maps.v, a.v, a.rows, a.hkv * S::dim, a.ldv, kKeys)) return status;
  }
  const dim3 grid(unsigned(ceil_div(a.rows, grouping.queries)), unsigned(a.hkv), unsigned(ceil_div(a.hq / a.hkv, kRows)));
  kernel<<<grid, S::threads, S::smem, context(ctx).stream>>>(a, grouping, maps);
  return launched(ctx);
}

}  // namespace

bool selected_tiles_take(void* ctx, const SelectedArgs& a) {
  return hopper_wanted(ctx) && selected_mma_takes(a);
}

int selected_fwd_tiles(void* ctx, const SelectedArgs& a) {
  if (std::max(a.dim_k, a.dim_v) <= 64) return launch<Forward64>(ctx, fwd_kernel<Forward64>, a);
  return launch<Forward128>(ctx, fwd_kernel<Forward128>, a);
}

int selected_dq_tiles(void* ctx, const SelectedArgs& a) {
  if (std::max(a.dim_k, a.dim_v) <= 64) return launch<Backward64>(ctx, dq_kernel<Backward64>, a);
  return launch<Backward128>(ctx, dq_kernel<Backward128>, a);
}

}  // namespace nsa::cuda
