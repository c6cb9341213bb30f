// Selected attention on tensor cores, bf16, head dims up to 128.
//
// fwd and dq: one warp takes one (query, KV head); the rows of its fragments are the heads of the group, 16 at a time, and it walks
// the query's selected keys 32 at a time. dk and dv: four warps take a stretch of the list of (block, query) pairs sorted by
// block; the rows of the fragments are 64 keys of the block, and the (query, head) rows of its list are gathered 32 at a time.
#include "cuda/convert.h"
#include "cuda/documents.h"
#include "cuda/mma.h"
#include "cuda/nsa_selected.h"

namespace nsa::cuda {
namespace {

constexpr float kLog2e = 1.4426950408889634f;
constexpr int kHeads = 16, kKeys = 32;

// Walks the selected keys of one query: tiles of at most kKeys, skipping what lies after the query.
struct Walk {
  const int32_t* idx;
  int64_t num_selected, block, t, n;
  int from, valid;  // local position of the tile and its keys; valid 0 = the end

  __device__ Walk(const SelectedArgs& a, int64_t row, int64_t kv, int64_t position)
      : idx(a.idx + (row * a.hkv + kv) * a.num_selected), num_selected(a.num_selected), block(a.block), t(position), n(-1), from(0), valid(0) {}
  __device__ void step(int64_t at, int64_t end) {
    from = int(at);
    valid = int(min(int64_t(kKeys), end - at));
  }
  __device__ bool next() {
    if (n >= 0) {
      const int64_t end = min(idx[n] * block + block, t + 1), at = int64_t(from) + kKeys;
      if (at < end) {
        step(at, end);
        return true;
      }
    }
    for (++n; n < num_selected; ++n) {
      if (idx[n] < 0) continue;
      const int64_t at = idx[n] * block, end = min(at + block, t + 1);
      if (at < end) {
        step(at, end);
        return true;
      }
    }
    valid = 0;
    return false;
  }
};

// s = rows of the A tile times rows of a [kKeys, DIM] tile, transposed.
template <int DIM>
__device__ inline void scores(float (&s)[kKeys / 8][4], uint32_t a_at, uint32_t b_at) {
#pragma unroll
  for (int n = 0; n < kKeys / 8; ++n)
#pragma unroll
    for (int e = 0; e < 4; ++e) s[n][e] = 0.f;
#pragma unroll
  for (int kk = 0; kk < DIM; kk += 16) {
    uint32_t fa[4];
    load_a_at(fa, a_at, kHeads, kk);
#pragma unroll
    for (int n = 0; n < kKeys; n += 16) {
      uint32_t fb[4];
      load_b_at(fb, b_at, kKeys, n, kk);
      mma_bf16(s[n / 8], fa, fb[0], fb[1]);
      mma_bf16(s[n / 8 + 1], fa, fb[2], fb[3]);
    }
  }
}

// o += p · tile, the tile stored [kKeys, DIM].
template <int DIM>
__device__ inline void weigh(float (&o)[DIM / 8][4], const float (&p)[kKeys / 8][4], uint32_t tile_trans) {
#pragma unroll
  for (int kk = 0; kk < kKeys; kk += 16) {
    uint32_t fp[4] = {pack_bf16(p[kk / 8][0], p[kk / 8][1]), pack_bf16(p[kk / 8][2], p[kk / 8][3]), pack_bf16(p[kk / 8 + 1][0], p[kk / 8 + 1][1]),
                      pack_bf16(p[kk / 8 + 1][2], p[kk / 8 + 1][3])};
#pragma unroll
    for (int n = 0; n < DIM; n += 16) {
      uint32_t fb[4];
      load_b_trans_at(fb, tile_trans, kKeys, kk, n);
      mma_bf16(o[n / 8], fp, fb[0], fb[1]);
      mma_bf16(o[n / 8 + 1], fp, fb[2], fb[3]);
    }
  }
}

template <int D>
constexpr size_t fwd_smem = size_t((kHeads + 2 * kKeys) * D) * 2 + 1024;

// A block is one warp; blockIdx.x = (KV head, query, part), `parts` of 16 heads each: the keys of one KV head stay in the L2 cache.
template <int D>
__global__ void __launch_bounds__(32) fwd_kernel(SelectedArgs a, int parts) {
  extern __shared__ char raw[];
  const uint32_t q_tile = (smem_address(raw) + 1023) & ~1023u, k_tile = q_tile + kHeads * D * 2, v_tile = k_tile + kKeys * D * 2;
  const int64_t item = blockIdx.x / parts, row = item % a.rows, kv = item / a.rows, heads = a.hq / a.hkv, head0 = blockIdx.x % parts * kHeads;
  const int64_t start = a.cu_seqlens[document_of(a.cu_seqlens, a.n_docs, row)];
  const int here = int(min(int64_t(kHeads), heads - head0)), dk = int(a.dim_k), dv = int(a.dim_v);
  const int lane = threadIdx.x, g = lane >> 2, quad = lane & 3;
  const auto* k = static_cast<const bf16*>(a.k) + start * a.ldk + kv * dk;
  const auto* v = static_cast<const bf16*>(a.v) + start * a.ldv + kv * dv;
  const int64_t head = kv * heads + head0;

  Walk walk(a, row, kv, row - start);
  bool more = walk.next();
  load_tile<kHeads, D, 32>(q_tile, static_cast<const bf16*>(a.q) + row * a.ldq + head * dk, dk, here, dk);
  if (more) load_tile<kKeys, D, 32>(k_tile, k + walk.from * a.ldk, a.ldk, walk.valid, dk);
  copy_commit();
  const uint32_t q_at = a_base(q_tile, 0), k_at = b_base(k_tile), v_at = b_trans_base(v_tile);
  float o[D / 8][4] = {}, top[2] = {-INFINITY, -INFINITY}, sum[2] = {};
  const float scale = a.scale * kLog2e;
  while (more) {
    const int valid = walk.valid;
    copy_wait<0>();
    __syncwarp();
    load_tile<kKeys, D, 32>(v_tile, v + walk.from * a.ldv, a.ldv, valid, dv);
    copy_commit();
    float s[kKeys / 8][4];
    scores<D>(s, q_at, k_at);
    if (valid < kKeys) {
#pragma unroll
      for (int n = 0; n < kKeys / 8; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          if (n * 8 + quad * 2 + (e & 1) >= valid) s[n][e] = -INFINITY;
    }
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float high = top[h];
#pragma unroll
      for (int n = 0; n < kKeys / 8; ++n) high = fmaxf(high, fmaxf(s[n][h * 2], s[n][h * 2 + 1]));
      high = fmaxf(high, __shfl_xor_sync(~0u, high, 1));
      high = fmaxf(high, __shfl_xor_sync(~0u, high, 2));
      const float base = high == -INFINITY ? 0.f : high * scale, shrink = exp2_fast(top[h] * scale - base);
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
      sum[h] = sum[h] * shrink + total;
#pragma unroll
      for (int n = 0; n < D / 8; ++n) o[n][h * 2] *= shrink, o[n][h * 2 + 1] *= shrink;
    }
    more = walk.next();
    copy_wait<0>();
    __syncwarp();
    if (more) {
      load_tile<kKeys, D, 32>(k_tile, k + walk.from * a.ldk, a.ldk, walk.valid, dk);
      copy_commit();
    }
    weigh<D>(o, s, v_at);
    __syncwarp();
  }
  copy_wait<0>();
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    float total = sum[h];
    total += __shfl_xor_sync(~0u, total, 1);
    total += __shfl_xor_sync(~0u, total, 2);
    const int r = g + h * 8;
    if (r >= here) continue;
    const float inverse = total > 0 ? 1.f / total : 0.f;
    if (quad == 0) a.lse[row * a.hq + head + r] = total > 0 ? top[h] * a.scale + logf(total) : -INFINITY;
    bf16* to = static_cast<bf16*>(a.out) + row * a.ldo + (head + r) * dv;
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
      const int c = n * 8 + quad * 2;
      if (c < dv) *reinterpret_cast<uint32_t*>(to + c) = pack_bf16(o[n][h * 2] * inverse, o[n][h * 2 + 1] * inverse);
    }
  }
}

template <int D>
constexpr size_t dq_smem = size_t((2 * kHeads + 2 * kKeys) * D) * 2 + 1024;

template <int D>
__global__ void __launch_bounds__(32) dq_kernel(SelectedArgs a, int parts) {
  extern __shared__ char raw[];
  const uint32_t q_tile = (smem_address(raw) + 1023) & ~1023u, do_tile = q_tile + kHeads * D * 2, k_tile = do_tile + kHeads * D * 2,
                 v_tile = k_tile + kKeys * D * 2;
  const int64_t item = blockIdx.x / parts, row = item % a.rows, kv = item / a.rows, heads = a.hq / a.hkv, head0 = blockIdx.x % parts * kHeads;
  const int64_t start = a.cu_seqlens[document_of(a.cu_seqlens, a.n_docs, row)];
  const int here = int(min(int64_t(kHeads), heads - head0)), dk = int(a.dim_k), dv = int(a.dim_v);
  const int lane = threadIdx.x, g = lane >> 2, quad = lane & 3;
  const auto* k = static_cast<const bf16*>(a.k) + start * a.ldk + kv * dk;
  const auto* v = static_cast<const bf16*>(a.v) + start * a.ldv + kv * dv;
  const int64_t head = kv * heads + head0;

  load_tile<kHeads, D, 32>(q_tile, static_cast<const bf16*>(a.q) + row * a.ldq + head * dk, dk, here, dk);
  load_tile<kHeads, D, 32>(do_tile, static_cast<const bf16*>(a.do_) + row * a.ldo + head * dv, dv, here, dv);
  copy_commit();
  const uint32_t q_at = a_base(q_tile, 0), do_at = a_base(do_tile, 0), k_at = b_base(k_tile), v_at = b_base(v_tile), k_trans = b_trans_base(k_tile);
  float dq[D / 8][4] = {}, lse[2], delta[2];
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int r = g + h * 8;
    const float l = r < here ? a.lse[row * a.hq + head + r] : -INFINITY;
    lse[h] = l == -INFINITY ? INFINITY : l * kLog2e;
    delta[h] = r < here ? a.delta[row * a.hq + head + r] : 0.f;
  }
  const float scale = a.scale * kLog2e;
  Walk walk(a, row, kv, row - start);
  while (walk.next()) {
    __syncwarp();
    load_tile<kKeys, D, 32>(k_tile, k + walk.from * a.ldk, a.ldk, walk.valid, dk);
    load_tile<kKeys, D, 32>(v_tile, v + walk.from * a.ldv, a.ldv, walk.valid, dv);
    copy_commit();
    copy_wait<0>();
    __syncwarp();
    float s[kKeys / 8][4], dp[kKeys / 8][4];
    scores<D>(s, q_at, k_at);
    scores<D>(dp, do_at, v_at);
#pragma unroll
    for (int n = 0; n < kKeys / 8; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const float p = n * 8 + quad * 2 + (e & 1) < walk.valid ? exp2_fast(fmaf(s[n][e], scale, -lse[e >> 1])) : 0.f;
        s[n][e] = p * (dp[n][e] - delta[e >> 1]);
      }
    weigh<D>(dq, s, k_trans);
  }
  copy_wait<0>();
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int r = g + h * 8;
    if (r >= here) continue;
    bf16* to = static_cast<bf16*>(a.dq) + row * a.ldq + (head + r) * dk;
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
      const int c = n * 8 + quad * 2;
      if (c >= dk) continue;
      float x = dq[n][h * 2] * a.scale, y = dq[n][h * 2 + 1] * a.scale;
      if (a.add_dq) x += to_float(to[c]), y += to_float(to[c + 1]);
      *reinterpret_cast<uint32_t*>(to + c) = pack_bf16(x, y);
    }
  }
}

constexpr int kBlockKeys = 64, kItems = 32;

template <int D>
constexpr size_t dkv_smem = size_t(2 * (kBlockKeys + kItems) * D) * 2 + 1024;

template <int D>
__global__ void __launch_bounds__(128) dkv_kernel(SelectedArgs a, SelectedList list) {
  extern __shared__ char raw[];
  __shared__ float lse[kItems], delta[kItems];
  __shared__ int32_t rows[kItems];
  const uint32_t k_tile = (smem_address(raw) + 1023) & ~1023u, v_tile = k_tile + kBlockKeys * D * 2, q_tile = v_tile + kBlockKeys * D * 2,
                 do_tile = q_tile + kItems * D * 2;
  const int tid = int(threadIdx.x), lane = tid & 31, warp = tid >> 5, g = lane >> 2, quad = lane & 3;
  const int dk = int(a.dim_k), dv = int(a.dim_v), heads = int(a.hq / a.hkv);
  const int64_t from = blockIdx.x * list.stretch, to = min(list.n, from + list.stretch);
  const uint32_t k_at = a_base(k_tile, warp * 16), v_at = a_base(v_tile, warp * 16), q_at = b_base(q_tile), do_at = b_base(do_tile),
                 q_trans = b_trans_base(q_tile), do_trans = b_trans_base(do_tile);
  const float scale = a.scale * kLog2e;
  for (int64_t at = from; at < to;) {
    const int32_t key = list.pairs[at].x;
    if (is_absent(a, key)) break;
    const int64_t end = run_end(list, at, to);
    const bool before = at == from && at > 0 && list.pairs[at - 1].x == key, goes_on = end == to && to < list.n && list.pairs[to].x == key;
    const auto [start, kv] = block_of(a, key);
    const int count = int(selected_keys(a, start)), items = int(end - at) * heads;
    for (int k0 = 0; k0 < count; k0 += kBlockKeys) {
      __syncthreads();
      load_tile<kBlockKeys, D, 128>(k_tile, static_cast<const bf16*>(a.k) + (start + k0) * a.ldk + kv * dk, a.ldk, count - k0, dk);
      load_tile<kBlockKeys, D, 128>(v_tile, static_cast<const bf16*>(a.v) + (start + k0) * a.ldv + kv * dv, a.ldv, count - k0, dv);
      copy_commit();
      float gk[D / 8][4] = {}, gv[D / 8][4] = {};
      for (int first = 0; first < items; first += kItems) {
        __syncthreads();
        for (int i = tid; i < kItems * (D / 8); i += 128) {
          const int b = i / (D / 8), c = i % (D / 8) * 8, item = first + b;
          const bool in = item < items;
          const int64_t row = in ? list.pairs[at + item / heads].y : 0, head = in ? kv * heads + item % heads : 0;
          const bool in_q = in && c < dk, in_do = in && c < dv;
          copy_async(q_tile + tile_offset(kItems, b, c), static_cast<const bf16*>(a.q) + (in_q ? row * a.ldq + head * dk + c : 0), in_q);
          copy_async(do_tile + tile_offset(kItems, b, c), static_cast<const bf16*>(a.do_) + (in_do ? row * a.ldo + head * dv + c : 0), in_do);
        }
        copy_commit();
        if (tid < kItems) {
          const int item = first + tid;
          lse[tid] = INFINITY, delta[tid] = 0, rows[tid] = -1;
          if (item < items) {
            const int64_t row = list.pairs[at + item / heads].y, r = row * a.hq + kv * heads + item % heads;
            const float l = a.lse[r];
            lse[tid] = l == -INFINITY ? INFINITY : l * kLog2e, delta[tid] = a.delta[r], rows[tid] = int32_t(row);
          }
        }
        copy_wait<0>();
        __syncthreads();
        float s[kItems / 8][4] = {}, dp[kItems / 8][4] = {};
#pragma unroll
        for (int kk = 0; kk < D; kk += 16) {
          uint32_t fk[4], fv[4];
          load_a_at(fk, k_at, kBlockKeys, kk);
          load_a_at(fv, v_at, kBlockKeys, kk);
#pragma unroll
          for (int n = 0; n < kItems; n += 16) {
            uint32_t fb[4];
            load_b_at(fb, q_at, kItems, n, kk);
            mma_bf16(s[n / 8], fk, fb[0], fb[1]);
            mma_bf16(s[n / 8 + 1], fk, fb[2], fb[3]);
            load_b_at(fb, do_at, kItems, n, kk);
            mma_bf16(dp[n / 8], fv, fb[0], fb[1]);
            mma_bf16(dp[n / 8 + 1], fv, fb[2], fb[3]);
          }
        }
#pragma unroll
        for (int n = 0; n < kItems / 8; ++n)
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            const int c = n * 8 + quad * 2 + (e & 1), local = k0 + warp * 16 + g + (e >> 1) * 8;
            // Keys past the block are zeros and their sums are not stored.
            const float p = start + local <= rows[c] ? exp2_fast(fmaf(s[n][e], scale, -lse[c])) : 0.f;
            s[n][e] = p;
            dp[n][e] = p * (dp[n][e] - delta[c]);
          }
        weigh<D>(gv, s, do_trans);
        weigh<D>(gk, dp, q_trans);
      }
      copy_wait<0>();
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const int local = k0 + warp * 16 + g + h * 8;
        if (local >= count) continue;
        float* partial = list.partial + ((int64_t(blockIdx.x) * 2 + (before ? 0 : 1)) * a.block + local) * (dk + dv);
        bf16 *to_k = static_cast<bf16*>(a.dk) + (start + local) * a.ldk + kv * dk, *to_v = static_cast<bf16*>(a.dv) + (start + local) * a.ldv + kv * dv;
#pragma unroll
        for (int n = 0; n < D / 8; ++n) {
          const int c = n * 8 + quad * 2;
          const float k_x = gk[n][h * 2] * a.scale, k_y = gk[n][h * 2 + 1] * a.scale, v_x = gv[n][h * 2], v_y = gv[n][h * 2 + 1];
          if (before || goes_on) {
            if (c < dk) *reinterpret_cast<float2*>(partial + c) = make_float2(k_x, k_y);
            if (c < dv) *reinterpret_cast<float2*>(partial + dk + c) = make_float2(v_x, v_y);
          } else {
            if (c < dk) *reinterpret_cast<uint32_t*>(to_k + c) = pack_bf16(to_float(to_k[c]) + k_x, to_float(to_k[c + 1]) + k_y);
            if (c < dv) *reinterpret_cast<uint32_t*>(to_v + c) = pack_bf16(to_float(to_v[c]) + v_x, to_float(to_v[c + 1]) + v_y);
          }
        }
      }
    }
    at = end;
  }
}

template <class Kernel, class... Rest>
int launch(void* ctx, Kernel kernel, int64_t blocks, int threads, size_t smem, Rest... rest) {
  if (int status = check(ctx, cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(smem)))) return status;
  kernel<<<unsigned(blocks), threads, smem, context(ctx).stream>>>(rest...);
  return launched(ctx);
}

}  // namespace

bool selected_mma_takes(const SelectedArgs& a) {
  for (const void* p : {a.q, a.k, a.v, a.o, a.do_, static_cast<const void*>(a.out), static_cast<const void*>(a.dq), static_cast<const void*>(a.dk), static_cast<const void*>(a.dv)})
    if (!aligned16(p)) return false;
  return (a.dim_k | a.dim_v | a.ldq | a.ldk | a.ldv | a.ldo) % 8 == 0 && a.dim_k <= 128 && a.dim_v <= 128;
}

int selected_fwd_mma(void* ctx, const SelectedArgs& a) {
  const int parts = int(ceil_div(a.hq / a.hkv, kHeads));
  const int64_t blocks = a.rows * a.hkv * parts;
  if (std::max(a.dim_k, a.dim_v) <= 64) return launch(ctx, fwd_kernel<64>, blocks, 32, fwd_smem<64>, a, parts);
  return launch(ctx, fwd_kernel<128>, blocks, 32, fwd_smem<128>, a, parts);
}

int selected_dq_mma(void* ctx, const SelectedArgs& a) {
  const int parts = int(ceil_div(a.hq / a.hkv, kHeads));
  const int64_t blocks = a.rows * a.hkv * parts;
  if (std::max(a.dim_k, a.dim_v) <= 64) return launch(ctx, dq_kernel<64>, blocks, 32, dq_smem<64>, a, parts);
  return launch(ctx, dq_kernel<128>, blocks, 32, dq_smem<128>, a, parts);
}

int selected_dkv_mma(void* ctx, const SelectedArgs& a, const SelectedList& list) {
  const int64_t blocks = ceil_div(list.n, list.stretch);
  if (std::max(a.dim_k, a.dim_v) <= 64) return launch(ctx, dkv_kernel<64>, blocks, 128, dkv_smem<64>, a, list);
  return launch(ctx, dkv_kernel<128>, blocks, 128, dkv_smem<128>, a, list);
}

}  // namespace nsa::cuda
