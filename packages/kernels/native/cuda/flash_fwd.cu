// Flash attention forward on tensor cores (FlashAttention-2): a block holds a tile of queries of one head and walks its keys.
//
// Legend: BM queries a tile, BN keys a step, MT 16-row fragments a warp, DK / DV head dims padded to 64.
#include "cuda/convert.h"
#include "cuda/flash.h"
#include "cuda/mma.h"

namespace nsa::cuda {

__global__ void tile_table_kernel(const int32_t* cu, int64_t n_docs, int32_t rows, Tile* table, int64_t capacity) {
  __shared__ int32_t sums[1024];
  __shared__ int32_t carried;
  if (threadIdx.x == 0) carried = 0;
  __syncthreads();
  for (int64_t base = 0; base < n_docs; base += 1024) {
    int64_t doc = base + threadIdx.x;
    int32_t length = doc < n_docs ? cu[doc + 1] - cu[doc] : 0, tiles = (length + rows - 1) / rows;
    sums[threadIdx.x] = tiles;
    __syncthreads();
    for (int step = 1; step < 1024; step <<= 1) {
      int32_t left = int(threadIdx.x) >= step ? sums[threadIdx.x - step] : 0;
      __syncthreads();
      sums[threadIdx.x] += left;
      __syncthreads();
    }
    // A thread a tile: its document is the first whose sum is larger.
    for (int32_t i = threadIdx.x; i < sums[1023]; i += 1024) {
      int32_t low = 0, up = 1023;
      while (low < up) {
        const int32_t middle = (low + up) / 2;
        if (sums[middle] > i) up = middle;
        else low = middle + 1;
      }
      if (carried + i < capacity) table[carried + i] = {int32_t(base + low), (i - (low ? sums[low - 1] : 0)) * rows};
    }
    __syncthreads();
    if (threadIdx.x == 1023) carried += sums[1023];
    __syncthreads();
  }
  for (int64_t i = carried + threadIdx.x; i < capacity; i += 1024) table[i] = {-1, 0};
}

namespace {

template <int DK, int DV, int MT, int BN>
struct Fwd {
  static constexpr int threads = 128, BM = 64 * MT;
  static constexpr size_t smem = size_t(BM * DK + BN * DK + BN * DV) * 2 + 1024;
};

template <int DK, int DV, int MT, int BN>
__global__ void __launch_bounds__(128) fwd_kernel(FlashArgs a, const Tile* table, int64_t tiles) {
  using Cfg = Fwd<DK, DV, MT, BN>;
  constexpr int BM = Cfg::BM;
  extern __shared__ char raw[];
  const uint32_t q_tile = (smem_address(raw) + 1023) & ~1023u, k_tile = q_tile + BM * DK * 2, v_tile = k_tile + BN * DK * 2;
  // Later tiles see more keys: they start first.
  const Tile tile = table[tiles - 1 - blockIdx.y];
  if (tile.doc < 0) return;
  const int64_t head = blockIdx.x, group = head / (a.hq / a.hkv);
  const int64_t q0 = a.cu_q[tile.doc], nq = a.cu_q[tile.doc + 1] - q0, k0 = a.cu_k[tile.doc], nk = a.cu_k[tile.doc + 1] - k0;
  const int64_t start = a.q_start ? a.q_start[tile.doc] : 0;
  const int rows = int(min(int64_t(BM), nq - tile.from));
  const int64_t t_first = start + tile.from, t_last = t_first + rows - 1;
  // Positions inside a document fit 32 bits.
  const int first = int(first_key(a, t_first)) / BN * BN, end = int(end_key(a, t_last, nk));
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, g = lane >> 2, quad = lane & 3;

  const auto* q = static_cast<const bf16*>(a.q) + (q0 + tile.from) * a.ldq + head * a.dim_k;
  const auto* k = static_cast<const bf16*>(a.k) + k0 * a.ldk + group * a.dim_k;
  const auto* v = static_cast<const bf16*>(a.v) + k0 * a.ldv + group * a.dim_v;
  load_tile<BM, DK, 128>(q_tile, q, a.ldq, rows, int(a.dim_k));
  load_tile<BN, DK, 128>(k_tile, k + int64_t(first) * a.ldk, a.ldk, min(BN, end - first), int(a.dim_k));
  copy_commit();

  const uint32_t q_base = a_base(q_tile, warp * MT * 16), k_base = b_base(k_tile), v_base = b_trans_base(v_tile);
  float o[MT][DV / 8][4] = {};
  float top[MT][2], sum[MT][2];
  int row_end[MT][2], row_first[MT][2];
#pragma unroll
  for (int m = 0; m < MT; ++m)
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      top[m][h] = -INFINITY;
      sum[m][h] = 0;
      int64_t t = t_first + (warp * MT + m) * 16 + g + h * 8;
      row_end[m][h] = int(end_key(a, t, nk));
      row_first[m][h] = int(first_key(a, t));
    }
  const float scale = a.scale * 1.4426950408889634f;
  const int all_see_to = int(end_key(a, t_first, nk)), all_see_from = int(first_key(a, t_last));

  for (int at = first; at < end; at += BN) {
    copy_wait<0>();
    __syncthreads();
    load_tile<BN, DV, 128>(v_tile, v + int64_t(at) * a.ldv, a.ldv, min(BN, end - at), int(a.dim_v));
    copy_commit();
    float s[MT][BN / 8][4] = {};
#pragma unroll
    for (int kk = 0; kk < DK; kk += 16) {
      uint32_t fa[MT][4];
#pragma unroll
      for (int m = 0; m < MT; ++m) load_a_at(fa[m], q_base + m * 2048, BM, kk);
#pragma unroll
      for (int n = 0; n < BN; n += 16) {
        uint32_t fb[4];
        load_b_at(fb, k_base, BN, n, kk);
#pragma unroll
        for (int m = 0; m < MT; ++m) {
          mma_bf16(s[m][n / 8], fa[m], fb[0], fb[1]);
          mma_bf16(s[m][n / 8 + 1], fa[m], fb[2], fb[3]);
        }
      }
    }
    if (at + BN > all_see_to || at < all_see_from) {
#pragma unroll
      for (int m = 0; m < MT; ++m)
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          const int low = row_first[m][h] - at, up = row_end[m][h] - at;
#pragma unroll
          for (int n = 0; n < BN / 8; ++n)
#pragma unroll
            for (int e = 0; e < 2; ++e) {
              int j = n * 8 + quad * 2 + e;
              if (j < low || j >= up) s[m][n][h * 2 + e] = -INFINITY;
            }
        }
    }
#pragma unroll
    for (int m = 0; m < MT; ++m)
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        float high = top[m][h];
#pragma unroll
        for (int n = 0; n < BN / 8; ++n) high = fmaxf(high, fmaxf(s[m][n][h * 2], s[m][n][h * 2 + 1]));
        high = fmaxf(high, __shfl_xor_sync(~0u, high, 1));
        high = fmaxf(high, __shfl_xor_sync(~0u, high, 2));
        const float base = high == -INFINITY ? 0.f : high * scale;
        const float shrink = exp2_fast(top[m][h] * scale - base);
        top[m][h] = high;
        float total = 0;
#pragma unroll
        for (int n = 0; n < BN / 8; ++n)
#pragma unroll
          for (int e = 0; e < 2; ++e) {
            float p = exp2_fast(fmaf(s[m][n][h * 2 + e], scale, -base));
            s[m][n][h * 2 + e] = p;
            total += p;
          }
        sum[m][h] = sum[m][h] * shrink + total;
#pragma unroll
        for (int n = 0; n < DV / 8; ++n) {
          o[m][n][h * 2] *= shrink;
          o[m][n][h * 2 + 1] *= shrink;
        }
      }
    copy_wait<0>();
    __syncthreads();
    if (at + BN < end) {
      load_tile<BN, DK, 128>(k_tile, k + int64_t(at + BN) * a.ldk, a.ldk, min(BN, end - at - BN), int(a.dim_k));
      copy_commit();
    }
#pragma unroll
    for (int kk = 0; kk < BN; kk += 16) {
      uint32_t fp[MT][4];
#pragma unroll
      for (int m = 0; m < MT; ++m) {
        fp[m][0] = pack_bf16(s[m][kk / 8][0], s[m][kk / 8][1]);
        fp[m][1] = pack_bf16(s[m][kk / 8][2], s[m][kk / 8][3]);
        fp[m][2] = pack_bf16(s[m][kk / 8 + 1][0], s[m][kk / 8 + 1][1]);
        fp[m][3] = pack_bf16(s[m][kk / 8 + 1][2], s[m][kk / 8 + 1][3]);
      }
#pragma unroll
      for (int n = 0; n < DV; n += 16) {
        uint32_t fb[4];
        load_b_trans_at(fb, v_base, BN, kk, n);
#pragma unroll
        for (int m = 0; m < MT; ++m) {
          mma_bf16(o[m][n / 8], fp[m], fb[0], fb[1]);
          mma_bf16(o[m][n / 8 + 1], fp[m], fb[2], fb[3]);
        }
      }
    }
  }
  copy_wait<0>();

  auto* out = static_cast<bf16*>(a.out);
#pragma unroll
  for (int m = 0; m < MT; ++m)
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      int row = (warp * MT + m) * 16 + g + h * 8;
      float total = sum[m][h];
      total += __shfl_xor_sync(~0u, total, 1);
      total += __shfl_xor_sync(~0u, total, 2);
      if (row >= rows) continue;
      const int64_t r = q0 + tile.from + row;
      const float inverse = total > 0 ? 1.f / total : 0.f;
      if (quad == 0) a.lse[r * a.hq + head] = total > 0 ? top[m][h] * a.scale + logf(total) : -INFINITY;
      bf16* to = out + r * a.ldo + head * a.dim_v;
#pragma unroll
      for (int n = 0; n < DV / 8; ++n) {
        int c = n * 8 + quad * 2;
        if (c < a.dim_v) *reinterpret_cast<uint32_t*>(to + c) = pack_bf16(o[m][n][h * 2] * inverse, o[m][n][h * 2 + 1] * inverse);
      }
    }
}

template <int DK, int DV, int MT, int BN>
int launch(void* ctx, const FlashArgs& a) {
  using Cfg = Fwd<DK, DV, MT, BN>;
  auto kernel = fwd_kernel<DK, DV, MT, BN>;
  int64_t tiles = tile_capacity(a.tq, a.n_docs, Cfg::BM);
  if (tiles > 65535) return unsupported(ctx, "too many query tiles in one call");
  Scratch table(ctx, size_t(tiles) * sizeof(Tile));
  if (!table) return out_of_memory(ctx);
  auto stream = context(ctx).stream;
  if (int status = check(ctx, cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(Cfg::smem)))) return status;
  tile_table_kernel<<<1, 1024, 0, stream>>>(a.cu_q, a.n_docs, Cfg::BM, table.as<Tile>(), tiles);
  kernel<<<dim3(unsigned(a.hq), unsigned(tiles)), 128, Cfg::smem, stream>>>(a, table.as<Tile>(), tiles);
  return launched(ctx);
}

}  // namespace

bool flash_fwd_mma(void* ctx, const FlashArgs& a, int& status) {
  int64_t dk = a.dim_k, dv = a.dim_v;
  if (dk <= 64 && dv <= 64) status = launch<64, 64, 2, 64>(ctx, a);
  else if (dk <= 128 && dv <= 128) status = launch<128, 128, 2, 32>(ctx, a);
  else if (dk <= 192 && dv <= 128) status = launch<192, 128, 1, 64>(ctx, a);
  else if (dk <= 256 && dv <= 256) status = launch<256, 256, 1, 32>(ctx, a);
  else return false;
  return true;
}

}  // namespace nsa::cuda
