// paged_attn: one query a sequence against its pages, split over keys so that a small batch still fills the card.
//
// A block takes a stretch of entries of one (sequence, KV head) for all G heads of the group: a warp holds the scores of 32
// entries at a time; partial (max, sum, o) go to scratch and a second kernel joins the stretches in order.
#include <type_traits>

#include "cuda/convert.h"
#include "cuda/families.h"
#include "cuda/launch.h"

namespace nsa::cuda {
namespace {

constexpr int kWarps = 4, kThreadsHere = kWarps * 32, kTileKeys = 32;
static_assert(kTileKeys == 32, "a lane looks up one entry of a tile");

struct Args {
  const void *q, *k, *v;
  void* o;
  float *lse, *part;  // part: [b, hq, splits, dim_v + 2]
  const int32_t *table, *lens;
  int64_t hq, hkv, dim_k, dim_v, ldq, ldo, page, max_pages, window, block, stride, splits;
  float scale;
};

__device__ inline void range_of(const Args& a, int64_t s, int64_t& first, int64_t& end) {
  int64_t n = a.lens[s];
  end = n < a.block ? 0 : (n - a.block) / a.stride + 1;
  first = a.window > 0 && end > a.window ? end - a.window : 0;
}

// Entries of split x: whole tiles, evenly.
__device__ inline void stretch(const Args& a, int64_t x, int64_t& first, int64_t& end) {
  int64_t tiles = (end - first + kTileKeys - 1) / kTileKeys, per = (tiles + a.splits - 1) / a.splits;
  int64_t from = first + x * per * kTileKeys, to = from + per * kTileKeys;
  first = min(from, end);
  end = min(to, end);
}

// Rows of a tile as floats, `pitch` apart: T `from` [*, hkv, dim] at rows row[0 .. here). VEC: by 16 bytes, dim a multiple of 8.
template <bool VEC, class T>
__device__ inline void load_rows(float* to, int pitch, const T* from, const int32_t* row, int here, int64_t hkv, int64_t group, int dim) {
  constexpr int width = VEC ? kVec<T> : 1, batch = VEC ? 8 : 4;  // loads under way in a thread
  const int chunks = dim / width, all = here * chunks, step = blockDim.x;
  for (int base = threadIdx.x; base < all; base += batch * step) {
    float value[batch][width];
#pragma unroll
    for (int b = 0; b < batch; ++b) {
      const int i = base + b * step;
      if (i >= all) continue;
      const T* x = from + (int64_t(row[i / chunks]) * hkv + group) * dim + i % chunks * width;
      if constexpr (VEC) load_vec(value[b], x);
      else value[b][0] = to_float(*x);
    }
#pragma unroll
    for (int b = 0; b < batch; ++b) {
      const int i = base + b * step;
      if (i >= all) continue;
#pragma unroll
      for (int j = 0; j < width; ++j) to[i / chunks * pitch + i % chunks * width + j] = value[b][j];
    }
  }
}

// grid (splits, hkv, b), min(G, 4) warps. Shared: q [G][dk], keys [32][dk + 1], values [32][dv], rows [32]. A warp takes heads
// g = warp, warp + warps, ... of the group.
template <bool VEC, class T>
__global__ void __launch_bounds__(kThreadsHere) attn_kernel(Args a) {
  extern __shared__ float shared[];
  const int64_t s = blockIdx.z, group = blockIdx.y, heads = a.hq / a.hkv;
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, dk = int(a.dim_k), dv = int(a.dim_v);
  float* query = shared;                                 // [G][dk]
  float* keys = query + heads * dk;                      // [32][dk + 1]
  float* values = keys + kTileKeys * (dk + 1);           // [32][dv]
  auto* rows = reinterpret_cast<int32_t*>(values + kTileKeys * dv);
  const int warps = blockDim.x >> 5;
  int64_t first, end;
  range_of(a, s, first, end);
  stretch(a, blockIdx.x, first, end);
  const T* q = static_cast<const T*>(a.q) + s * a.ldq + group * heads * dk;
  for (int i = threadIdx.x; i < heads * dk; i += blockDim.x) query[i] = to_float(q[i]) * a.scale;
  constexpr int per_head = 8;  // 256 / 32
  for (int64_t head0 = 0; head0 < heads; head0 += warps) {
    const int64_t head = head0 + warp;
    float o[per_head] = {}, top = -INFINITY, sum = 0;
    for (int64_t at = first; at < end; at += kTileKeys) {
      const int here = int(min(int64_t(kTileKeys), end - at));
      __syncthreads();
      if (int(threadIdx.x) < here) {
        const int64_t e = at + threadIdx.x;
        rows[threadIdx.x] = int32_t(int64_t(a.table[s * a.max_pages + e / a.page]) * a.page + e % a.page);
      }
      __syncthreads();
      load_rows<VEC>(keys, dk + 1, static_cast<const T*>(a.k), rows, here, a.hkv, group, dk);
      load_rows<VEC>(values, dv, static_cast<const T*>(a.v), rows, here, a.hkv, group, dv);
      __syncthreads();
      if (head >= heads) continue;
      float score = -INFINITY;
      if (lane < here) {
        score = 0;
        for (int c = 0; c < dk; ++c) score = fmaf(query[head * dk + c], keys[lane * (dk + 1) + c], score);
      }
      float high = fmaxf(top, warp_max(score)), shrink = expf(top - high), p = expf(score - high);
      sum = sum * shrink + warp_sum(p);
      top = high;
#pragma unroll
      for (int i = 0; i < per_head; ++i) o[i] *= shrink;
      for (int j = 0; j < here; ++j) {
        float w = __shfl_sync(~0u, p, j);
#pragma unroll
        for (int i = 0; i < per_head; ++i)
          if (i * 32 + lane < dv) o[i] = fmaf(w, values[j * dv + i * 32 + lane], o[i]);
      }
    }
    if (head >= heads) continue;
    const int64_t item = s * a.hq + group * heads + head;
    float* part = a.part + (item * a.splits + blockIdx.x) * (dv + 2);
#pragma unroll
    for (int i = 0; i < per_head; ++i)
      if (i * 32 + lane < dv) part[i * 32 + lane] = o[i];
    if (lane == 0) part[dv] = top, part[dv + 1] = sum;
  }
}

template <class T>
__global__ void join_kernel(Args a, int64_t items) {
  const int lane = threadIdx.x & 31, dv = int(a.dim_v);
  const int64_t item = int64_t(blockIdx.x) * kWarps + (threadIdx.x >> 5);
  if (item >= items) return;
  const float* part = a.part + item * a.splits * (dv + 2);
  float top = -INFINITY, sum = 0;
  for (int64_t x = 0; x < a.splits; ++x) top = fmaxf(top, part[x * (dv + 2) + dv]);
  for (int64_t x = 0; x < a.splits; ++x) {
    float m = part[x * (dv + 2) + dv];
    if (m != -INFINITY) sum += part[x * (dv + 2) + dv + 1] * expf(m - top);
  }
  T* out = static_cast<T*>(a.o) + item / a.hq * a.ldo + item % a.hq * dv;
  for (int c = lane; c < dv; c += 32) {
    float o = 0;
    for (int64_t x = 0; x < a.splits; ++x) {
      float m = part[x * (dv + 2) + dv];
      if (m != -INFINITY) o += part[x * (dv + 2) + c] * expf(m - top);
    }
    from_float(sum > 0 ? o / sum : 0.f, out[c]);
  }
  if (lane == 0 && a.lse) a.lse[item] = sum > 0 ? top + logf(sum) : -INFINITY;
}

int attend(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_paged_attn_params*>(params);
  if (p.b == 0) return NSA_OK;
  if (p.hkv < 1 || p.hq % p.hkv || p.dim_k > 256 || p.dim_v > 256 || p.q.numel < (p.b - 1) * p.ldq + p.hq * p.dim_k ||
      p.o.numel < (p.b - 1) * p.ldo + p.hq * p.dim_v || p.seq_lens.numel < p.b || p.block_table.numel < p.b * p.max_pages)
    return bad_argument(ctx, "paged_attn: sizes");
  if (p.q.dtype != p.k_cache.dtype || p.q.dtype != p.v_cache.dtype || p.q.dtype != p.o.dtype || (p.lse.ptr && p.lse.dtype != NSA_F32))
    return unsupported(ctx, "paged_attn of mixed dtypes");
  Args a{};
  a.q = p.q.ptr, a.k = p.k_cache.ptr, a.v = p.v_cache.ptr, a.o = p.o.ptr, a.lse = static_cast<float*>(p.lse.ptr);
  a.table = static_cast<const int32_t*>(p.block_table.ptr), a.lens = static_cast<const int32_t*>(p.seq_lens.ptr);
  a.hq = p.hq, a.hkv = p.hkv, a.dim_k = p.dim_k, a.dim_v = p.dim_v, a.ldq = p.ldq, a.ldo = p.ldo, a.page = p.page_size, a.max_pages = p.max_pages;
  a.window = p.window, a.block = p.block_size, a.stride = p.stride, a.scale = float(p.scale);
  // The longest a sequence can be is all the host knows: shapes, not lengths, set the grid.
  int64_t entries = p.max_pages * p.page_size;
  if (p.window > 0) entries = std::min(entries, p.window);
  int64_t wanted = ceil_div(int64_t(context(ctx).sm_count) * 8, p.b * p.hkv);
  a.splits = std::max<int64_t>(1, std::min({wanted, ceil_div(entries, 2 * kTileKeys), int64_t(128)}));
  Scratch part(ctx, size_t(p.b * p.hq * a.splits * (p.dim_v + 2)) * 4);
  if (!part) return out_of_memory(ctx);
  a.part = part.as<float>();
  auto stream = context(ctx).stream;
  const size_t smem = size_t(p.hq / p.hkv * p.dim_k + kTileKeys * (p.dim_k + 2 + p.dim_v)) * 4;
  const unsigned threads = 32 * unsigned(std::min<int64_t>(kWarps, p.hq / p.hkv));
  const bool vec = (p.dim_k | p.dim_v) % 8 == 0 && aligned16(p.k_cache.ptr) && aligned16(p.v_cache.ptr);
  int status = NSA_OK;
  bool ok = with_float_type(p.q.dtype, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    auto kernel = vec ? attn_kernel<true, T> : attn_kernel<false, T>;
    status = check(ctx, cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(smem)));
    kernel<<<dim3(unsigned(a.splits), unsigned(p.hkv), unsigned(p.b)), threads, smem, stream>>>(a);
    join_kernel<T><<<unsigned(ceil_div(p.b * p.hq, kWarps)), kThreadsHere, 0, stream>>>(a, p.b * p.hq);
  });
  if (!ok) return unsupported(ctx, "paged_attn takes f32 and bf16");
  return status == NSA_OK ? launched(ctx) : status;
}

}  // namespace

void register_paged_attn(NsaOpFn* ops) { ops[NSA_OP_paged_attn] = attend; }

}  // namespace nsa::cuda
