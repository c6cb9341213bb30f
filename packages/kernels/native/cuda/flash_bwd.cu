// Flash attention backward on tensor cores, deterministic: dK and dV by blocks that own a tile of keys and walk its queries,
// dQ by blocks that own a tile of queries and walk its keys. No atomics; both recompute P from the log-sum-exp.
//
// P = exp(scale·q·k − lse), dS = P∘(dO·vᵀ − delta), delta = rowsum(dO∘O): dV = Pᵀ·dO, dK = scale·dSᵀ·Q, dQ = scale·dS·K.
// With few key tiles the heads of a group are split over blocks, whose f32 sums a last kernel joins in order.
#include "cuda/convert.h"
#include "cuda/flash.h"
#include "cuda/launch.h"
#include "cuda/mma.h"

namespace nsa::cuda {
namespace {

constexpr float kLog2e = 1.4426950408889634f;
constexpr int kTile = 64, kBlock = 128;

template <int N>
__device__ inline void zero(float (&x)[N][4]) {
#pragma unroll
  for (int i = 0; i < N; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) x[i][j] = 0.f;
}

template <int MT, int N>
__device__ inline void zero(float (&x)[MT][N][4]) {
#pragma unroll
  for (int m = 0; m < MT; ++m) zero(x[m]);
}

// acc[16·MT rows of A, NB rows of B] = A·Bᵀ over D columns. a: a_base of a tile of AR rows; b: b_base of a 64-row tile at a row.
template <int D, int MT, int NB, int AR>
__device__ inline void product(float (&acc)[MT][NB / 8][4], uint32_t a, uint32_t b) {
  zero(acc);
#pragma unroll
  for (int k = 0; k < D; k += 16) {
    uint32_t fa[MT][4];
#pragma unroll
    for (int m = 0; m < MT; ++m) load_a_at(fa[m], a + m * 2048, AR, k);
#pragma unroll
    for (int n = 0; n < NB; n += 16) {
      uint32_t fb[4];
      load_b_at(fb, b, kTile, n, k);
#pragma unroll
      for (int m = 0; m < MT; ++m) {
        mma_bf16(acc[m][n / 8], fa[m], fb[0], fb[1]);
        mma_bf16(acc[m][n / 8 + 1], fa[m], fb[2], fb[3]);
      }
    }
  }
}

// acc[16·MT, D] += x[16·MT, NB]·B, B the NB rows of a 64-row tile from where b_trans points, x in the accumulator layout.
template <int D, int MT, int NB>
__device__ inline void gather(float (&acc)[MT][D / 8][4], const float (&x)[MT][NB / 8][4], uint32_t b_trans) {
#pragma unroll
  for (int k = 0; k < NB; k += 16) {
    uint32_t fa[MT][4];
#pragma unroll
    for (int m = 0; m < MT; ++m) {
      fa[m][0] = pack_bf16(x[m][k / 8][0], x[m][k / 8][1]);
      fa[m][1] = pack_bf16(x[m][k / 8][2], x[m][k / 8][3]);
      fa[m][2] = pack_bf16(x[m][k / 8 + 1][0], x[m][k / 8 + 1][1]);
      fa[m][3] = pack_bf16(x[m][k / 8 + 1][2], x[m][k / 8 + 1][3]);
    }
#pragma unroll
    for (int n = 0; n < D; n += 16) {
      uint32_t fb[4];
      load_b_trans_at(fb, b_trans, kTile, k, n);
#pragma unroll
      for (int m = 0; m < MT; ++m) {
        mma_bf16(acc[m][n / 8], fa[m], fb[0], fb[1]);
        mma_bf16(acc[m][n / 8 + 1], fa[m], fb[2], fb[3]);
      }
    }
  }
}

// delta[t, h] = rowsum(dO∘O): a warp a row and head.
__global__ void delta_kernel(FlashArgs a, float* delta) {
  int64_t item = int64_t(blockIdx.x) * 8 + (threadIdx.x >> 5);
  if (item >= a.tq * a.hq) return;
  int64_t at = item / a.hq * a.ldo + item % a.hq * a.dim_v;
  auto *o = static_cast<const bf16*>(a.o) + at, *d = static_cast<const bf16*>(a.do_) + at;
  float sum = 0;
  for (int64_t c = (threadIdx.x & 31) * 8; c < a.dim_v; c += 256) {
    float x[8], y[8];
    load_vec(x, o + c);
    load_vec(y, d + c);
#pragma unroll
    for (int i = 0; i < 8; ++i) sum += x[i] * y[i];
  }
  sum = warp_sum(sum);
  if ((threadIdx.x & 31) == 0) delta[item] = sum;
}

// A block's own tile has 64·MT rows; the other side comes 64 rows at a time, NB of them in registers at once.
template <int DK, int DV, int MT>
constexpr size_t dkv_smem = size_t((2 * kTile + kTile * MT) * (DK + DV)) * 2 + 4 * kTile * 4 + 1024;

// Writes (or adds to) a bf16 row pair, or an f32 partial.
__device__ inline void put(bf16* to, float x, float y, bool add) {
  if (add) {
    __nv_bfloat162 old = *reinterpret_cast<__nv_bfloat162*>(to);
    x += __low2float(old);
    y += __high2float(old);
  }
  *reinterpret_cast<uint32_t*>(to) = pack_bf16(x, y);
}

// grid: (splits, KV heads, key tiles). part: f32 [splits, tk, hkv, dim_k + dim_v], null when splits = 1.
template <int DK, int DV, int MT, int NB>
__global__ void __launch_bounds__(kBlock) dkv_kernel(FlashArgs a, const Tile* table, float* part) {
  constexpr int kOwn = kTile * MT;
  extern __shared__ char raw[];
  const uint32_t k_tile = (smem_address(raw) + 1023) & ~1023u, v_tile = k_tile + kOwn * DK * 2, q_tile = v_tile + kOwn * DV * 2,
                 do_tile = q_tile + kTile * DK * 2;
  // The walked tiles (Q, dO and their statistics) have two stages: one is computed on while the other arrives.
  constexpr uint32_t kStage = kTile * (DK + DV) * 2;
  float* statistics = reinterpret_cast<float*>(raw + (q_tile + 2 * kStage - smem_address(raw)));
  const Tile tile = table[blockIdx.z];
  if (tile.doc < 0) return;
  const int64_t group = blockIdx.y, heads = a.hq / a.hkv;
  const int64_t q0 = a.cu_q[tile.doc], k0 = a.cu_k[tile.doc];
  const int nq = a.cu_q[tile.doc + 1] - int(q0), nk = a.cu_k[tile.doc + 1] - int(k0);
  const int keys = min(kOwn, nk - tile.from);
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, g = lane >> 2, quad = lane & 3;
  // Queries that may see a key of this tile.
  const int64_t see_from = tile.from * a.stride + a.block - 1, see_to = a.window > 0 ? min(int64_t(nq), tile.from + keys - 1 + a.window) : nq;
  const int first = int(min(int64_t(nq), see_from)) / kTile * kTile, end = int(see_to);

  load_tile<kOwn, DK, kBlock>(k_tile, static_cast<const bf16*>(a.k) + (k0 + tile.from) * a.ldk + group * a.dim_k, a.ldk, keys, int(a.dim_k));
  load_tile<kOwn, DV, kBlock>(v_tile, static_cast<const bf16*>(a.v) + (k0 + tile.from) * a.ldv + group * a.dim_v, a.ldv, keys, int(a.dim_v));
  copy_commit();

  const uint32_t k_base = a_base(k_tile, warp * 16 * MT), v_base = a_base(v_tile, warp * 16 * MT), q_base = b_base(q_tile), do_base = b_base(do_tile),
                 q_trans = b_trans_base(q_tile), do_trans = b_trans_base(do_tile);
  float dk[MT][DK / 8][4], dv[MT][DV / 8][4];
  zero(dk);
  zero(dv);
  const float scale = a.scale * kLog2e;
  // Key rows of this lane, and the local positions that see each: [from, to).
  int row_from[MT][2], row_to[MT][2];
  bool all_rows = true;
#pragma unroll
  for (int m = 0; m < MT; ++m)
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      int j = tile.from + (warp * MT + m) * 16 + g + h * 8;
      row_from[m][h] = j < nk ? int(min(int64_t(nq), j * a.stride + a.block - 1)) : nq;
      row_to[m][h] = a.window > 0 ? int(min(int64_t(nq), j + a.window)) : nq;
      all_rows = all_rows && j < nk;
    }
  // Every query of [inner_from, inner_to) sees every key of the tile.
  const int inner_from = int(min(int64_t(nq), (tile.from + kOwn - 1) * a.stride + a.block - 1)), inner_to = a.window > 0 ? int(min(int64_t(nq), tile.from + a.window)) : nq;

  const int per_head = end > first ? (end - first + kTile - 1) / kTile : 0;
  const int steps = per_head * int((heads - int64_t(blockIdx.x) + gridDim.x - 1) / gridDim.x);
  auto fetch = [&](int step) {
    const int64_t head = group * heads + blockIdx.x + int64_t(step / per_head) * gridDim.x;
    const int at = first + step % per_head * kTile, rows = min(kTile, nq - at);
    const uint32_t stage = (step & 1) * kStage;
    load_tile<kTile, DK, kBlock>(q_tile + stage, static_cast<const bf16*>(a.q) + (q0 + at) * a.ldq + head * a.dim_k, a.ldq, rows, int(a.dim_k));
    load_tile<kTile, DV, kBlock>(do_tile + stage, static_cast<const bf16*>(a.do_) + (q0 + at) * a.ldo + head * a.dim_v, a.ldo, rows, int(a.dim_v));
    copy_commit();
    if (threadIdx.x < kTile) {
      const int64_t r = (q0 + at + int(threadIdx.x)) * a.hq + head;
      const bool in = int(threadIdx.x) < rows;
      // exp2(x − inf) = 0: rows that see nothing, and rows past the end, take no part.
      const float l = in ? a.lse[r] : -INFINITY;
      float* to = statistics + (step & 1) * 2 * kTile;
      to[threadIdx.x] = l == -INFINITY ? INFINITY : l * kLog2e;
      to[kTile + threadIdx.x] = in ? a.delta[r] : 0.f;
    }
  };
  if (steps > 0) fetch(0);
  for (int step = 0; step < steps; ++step) {
    const int at = first + step % per_head * kTile;
    const uint32_t stage = (step & 1) * kStage;
    const float *lse = statistics + (step & 1) * 2 * kTile, *delta = lse + kTile;
    copy_wait<0>();
    // All copies have arrived, and nobody computes on the other stage any more.
    __syncthreads();
    if (step + 1 < steps) fetch(step + 1);
    const bool inside = all_rows && at >= inner_from && at + kTile <= inner_to;
#pragma unroll
    for (int n0 = 0; n0 < kTile; n0 += NB) {
      float s[MT][NB / 8][4], dp[MT][NB / 8][4];
      product<DK, MT, NB, kOwn>(s, k_base, q_base + stage + n0 * 128);
      product<DV, MT, NB, kOwn>(dp, v_base, do_base + stage + n0 * 128);
#pragma unroll
      for (int m = 0; m < MT; ++m)
#pragma unroll
        for (int n = 0; n < NB / 8; ++n)
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            const int c = n0 + n * 8 + quad * 2 + (e & 1);
            float p = exp2_fast(fmaf(s[m][n][e], scale, -lse[c]));
            if (!inside && (at + c < row_from[m][e >> 1] || at + c >= row_to[m][e >> 1])) p = 0.f;
            s[m][n][e] = p;
            dp[m][n][e] = p * (dp[m][n][e] - delta[c]);
          }
      gather<DV, MT, NB>(dv, s, do_trans + stage + n0 * 128);
      gather<DK, MT, NB>(dk, dp, q_trans + stage + n0 * 128);
    }
  }
  copy_wait<0>();
#pragma unroll
  for (int i = 0; i < 2 * MT; ++i) {
    const int m = i >> 1, h = i & 1, row = (warp * MT + m) * 16 + g + h * 8;
    if (row >= keys) continue;
    const int64_t key = k0 + tile.from + row;
    if (part) {
      float* to = part + ((int64_t(blockIdx.x) * a.tk + key) * a.hkv + group) * (a.dim_k + a.dim_v);
#pragma unroll
      for (int n = 0; n < DK / 8; ++n)
        if (n * 8 + quad * 2 < a.dim_k) *reinterpret_cast<float2*>(to + n * 8 + quad * 2) = make_float2(dk[m][n][h * 2] * a.scale, dk[m][n][h * 2 + 1] * a.scale);
#pragma unroll
      for (int n = 0; n < DV / 8; ++n)
        if (n * 8 + quad * 2 < a.dim_v) *reinterpret_cast<float2*>(to + a.dim_k + n * 8 + quad * 2) = make_float2(dv[m][n][h * 2], dv[m][n][h * 2 + 1]);
      continue;
    }
    bf16* dk_row = static_cast<bf16*>(a.dk) + key * a.ldk + group * a.dim_k;
    bf16* dv_row = static_cast<bf16*>(a.dv) + key * a.ldv + group * a.dim_v;
#pragma unroll
    for (int n = 0; n < DK / 8; ++n)
      if (n * 8 + quad * 2 < a.dim_k) put(dk_row + n * 8 + quad * 2, dk[m][n][h * 2] * a.scale, dk[m][n][h * 2 + 1] * a.scale, a.add_dkv);
#pragma unroll
    for (int n = 0; n < DV / 8; ++n)
      if (n * 8 + quad * 2 < a.dim_v) put(dv_row + n * 8 + quad * 2, dv[m][n][h * 2], dv[m][n][h * 2 + 1], a.add_dkv);
  }
}

__global__ void join_kernel(FlashArgs a, const float* part, int splits) {
  const int64_t width = a.dim_k + a.dim_v;
  NSA_GRID_STRIDE(i, a.tk * a.hkv * width) {
    float sum = 0;
    for (int s = 0; s < splits; ++s) sum += part[s * a.tk * a.hkv * width + i];
    int64_t c = i % width, item = i / width, key = item / a.hkv, group = item % a.hkv;
    bf16* to = c < a.dim_k ? static_cast<bf16*>(a.dk) + key * a.ldk + group * a.dim_k + c
                           : static_cast<bf16*>(a.dv) + key * a.ldv + group * a.dim_v + c - a.dim_k;
    *to = __float2bfloat16_rn(a.add_dkv ? to_float(*to) + sum : sum);
  }
}

template <int DK, int DV, int MT>
constexpr size_t dq_smem = size_t((2 * kTile + kTile * MT) * (DK + DV)) * 2 + 1024;

// grid: (query heads, query tiles).
template <int DK, int DV, int MT, int NB>
__global__ void __launch_bounds__(kBlock) dq_kernel(FlashArgs a, const Tile* table, int64_t tiles) {
  constexpr int kOwn = kTile * MT;
  extern __shared__ char raw[];
  const uint32_t q_tile = (smem_address(raw) + 1023) & ~1023u, do_tile = q_tile + kOwn * DK * 2, k_tile = do_tile + kOwn * DV * 2,
                 v_tile = k_tile + kTile * DK * 2;
  const Tile tile = table[tiles - 1 - blockIdx.y];
  if (tile.doc < 0) return;
  const int64_t head = blockIdx.x, group = head / (a.hq / a.hkv);
  const int64_t q0 = a.cu_q[tile.doc], k0 = a.cu_k[tile.doc];
  const int nq = a.cu_q[tile.doc + 1] - int(q0), nk = a.cu_k[tile.doc + 1] - int(k0);
  const int rows = min(kOwn, nq - tile.from), t_last = tile.from + rows - 1;
  const int first = int(first_key(a, tile.from)) / kTile * kTile, end = int(end_key(a, t_last, nk));
  const int all_to = int(end_key(a, tile.from, nk)), all_from = int(first_key(a, t_last));
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, g = lane >> 2, quad = lane & 3;

  load_tile<kOwn, DK, kBlock>(q_tile, static_cast<const bf16*>(a.q) + (q0 + tile.from) * a.ldq + head * a.dim_k, a.ldq, rows, int(a.dim_k));
  load_tile<kOwn, DV, kBlock>(do_tile, static_cast<const bf16*>(a.do_) + (q0 + tile.from) * a.ldo + head * a.dim_v, a.ldo, rows, int(a.dim_v));
  copy_commit();
  float lse[MT][2], delta[MT][2];
  int row_first[MT][2], row_end[MT][2];
#pragma unroll
  for (int m = 0; m < MT; ++m)
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      int row = (warp * MT + m) * 16 + g + h * 8;
      int64_t r = (q0 + tile.from + row) * a.hq + head;
      float l = row < rows ? a.lse[r] : -INFINITY;
      lse[m][h] = l == -INFINITY ? INFINITY : l * kLog2e;
      delta[m][h] = row < rows ? a.delta[r] : 0.f;
      row_first[m][h] = int(first_key(a, tile.from + row));
      row_end[m][h] = int(end_key(a, tile.from + row, nk));
    }
  const uint32_t q_base = a_base(q_tile, warp * 16 * MT), do_base = a_base(do_tile, warp * 16 * MT), k_base = b_base(k_tile), v_base = b_base(v_tile),
                 k_trans = b_trans_base(k_tile);
  const float scale = a.scale * kLog2e;
  float dq[MT][DK / 8][4];
  zero(dq);
  constexpr uint32_t kStage = kTile * (DK + DV) * 2;
  auto fetch = [&](int at) {
    const int keys = min(kTile, end - at);
    const uint32_t stage = ((at - first) / kTile & 1) * kStage;
    load_tile<kTile, DK, kBlock>(k_tile + stage, static_cast<const bf16*>(a.k) + (k0 + at) * a.ldk + group * a.dim_k, a.ldk, keys, int(a.dim_k));
    load_tile<kTile, DV, kBlock>(v_tile + stage, static_cast<const bf16*>(a.v) + (k0 + at) * a.ldv + group * a.dim_v, a.ldv, keys, int(a.dim_v));
    copy_commit();
  };
  if (first < end) fetch(first);
  for (int at = first; at < end; at += kTile) {
    const uint32_t stage = ((at - first) / kTile & 1) * kStage;
    copy_wait<0>();
    __syncthreads();
    if (at + kTile < end) fetch(at + kTile);
    const bool inside = at >= all_from && at + kTile <= all_to;
#pragma unroll
    for (int n0 = 0; n0 < kTile; n0 += NB) {
      float s[MT][NB / 8][4], dp[MT][NB / 8][4];
      product<DK, MT, NB, kOwn>(s, q_base, k_base + stage + n0 * 128);
      product<DV, MT, NB, kOwn>(dp, do_base, v_base + stage + n0 * 128);
#pragma unroll
      for (int m = 0; m < MT; ++m)
#pragma unroll
        for (int n = 0; n < NB / 8; ++n)
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            const int c = at + n0 + n * 8 + quad * 2 + (e & 1), h = e >> 1;
            float p = exp2_fast(fmaf(s[m][n][e], scale, -lse[m][h]));
            if (!inside && (c < row_first[m][h] || c >= row_end[m][h])) p = 0.f;
            s[m][n][e] = p * (dp[m][n][e] - delta[m][h]);
          }
      gather<DK, MT, NB>(dq, s, k_trans + stage + n0 * 128);
    }
  }
  copy_wait<0>();
#pragma unroll
  for (int i = 0; i < 2 * MT; ++i) {
    const int m = i >> 1, h = i & 1, row = (warp * MT + m) * 16 + g + h * 8;
    if (row >= rows) continue;
    bf16* to = static_cast<bf16*>(a.dq) + (q0 + tile.from + row) * a.ldq + head * a.dim_k;
#pragma unroll
    for (int n = 0; n < DK / 8; ++n)
      if (n * 8 + quad * 2 < a.dim_k) put(to + n * 8 + quad * 2, dq[m][n][h * 2] * a.scale, dq[m][n][h * 2 + 1] * a.scale, a.add_dq);
  }
}

template <int DK, int DV, int MT, int NB>
int launch(void* ctx, FlashArgs a) {
  constexpr int kOwn = kTile * MT;
  const int64_t q_tiles = tile_capacity(a.tq, a.n_docs, kOwn), k_tiles = tile_capacity(a.tk, a.n_docs, kOwn), heads = a.hq / a.hkv;
  if (q_tiles > 65535 || k_tiles > 65535 || a.hkv > 65535) return unsupported(ctx, "too many tiles in one call");
  const int64_t wanted = ceil_div(int64_t(context(ctx).sm_count) * 4, std::max<int64_t>(1, (a.tk / kOwn) * a.hkv));
  const auto splits = int(std::min(heads, std::max<int64_t>(1, wanted)));
  Scratch delta(ctx, a.delta ? 0 : size_t(a.tq * a.hq) * 4), q_table(ctx, size_t(q_tiles) * sizeof(Tile)), k_table(ctx, size_t(k_tiles) * sizeof(Tile)),
      part(ctx, splits > 1 ? size_t(splits * a.tk * a.hkv * (a.dim_k + a.dim_v)) * 4 : 0);
  if (!delta || !q_table || !k_table || !part) return out_of_memory(ctx);
  auto stream = context(ctx).stream;
  const bool summed = a.delta != nullptr;
  if (!summed) a.delta = delta.as<float>();
  auto dkv = dkv_kernel<DK, DV, MT, NB>;
  auto dq = dq_kernel<DK, DV, MT, NB>;
  if (int status = check(ctx, cudaFuncSetAttribute(dkv, cudaFuncAttributeMaxDynamicSharedMemorySize, int(dkv_smem<DK, DV, MT>)))) return status;
  if (int status = check(ctx, cudaFuncSetAttribute(dq, cudaFuncAttributeMaxDynamicSharedMemorySize, int(dq_smem<DK, DV, MT>)))) return status;
  if (!summed) delta_kernel<<<unsigned(ceil_div(a.tq * a.hq, 8)), 256, 0, stream>>>(a, delta.as<float>());
  tile_table_kernel<<<1, 1024, 0, stream>>>(a.cu_q, a.n_docs, kOwn, q_table.as<Tile>(), q_tiles);
  tile_table_kernel<<<1, 1024, 0, stream>>>(a.cu_k, a.n_docs, kOwn, k_table.as<Tile>(), k_tiles);
  if (a.tk > 0)
    dkv<<<dim3(unsigned(splits), unsigned(a.hkv), unsigned(k_tiles)), kBlock, dkv_smem<DK, DV, MT>, stream>>>(a, k_table.as<Tile>(), part.as<float>());
  if (splits > 1 && a.tk > 0) flash_join(ctx, a, part.as<float>(), splits);
  dq<<<dim3(unsigned(a.hq), unsigned(q_tiles)), kBlock, dq_smem<DK, DV, MT>, stream>>>(a, q_table.as<Tile>(), q_tiles);
  return launched(ctx);
}

}  // namespace

void flash_join(void* ctx, const FlashArgs& a, const float* part, int splits) {
  join_kernel<<<grid_for(ctx, a.tk * a.hkv * (a.dim_k + a.dim_v)), kThreads, 0, context(ctx).stream>>>(a, part, splits);
}

bool flash_bwd_mma(void* ctx, const FlashArgs& a, int& status) {
  int64_t dk = a.dim_k, dv = a.dim_v;
  if (dk <= 64 && dv <= 64) status = launch<64, 64, 2, 32>(ctx, a);
  else if (dk <= 128 && dv <= 128) status = launch<128, 128, 1, 32>(ctx, a);
  else if (dk <= 192 && dv <= 128) status = launch<192, 128, 1, 32>(ctx, a);
  else return false;
  return true;
}

}  // namespace nsa::cuda
