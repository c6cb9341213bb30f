// nsa_selected_fwd, nsa_selected_bwd: attention over the selected key blocks of each query, cut at the query.
//
// dk and dv: the (block, query) pairs are sorted by block; a thread block takes a stretch of the list and holds the gradients of
// one key block in registers; runs that cross stretches leave partial sums that a second kernel joins in order. Nothing is
// added atomically, so runs repeat bit for bit, and a block that every query selects is shared out like any other.
#include <cstdlib>
#include <type_traits>

#include "cuda/convert.h"
#include "cuda/documents.h"
#include "cuda/families.h"
#include "cuda/launch.h"
#include "cuda/nsa_selected.h"
#include "cuda/sort.h"

namespace nsa::cuda {
namespace {

constexpr int kWarps = kSelectedWarps, kDim = kSelectedDim, kPer = kSelectedPer, kBatch = 8;

template <class T>
__global__ void delta_kernel(SelectedArgs a, float* delta) {
  const int lane = threadIdx.x & 31;
  const int64_t item = int64_t(blockIdx.x) * kWarps + (threadIdx.x >> 5);
  if (item >= a.rows * a.hq) return;
  const int64_t at = item / a.hq * a.ldo + item % a.hq * a.dim_v;
  float sum = 0;
  for (int c = lane; c < a.dim_v; c += 32) sum += to_float(static_cast<const T*>(a.o)[at + c]) * to_float(static_cast<const T*>(a.do_)[at + c]);
  sum = warp_sum(sum);
  if (lane == 0) delta[item] = sum;
}

// A warp a query and head.
template <class T, bool WIDE>
__global__ void __launch_bounds__(kWarps * 32) dq_kernel(SelectedArgs a) {
  __shared__ __align__(16) float query[kWarps][kDim], gradient[kWarps][kDim];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, dk = int(a.dim_k), dv = int(a.dim_v);
  const int64_t item = int64_t(blockIdx.x) * kWarps + warp;
  if (item >= a.rows * a.hq) return;
  const int64_t row = item / a.hq, head = item % a.hq, kv = head / (a.hq / a.hkv);
  const int64_t start = a.cu_seqlens[document_of(a.cu_seqlens, a.n_docs, row)], t = row - start;
  const T *k = static_cast<const T*>(a.k) + start * a.ldk + kv * dk, *v = static_cast<const T*>(a.v) + start * a.ldv + kv * dv;
  for (int c = lane; c < dk; c += 32) query[warp][c] = to_float(static_cast<const T*>(a.q)[row * a.ldq + head * dk + c]) * a.scale;
  for (int c = lane; c < dv; c += 32) gradient[warp][c] = to_float(static_cast<const T*>(a.do_)[row * a.ldo + head * dv + c]);
  __syncwarp();
  const float lse = a.lse[item], delta = a.delta[item];
  const int32_t* idx = a.idx + (row * a.hkv + kv) * a.num_selected;
  float dq[kPer] = {};
  for (int64_t n = 0; n < a.num_selected; ++n) {
    if (idx[n] < 0 || lse == -INFINITY) continue;
    const int64_t first = idx[n] * a.block, end = min(first + a.block, t + 1);
    for (int64_t at = first; at < end; at += 32) {
      const int64_t j = at + lane;
      float ds = 0;
      if (j < end) ds = expf(dot_row<WIDE>(query[warp], k + j * a.ldk, dk) - lse) * (dot_row<WIDE>(gradient[warp], v + j * a.ldv, dv) - delta);
      for (int i = 0; i < 32 && at + i < end; ++i) {
        const float w = __shfl_sync(~0u, ds, i);
#pragma unroll
        for (int c = 0; c < kPer; ++c)
          if (c * 32 + lane < dk) dq[c] = fmaf(w, to_float(k[(at + i) * a.ldk + c * 32 + lane]), dq[c]);
      }
    }
  }
  T* out = static_cast<T*>(a.dq) + row * a.ldq + head * dk;
#pragma unroll
  for (int c = 0; c < kPer; ++c)
    if (c * 32 + lane < dk) from_float(dq[c] * a.scale + (a.add_dq ? to_float(out[c * 32 + lane]) : 0.f), out[c * 32 + lane]);
}

// The pairs of SelectedList, of every selected block.
__global__ void pairs_kernel(SelectedArgs a, int2* pairs) {
  const int64_t per_row = a.hkv * a.num_selected;
  NSA_GRID_STRIDE(i, a.rows * per_row) {
    const int64_t row = i / per_row, kv = i / a.num_selected % a.hkv;
    int64_t key = a.rows * a.hkv;
    if (a.idx[i] >= 0) {
      const int64_t start = a.cu_seqlens[document_of(a.cu_seqlens, a.n_docs, row)] + a.idx[i] * a.block;
      if (start <= row) key = kv * a.rows + start;
    }
    pairs[i] = make_int2(int32_t(key), int32_t(row));
  }
}

template <class T>
__global__ void zero_kernel(T* x, int64_t rows, int64_t cols, int64_t ld) {
  NSA_GRID_STRIDE(i, rows * cols) from_float(0.f, x[i / cols * ld + i % cols]);
}

// L threads a key, each with N4 quads of channels of k, v, dk and dv in registers: quad m of lane e holds channels 4·(m·L + e)...
template <class T, int L, int N4>
__global__ void __launch_bounds__(256) dkv_kernel(SelectedArgs a, SelectedList list) {
  constexpr int D = 4 * L * N4, KEYS = 256 / L;
  __shared__ __align__(16) float query[kBatch][D], gradient[kBatch][D];
  __shared__ float lse[kBatch], delta[kBatch];
  __shared__ int32_t rows[kBatch];
  const int tid = int(threadIdx.x), e = tid % L, dk = int(a.dim_k), dv = int(a.dim_v), heads = int(a.hq / a.hkv);
  const int64_t from = blockIdx.x * list.stretch, to = min(list.n, from + list.stretch);
  for (int64_t at = from; at < to;) {
    const int32_t key = list.pairs[at].x;
    if (is_absent(a, key)) break;
    const int64_t end = run_end(list, at, to);
    const bool before = at == from && at > 0 && list.pairs[at - 1].x == key, goes_on = end == to && to < list.n && list.pairs[to].x == key;
    const auto [start, kv] = block_of(a, key);
    const int count = int(selected_keys(a, start));
    const int items = int(end - at) * heads;
    for (int k0 = 0; k0 < count; k0 += KEYS) {
      const int local = k0 + tid / L;
      const bool valid = local < count;
      float k[N4][4], v[N4][4], gk[N4][4] = {}, gv[N4][4] = {};
#pragma unroll
      for (int m = 0; m < N4; ++m)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int c = 4 * (m * L + e) + i;
          k[m][i] = valid && c < dk ? to_float(static_cast<const T*>(a.k)[(start + local) * a.ldk + kv * dk + c]) : 0.f;
          v[m][i] = valid && c < dv ? to_float(static_cast<const T*>(a.v)[(start + local) * a.ldv + kv * dv + c]) : 0.f;
        }
      for (int first = 0; first < items; first += kBatch) {
        __syncthreads();
        for (int i = tid; i < kBatch * D; i += 256) {
          const int b = i / D, c = i % D, item = first + b;
          float x = 0, y = 0;
          if (item < items) {
            const int64_t row = list.pairs[at + item / heads].y, head = kv * heads + item % heads;
            if (c < dk) x = to_float(static_cast<const T*>(a.q)[row * a.ldq + head * dk + c]) * a.scale;
            if (c < dv) y = to_float(static_cast<const T*>(a.do_)[row * a.ldo + head * dv + c]);
          }
          query[b][c] = x;
          gradient[b][c] = y;
        }
        if (tid < kBatch) {
          const int item = first + tid;
          lse[tid] = INFINITY, delta[tid] = 0, rows[tid] = -1;
          if (item < items) {
            const int64_t row = list.pairs[at + item / heads].y, r = row * a.hq + kv * heads + item % heads;
            lse[tid] = a.lse[r] == -INFINITY ? INFINITY : a.lse[r], delta[tid] = a.delta[r], rows[tid] = int32_t(row);
          }
        }
        __syncthreads();
#pragma unroll 2
        for (int b = 0; b < kBatch; ++b) {
          float s = 0, dp = 0;
#pragma unroll
          for (int m = 0; m < N4; ++m) {
            const float4 x = *reinterpret_cast<const float4*>(&query[b][4 * (m * L + e)]), y = *reinterpret_cast<const float4*>(&gradient[b][4 * (m * L + e)]);
            s = fmaf(x.x, k[m][0], s), s = fmaf(x.y, k[m][1], s), s = fmaf(x.z, k[m][2], s), s = fmaf(x.w, k[m][3], s);
            dp = fmaf(y.x, v[m][0], dp), dp = fmaf(y.y, v[m][1], dp), dp = fmaf(y.z, v[m][2], dp), dp = fmaf(y.w, v[m][3], dp);
          }
#pragma unroll
          for (int m = L / 2; m > 0; m >>= 1) {
            s += __shfl_xor_sync(~0u, s, m);
            dp += __shfl_xor_sync(~0u, dp, m);
          }
          const float p = valid && start + local <= rows[b] ? expf(s - lse[b]) : 0.f, ds = p * (dp - delta[b]);
#pragma unroll
          for (int m = 0; m < N4; ++m) {
            const float4 x = *reinterpret_cast<const float4*>(&query[b][4 * (m * L + e)]), y = *reinterpret_cast<const float4*>(&gradient[b][4 * (m * L + e)]);
            gk[m][0] = fmaf(ds, x.x, gk[m][0]), gk[m][1] = fmaf(ds, x.y, gk[m][1]), gk[m][2] = fmaf(ds, x.z, gk[m][2]), gk[m][3] = fmaf(ds, x.w, gk[m][3]);
            gv[m][0] = fmaf(p, y.x, gv[m][0]), gv[m][1] = fmaf(p, y.y, gv[m][1]), gv[m][2] = fmaf(p, y.z, gv[m][2]), gv[m][3] = fmaf(p, y.w, gv[m][3]);
          }
        }
      }
      if (!valid) continue;
      float* partial = list.partial + ((int64_t(blockIdx.x) * 2 + (before ? 0 : 1)) * a.block + local) * (dk + dv);
      T *to_k = static_cast<T*>(a.dk) + (start + local) * a.ldk + kv * dk, *to_v = static_cast<T*>(a.dv) + (start + local) * a.ldv + kv * dv;
#pragma unroll
      for (int m = 0; m < N4; ++m)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int c = 4 * (m * L + e) + i;
          if (before || goes_on) {
            if (c < dk) partial[c] = gk[m][i];
            if (c < dv) partial[dk + c] = gv[m][i];
          } else {
            if (c < dk) from_float(to_float(to_k[c]) + gk[m][i], to_k[c]);
            if (c < dv) from_float(to_float(to_v[c]) + gv[m][i], to_v[c]);
          }
        }
    }
    at = end;
  }
}

__device__ inline void load_floats(float (&x)[1], const float* from) { x[0] = *from; }
__device__ inline void load_floats(float (&x)[4], const float* from) {
  const float4 all = *reinterpret_cast<const float4*>(from);
  x[0] = all.x, x[1] = all.y, x[2] = all.z, x[3] = all.w;
}

// The run that begins in this stretch and goes on past its end. A thread adds V channels at a time; V divides both head dims.
template <class T, int V>
__global__ void join_kernel(SelectedArgs a, SelectedList list) {
  const int64_t stretch = blockIdx.x, past = (stretch + 1) * list.stretch;
  if (past >= list.n) return;
  const int32_t key = list.pairs[past - 1].x;
  if (is_absent(a, key) || list.pairs[past].x != key) return;
  // A run that fills the stretch and began earlier belongs to the stretch where it began.
  if (stretch > 0 && list.pairs[stretch * list.stretch].x == key && list.pairs[stretch * list.stretch - 1].x == key) return;
  const auto [start, kv] = block_of(a, key);
  const int64_t size = a.block * (a.dim_k + a.dim_v);
  const auto width = unsigned(a.dim_k + a.dim_v), channels = unsigned(selected_keys(a, start)) * width;
  int64_t last = stretch + 1;  // the last stretch that the run reaches
  while ((last + 1) * list.stretch < list.n && list.pairs[(last + 1) * list.stretch].x == key) ++last;
  for (unsigned i = threadIdx.x * V; i < channels; i += blockDim.x * V) {
    float sum[V], more[V];
    load_floats(sum, list.partial + (stretch * 2 + 1) * size + i);
#pragma unroll 4
    for (int64_t s = stretch + 1; s <= last; ++s) {
      load_floats(more, list.partial + s * 2 * size + i);
#pragma unroll
      for (int e = 0; e < V; ++e) sum[e] += more[e];
    }
    const int64_t row = start + i / width, c = i % width;
    T* to = c < a.dim_k ? static_cast<T*>(a.dk) + row * a.ldk + kv * a.dim_k + c : static_cast<T*>(a.dv) + row * a.ldv + kv * a.dim_v + c - a.dim_k;
#pragma unroll
    for (int e = 0; e < V; ++e) from_float(to_float(to[e]) + sum[e], to[e]);
  }
}

template <class P>
const char* fault(const P& p) {
  if (p.hkv < 1 || p.hq % p.hkv || p.selection_block_size < 1) return "nsa_selected: heads or block size";
  if (p.dim_k > kDim || p.dim_v > kDim) return "nsa_selected: head dims are at most 256";
  auto shorter = [&](const NsaBuf& b, int64_t ld, int64_t width) { return b.numel < (p.tokens - 1) * ld + width; };
  if (p.tokens > 0 && (shorter(p.q, p.ldq, p.hq * p.dim_k) || shorter(p.k, p.ldk, p.hkv * p.dim_k) || shorter(p.v, p.ldv, p.hkv * p.dim_v) ||
                       shorter(p.o, p.ldo, p.hq * p.dim_v) || p.lse.numel < p.tokens * p.hq || p.idx.numel < p.tokens * p.hkv * p.num_selected ||
                       p.cu_seqlens.numel < p.n_docs + 1))
    return "nsa_selected: a tensor is too short";
  return nullptr;
}

template <class P>
SelectedArgs common(const P& p) {
  SelectedArgs a{};
  a.q = p.q.ptr, a.k = p.k.ptr, a.v = p.v.ptr, a.lse = static_cast<float*>(p.lse.ptr), a.idx = static_cast<const int32_t*>(p.idx.ptr);
  a.cu_seqlens = static_cast<const int32_t*>(p.cu_seqlens.ptr), a.n_docs = p.n_docs, a.rows = p.tokens, a.hq = p.hq, a.hkv = p.hkv;
  a.dim_k = p.dim_k, a.dim_v = p.dim_v, a.ldq = p.ldq, a.ldk = p.ldk, a.ldv = p.ldv, a.ldo = p.ldo;
  a.block = p.selection_block_size, a.num_selected = p.num_selected, a.scale = float(p.scale);
  a.all_arrive = std::getenv("NSA_RACECHECK") != nullptr;
  return a;
}

template <class T>
bool wide(const SelectedArgs& a) {
  return (a.dim_k | a.dim_v | a.ldk | a.ldv) % kVec<T> == 0 && aligned16(a.k) && aligned16(a.v);
}

int fwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_selected_fwd_params*>(params);
  if (const char* why = fault(p)) return bad_argument(ctx, why);
  if (p.q.dtype != p.k.dtype || p.q.dtype != p.v.dtype || p.q.dtype != p.o.dtype || p.lse.dtype != NSA_F32)
    return unsupported(ctx, "nsa_selected_fwd of mixed dtypes");
  if (p.tokens == 0 || p.n_docs == 0) return NSA_OK;
  SelectedArgs a = common(p);
  a.out = p.o.ptr;
  if (p.q.dtype == NSA_BF16 && selected_mma_takes(a)) return selected_tiles_take(ctx, a) ? selected_fwd_tiles(ctx, a) : selected_fwd_mma(ctx, a);
  auto blocks = unsigned(ceil_div(p.tokens * p.hq, kWarps));
  bool ok = with_float_type(p.q.dtype, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    auto stream = context(ctx).stream;
    if (wide<T>(a)) selected_plain_kernel<T, false, true, 1><<<blocks, kWarps * 32, 0, stream>>>(a);
    else selected_plain_kernel<T, false, false, 1><<<blocks, kWarps * 32, 0, stream>>>(a);
  });
  return ok ? launched(ctx) : unsupported(ctx, "nsa_selected_fwd takes f32 and bf16");
}

template <class T>
int dkv_of(void* ctx, const SelectedArgs& a) {
  auto stream = context(ctx).stream;
  const int64_t n = a.rows * a.hkv * a.num_selected, dim = std::max(a.dim_k, a.dim_v);
  if (!a.add_dkv) {
    zero_kernel<T><<<grid_for(ctx, a.rows * a.hkv * a.dim_k), kThreads, 0, stream>>>(static_cast<T*>(a.dk), a.rows, a.hkv * a.dim_k, a.ldk);
    zero_kernel<T><<<grid_for(ctx, a.rows * a.hkv * a.dim_v), kThreads, 0, stream>>>(static_cast<T*>(a.dv), a.rows, a.hkv * a.dim_v, a.ldv);
  }
  if (n == 0) return launched(ctx);
  // Enough stretches to fill the card, few enough that their partial sums stay below half a gigabyte.
  const int64_t tile = 2 * a.block * (a.dim_k + a.dim_v) * 4;
  int64_t stretch = std::clamp<int64_t>(n / (int64_t(context(ctx).sm_count) * 4), 64, 1024);
  stretch = std::max(stretch, ceil_div(n * tile, int64_t(512) << 20));
  const int64_t stretches = ceil_div(n, stretch);
  Scratch x(ctx, size_t(n) * 8), y(ctx, size_t(n) * 8), counts(ctx, sort_bytes(n)), partial(ctx, size_t(stretches * tile));
  if (!x || !y || !counts || !partial) return out_of_memory(ctx);
  pairs_kernel<<<grid_for(ctx, n), kThreads, 0, stream>>>(a, x.as<int2>());
  const SelectedList list{sort_entries(ctx, x.as<int2>(), y.as<int2>(), counts.as<int32_t>(), n, a.rows * a.hkv), n, stretch, partial.as<float>()};
  if (sizeof(T) == 2 && selected_mma_takes(a)) {
    if (int status = selected_hopper_takes(ctx, a) ? selected_dkv_hopper(ctx, a, list) : selected_dkv_mma(ctx, a, list)) return status;
  } else if (dim <= 64) dkv_kernel<T, 4, 4><<<unsigned(stretches), 256, 0, stream>>>(a, list);
  else if (dim <= 128) dkv_kernel<T, 4, 8><<<unsigned(stretches), 256, 0, stream>>>(a, list);
  else dkv_kernel<T, 8, 8><<<unsigned(stretches), 256, 0, stream>>>(a, list);
  if ((a.dim_k | a.dim_v) % 4 == 0) join_kernel<T, 4><<<unsigned(stretches), 256, 0, stream>>>(a, list);
  else join_kernel<T, 1><<<unsigned(stretches), 256, 0, stream>>>(a, list);
  return launched(ctx);
}

template <class T>
int bwd_of(void* ctx, SelectedArgs a) {
  auto stream = context(ctx).stream;
  if (a.rows * a.hkv * a.num_selected > INT32_MAX) return unsupported(ctx, "nsa_selected_bwd: more than 2^31 selected blocks");
  const bool summed = a.delta != nullptr;
  Scratch delta(ctx, summed ? 0 : size_t(a.rows * a.hq) * 4);
  if (!delta) return out_of_memory(ctx);
  if (!summed) a.delta = delta.as<float>();
  const auto blocks = unsigned(ceil_div(a.rows * a.hq, kWarps));
  if (!summed) delta_kernel<T><<<blocks, kWarps * 32, 0, stream>>>(a, delta.as<float>());
  if (sizeof(T) == 2 && selected_mma_takes(a)) {
    if (int status = selected_tiles_take(ctx, a) ? selected_dq_tiles(ctx, a) : selected_dq_mma(ctx, a)) return status;
  } else if (wide<T>(a)) dq_kernel<T, true><<<blocks, kWarps * 32, 0, stream>>>(a);
  else dq_kernel<T, false><<<blocks, kWarps * 32, 0, stream>>>(a);
  return dkv_of<T>(ctx, a);
}

int bwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_selected_bwd_params*>(params);
  if (const char* why = fault(p)) return bad_argument(ctx, why);
  for (const NsaBuf* b : {&p.k, &p.v, &p.o, &p.do_, &p.dq, &p.dk, &p.dv})
    if (b->dtype != p.q.dtype) return unsupported(ctx, "nsa_selected_bwd of mixed dtypes");
  if (p.lse.dtype != NSA_F32) return unsupported(ctx, "nsa_selected_bwd of mixed dtypes");
  if (p.tokens == 0 || p.n_docs == 0) return NSA_OK;
  if (p.dq.numel < (p.tokens - 1) * p.ldq + p.hq * p.dim_k || p.dk.numel < (p.tokens - 1) * p.ldk + p.hkv * p.dim_k ||
      p.dv.numel < (p.tokens - 1) * p.ldv + p.hkv * p.dim_v || p.do_.numel < (p.tokens - 1) * p.ldo + p.hq * p.dim_v)
    return bad_argument(ctx, "nsa_selected: a tensor is too short");
  SelectedArgs a = common(p);
  a.o = p.o.ptr, a.do_ = p.do_.ptr, a.dq = p.dq.ptr, a.dk = p.dk.ptr, a.dv = p.dv.ptr;
  a.add_dq = p.accumulate & 1, a.add_dkv = p.accumulate & 2;
  if (p.delta.ptr && (p.delta.numel < p.tokens * p.hq || p.delta.dtype != NSA_F32)) return bad_argument(ctx, "nsa_selected_bwd: delta");
  a.delta = static_cast<const float*>(p.delta.ptr);
  if (p.q.dtype == NSA_F32) return bwd_of<float>(ctx, a);
  if (p.q.dtype == NSA_BF16) return bwd_of<bf16>(ctx, a);
  return unsupported(ctx, "nsa_selected_bwd takes f32 and bf16");
}

}  // namespace

void register_nsa_selected(NsaOpFn* ops) {
  ops[NSA_OP_nsa_selected_fwd] = fwd;
  ops[NSA_OP_nsa_selected_bwd] = bwd;
}

}  // namespace nsa::cuda
