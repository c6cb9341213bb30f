// paged_attn: one query a sequence against its pages, split over keys so that a small batch still fills the card.
//
// LANES lanes share a key, 8 channels each, so a warp reads 32 / LANES keys by one load and holds several such loads of keys and of
// values in registers; a block takes a stretch of entries of one (sequence, KV head) for HEADS heads of its group, its warps every
// so many tiles. Warps meet in shared memory; with several splits, partial (o, max, sum) go to scratch and a second kernel joins them.
// A newest token that comes with the call is turned in registers and written to the cache for later calls: this one reads it nowhere.
#include <algorithm>
#include <type_traits>

#include "cuda/convert.h"
#include "cuda/families.h"
#include "cuda/launch.h"
#include "cuda/mma.h"
#include "cuda/rope.h"
#include "cuda/rows.h"
#include "reference/paged_append.h"

namespace nsa::cuda {
namespace {

constexpr int kWarps = 4, kMostWarps = 8, kThreadsHere = kWarps * 32, kChannels = 8;
constexpr float kLog2e = 1.4426950408889634f, kLn2 = 0.6931471805599453f;

struct Args {
  const void *q, *new_k, *new_v;
  void *k, *v, *o;
  float *lse, *part;  // part: [b, hq, splits, dim_v + 2], null when there is one split; maxima are of base-2 exponents
  const float *cos, *sin;
  const int32_t *table, *lens, *positions, *slot;
  int64_t hq, hkv, dim_k, dim_v, half, ldq, ldo, page, max_pages, window, block, stride, splits;
  float scale;
  int page_shift;  // log2 of page, or −1
};

__device__ inline void range_of(const Args& a, int64_t s, int& first, int& end) {
  int64_t n = a.lens[s];
  end = int(n < a.block ? 0 : (n - a.block) / a.stride + 1);
  first = int(a.window > 0 && end > a.window ? end - a.window : 0);
}

// Entries of split x: whole tiles, evenly.
__device__ inline void stretch(const Args& a, int tile, int& first, int& end) {
  const int splits = int(a.splits), tiles = (end - first + tile - 1) / tile, per = (tiles + splits - 1) / splits;
  const int from = first + int(blockIdx.x) * per * tile, to = from + per * tile;
  first = min(from, end);
  end = min(to, end);
}

// Raw 8 channels: 16 bytes of bf16, 32 of f32.
template <class T>
struct Raw {
  uint4 word[sizeof(T) * kChannels / 16];
  __device__ void load(const T* p) {
#pragma unroll
    for (int i = 0; i < int(sizeof word / 16); ++i)
      // A key is read once: it need not take room in the first cache.
      asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
                   : "=r"(word[i].x), "=r"(word[i].y), "=r"(word[i].z), "=r"(word[i].w)
                   : "l"(reinterpret_cast<const uint4*>(p) + i));
  }
  // What several warps read: through the first cache.
  __device__ void load_shared(const T* p) {
#pragma unroll
    for (int i = 0; i < int(sizeof word / 16); ++i) word[i] = __ldg(reinterpret_cast<const uint4*>(p) + i);
  }
  __device__ void store(T* p) const {
#pragma unroll
    for (int i = 0; i < int(sizeof word / 16); ++i) reinterpret_cast<uint4*>(p)[i] = word[i];
  }
  __device__ void clear() {
#pragma unroll
    for (int i = 0; i < int(sizeof word / 16); ++i) word[i] = make_uint4(0, 0, 0, 0);
  }
  __device__ float at(int i) const { return to_float(reinterpret_cast<const T*>(word)[i]); }
};

// The rotary angles of channels c0 to c0 + 7, 0 where they do not turn, for 16-byte loads; the other channels of their pairs lie
// `partner` further on.
struct Turn {
  alignas(16) float cos[kChannels], sin[kChannels];
  int partner = 0;
  __device__ Turn(const Args& a, int64_t s, int c0) {
    const int half = int(a.half);
#pragma unroll
    for (int j = 0; j < kChannels; ++j) cos[j] = 1, sin[j] = 0;
    if (c0 >= 2 * half) return;
    partner = c0 < half ? half : -half;
    const int64_t at = int64_t(a.positions[s]) * half + (c0 < half ? c0 : c0 - half);
#pragma unroll
    for (int j = 0; j < kChannels; j += 4) {
      *reinterpret_cast<float4*>(cos + j) = __ldg(reinterpret_cast<const float4*>(a.cos + at + j));
      *reinterpret_cast<float4*>(sin + j) = __ldg(reinterpret_cast<const float4*>(a.sin + at + j));
    }
    if (c0 < half)
#pragma unroll
      for (int j = 0; j < kChannels; ++j) sin[j] = -sin[j];
  }
  // The channels at x, turned and rounded to T as by rope.
  template <class T>
  __device__ Raw<T> of(const T* x) const {
    Raw<T> mine, other;
    mine.load_shared(x);
    other.load_shared(x + partner);
#pragma unroll
    for (int j = 0; j < kChannels; ++j) from_float(fmaf(mine.at(j), cos[j], other.at(j) * sin[j]), reinterpret_cast<T*>(mine.word)[j]);
    return mine;
  }
};

// grid (splits, hkv · chunks of HEADS heads, b). VEC: rows and dims allow 16-byte loads; else channel by channel. APPEND (with VEC):
// newest tokens come with the call. With one head, few registers let 32 warps share a multiprocessor, which is worth more than longer
// tiles.
template <class T, int LANES, int HEADS, bool VEC, bool APPEND>
__global__ void __launch_bounds__(kMostWarps * 32, HEADS == 1 && VEC && sizeof(T) == 2 ? 4 : 1) attn_kernel(Args a) {
  constexpr int per_load = 32 / LANES, deep = sizeof(T) == 2 && HEADS > 1 ? 8 : 4, tile = per_load * deep, width = LANES * kChannels + 2;
  extern __shared__ float shared[];  // [warps + APPEND][HEADS][width]
  const int64_t s = blockIdx.z;
  const int group = int(a.hq / a.hkv), chunks = (group + HEADS - 1) / HEADS, kv = blockIdx.y / chunks, head0 = blockIdx.y % chunks * HEADS;
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5, sub = lane / LANES, c0 = lane % LANES * kChannels;
  const int dk = int(a.dim_k), dv = int(a.dim_v), here = min(HEADS, group - head0);
  int first, end;
  range_of(a, s, first, end);
  // The newest entry belongs to the last split, where the last warp, which has the fewest tiles to walk, takes it for a warp of its own.
  const bool appended = APPEND && end > 0 && blockIdx.x + 1 == gridDim.x;
  if (APPEND && end > 0) --end;
  stretch(a, tile, first, end);

  float q[HEADS][kChannels], o[HEADS][kChannels], top[HEADS], sum[HEADS];
  const T* query = static_cast<const T*>(a.q) + s * a.ldq + (int64_t(kv) * group + head0) * dk;
#pragma unroll
  for (int h = 0; h < HEADS; ++h) {
    top[h] = -INFINITY, sum[h] = 0;
#pragma unroll
    for (int j = 0; j < kChannels; ++j) {
      o[h][j] = 0;
      if constexpr (!APPEND) q[h][j] = h < here && c0 + j < dk ? to_float(query[h * dk + c0 + j]) * (a.scale * kLog2e) : 0.f;
    }
  }
  const int32_t* table = a.table + s * a.max_pages;
  const int page = int(a.page);
  const T *keys = static_cast<const T*>(a.k) + int64_t(kv) * dk + c0, *values = static_cast<const T*>(a.v) + int64_t(kv) * dv + c0;
  const int64_t ldk = a.hkv * dk, ldv = a.hkv * dv;
  auto row_of = [&](int e) -> int64_t {
    if (e >= end) return -1;
    if (a.page_shift >= 0) return int64_t(table[e >> a.page_shift]) * page + (e & (page - 1));
    return int64_t(table[e / page]) * page + e % page;
  };
  if constexpr (APPEND) {
    // The first tile comes from memory while q is turned.
#pragma unroll
    for (int u = 0; u < deep; ++u) {
      const int64_t row = row_of(first + warp * tile + u * per_load + sub);
      if (row < 0 || c0 * sizeof(T) % 128 != 0) continue;
      if (c0 < dk) asm volatile("prefetch.global.L2 [%0];" ::"l"(keys + row * ldk));
      if (c0 < dv) asm volatile("prefetch.global.L2 [%0];" ::"l"(values + row * ldv));
    }
    const Turn turn(a, s, c0);
    Raw<T> turned[HEADS];
#pragma unroll
    for (int h = 0; h < HEADS; ++h) {
      turned[h].clear();
      if (h < here && c0 < dk) turned[h] = turn.of(query + h * dk + c0);
    }
    if (appended && warp + 1 == warps) {
      Raw<T> k, v;
      k.clear(), v.clear();
      if (c0 < dk) k = turn.of(static_cast<const T*>(a.new_k) + s * a.ldq + int64_t(kv) * dk + c0);
      if (c0 < dv) v.load_shared(static_cast<const T*>(a.new_v) + s * a.ldq + int64_t(kv) * dv + c0);
#pragma unroll
      for (int h = 0; h < HEADS; ++h) {
        float x = 0;
#pragma unroll
        for (int j = 0; j < kChannels; ++j) x = fmaf(turned[h].at(j) * (a.scale * kLog2e), k.at(j), x);
#pragma unroll
        for (int m = LANES / 2; m > 0; m >>= 1) x += __shfl_xor_sync(~0u, x, m);
        float* mine = shared + (warps * HEADS + h) * width;
        if (sub > 0) continue;
#pragma unroll
        for (int j = 0; j < kChannels; ++j) mine[c0 + j] = v.at(j);
        if (lane == 0) mine[width - 2] = x, mine[width - 1] = 1;
      }
      const int64_t to = a.slot[s];
      if (sub == 0 && head0 == 0 && to >= 0) {
        if (c0 < dk) k.store(static_cast<T*>(a.k) + (to * a.hkv + kv) * dk + c0);
        if (c0 < dv) v.store(static_cast<T*>(a.v) + (to * a.hkv + kv) * dv + c0);
      }
    }
#pragma unroll
    for (int h = 0; h < HEADS; ++h)
#pragma unroll
      for (int j = 0; j < kChannels; ++j) q[h][j] = turned[h].at(j) * (a.scale * kLog2e);
  }
  for (int at = first + warp * tile; at < end; at += warps * tile) {
    Raw<T> k[deep], v[deep];
    int64_t row[deep];
#pragma unroll
    for (int u = 0; u < deep; ++u) row[u] = row_of(at + u * per_load + sub);
    auto fetch = [&](Raw<T>(&x)[deep], const T* from, int64_t ld, int dim) {
#pragma unroll
      for (int u = 0; u < deep; ++u) {
        x[u].clear();
        if (row[u] < 0 || c0 >= dim) continue;
        if constexpr (VEC) {
          x[u].load(from + row[u] * ld);
        } else {
          T* e = reinterpret_cast<T*>(x[u].word);
#pragma unroll
          for (int j = 0; j < kChannels; ++j)
            if (c0 + j < dim) e[j] = from[row[u] * ld + j];
        }
      }
    };
    fetch(k, keys, ldk, dk);
    fetch(v, values, ldv, dv);
#pragma unroll
    for (int h = 0; h < HEADS; ++h) {
      float p[deep], high = top[h];
#pragma unroll
      for (int u = 0; u < deep; ++u) {
        float x = 0;
#pragma unroll
        for (int j = 0; j < kChannels; ++j) x = fmaf(q[h][j], k[u].at(j), x);
#pragma unroll
        for (int m = LANES / 2; m > 0; m >>= 1) x += __shfl_xor_sync(~0u, x, m);
        p[u] = row[u] < 0 ? -INFINITY : x;
        high = fmaxf(high, p[u]);
      }
      // Keys of one group of lanes alone: a group that has seen none keeps max −inf, sum 0.
      const float base = high == -INFINITY ? 0.f : high, shrink = exp2_fast(top[h] - base);
      top[h] = high;
      sum[h] *= shrink;
#pragma unroll
      for (int j = 0; j < kChannels; ++j) o[h][j] *= shrink;
#pragma unroll
      for (int u = 0; u < deep; ++u) {
        const float w = exp2_fast(p[u] - base);
        sum[h] += w;
#pragma unroll
        for (int j = 0; j < kChannels; ++j) o[h][j] = fmaf(w, v[u].at(j), o[h][j]);
      }
    }
  }

#pragma unroll
  for (int h = 0; h < HEADS; ++h) {
    float high = top[h];
#pragma unroll
    for (int m = LANES; m < 32; m <<= 1) high = fmaxf(high, __shfl_xor_sync(~0u, high, m));
    const float shrink = exp2_fast(top[h] - (high == -INFINITY ? 0.f : high));
    sum[h] *= shrink;
#pragma unroll
    for (int m = LANES; m < 32; m <<= 1) sum[h] += __shfl_xor_sync(~0u, sum[h], m);
    float* mine = shared + (warp * HEADS + h) * width;
#pragma unroll
    for (int j = 0; j < kChannels; ++j) {
      o[h][j] *= shrink;
#pragma unroll
      for (int m = LANES; m < 32; m <<= 1) o[h][j] += __shfl_xor_sync(~0u, o[h][j], m);
      if (sub == 0) mine[c0 + j] = o[h][j];
    }
    if (lane == 0) mine[width - 2] = high, mine[width - 1] = sum[h];
  }
  __syncthreads();
  for (int i = threadIdx.x; i < here * dv; i += blockDim.x) {
    const int h = i / dv, c = i - h * dv;
    const int64_t head = int64_t(kv) * group + head0 + h, item = s * a.hq + head;
    const int parts = warps + appended;
    float high = -INFINITY, total = 0, out = 0;
    for (int w = 0; w < parts; ++w) high = fmaxf(high, shared[(w * HEADS + h) * width + width - 2]);
    for (int w = 0; w < parts; ++w) {
      const float* x = shared + (w * HEADS + h) * width;
      if (x[width - 2] == -INFINITY) continue;
      const float shrink = exp2_fast(x[width - 2] - high);
      total = fmaf(x[width - 1], shrink, total), out = fmaf(x[c], shrink, out);
    }
    if (a.part) {
      float* part = a.part + (item * a.splits + blockIdx.x) * (dv + 2);
      part[c] = out;
      if (c == 0) part[dv] = high, part[dv + 1] = total;
    } else {
      from_float(total > 0 ? out / total : 0.f, static_cast<T*>(a.o)[s * a.ldo + head * dv + c]);
      if (c == 0 && a.lse) a.lse[item] = total > 0 ? high * kLn2 + logf(total) : -INFINITY;
    }
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
    if (m != -INFINITY) sum += part[x * (dv + 2) + dv + 1] * exp2_fast(m - top);
  }
  T* out = static_cast<T*>(a.o) + item / a.hq * a.ldo + item % a.hq * dv;
  for (int c = lane; c < dv; c += 32) {
    float o = 0;
    for (int64_t x = 0; x < a.splits; ++x) {
      float m = part[x * (dv + 2) + dv];
      if (m != -INFINITY) o += part[x * (dv + 2) + c] * exp2_fast(m - top);
    }
    from_float(sum > 0 ? o / sum : 0.f, out[c]);
  }
  if (lane == 0 && a.lse) a.lse[item] = sum > 0 ? top * kLn2 + logf(sum) : -INFINITY;
}

int attend(void* ctx, const void* params) {
  auto p = *static_cast<const Nsa_paged_attn_params*>(params);
  if (p.b == 0) return NSA_OK;
  if (p.hkv < 1 || p.hq % p.hkv || p.dim_k > 256 || p.dim_v > 256 || p.q.numel < (p.b - 1) * p.ldq + p.hq * p.dim_k ||
      p.o.numel < (p.b - 1) * p.ldo + p.hq * p.dim_v || p.seq_lens.numel < p.b || p.block_table.numel < p.b * p.max_pages)
    return bad_argument(ctx, "paged_attn: sizes");
  if (p.q.dtype != p.k_cache.dtype || p.q.dtype != p.v_cache.dtype || p.q.dtype != p.o.dtype || (p.lse.ptr && p.lse.dtype != NSA_F32))
    return unsupported(ctx, "paged_attn of mixed dtypes");
  const bool vec = (p.dim_k | p.dim_v) % kChannels == 0 && aligned16(p.k_cache.ptr) && aligned16(p.v_cache.ptr);
  if (p.k.ptr) {
    const int64_t last = (p.b - 1) * p.ldq;
    if (p.block_size != 1 || p.stride != 1 || p.rot_dim > p.dim_k || p.k.numel < last + p.hkv * p.dim_k || p.v.numel < last + p.hkv * p.dim_v ||
        p.positions.numel < p.b || p.slot.numel < p.b || (p.rot_dim > 1 && (!p.cos.ptr || !p.sin.ptr)))
      return bad_argument(ctx, "paged_attn: sizes of the newest tokens");
    if (p.k.dtype != p.q.dtype || p.v.dtype != p.q.dtype || (p.rot_dim > 1 && (p.cos.dtype != NSA_F32 || p.sin.dtype != NSA_F32)))
      return unsupported(ctx, "paged_attn of mixed dtypes");
    const bool fused = vec && p.rot_dim / 2 % kChannels == 0 && p.ldq % kChannels == 0 && aligned16(p.q.ptr) && aligned16(p.k.ptr) &&
                       aligned16(p.v.ptr) && aligned16(p.cos.ptr) && aligned16(p.sin.ptr);
    if (!fused)
      if (int status = paged_append(rope, paged_write, ctx, p)) return status;
  }
  Args a{};
  a.q = p.q.ptr, a.k = p.k_cache.ptr, a.v = p.v_cache.ptr, a.o = p.o.ptr, a.lse = static_cast<float*>(p.lse.ptr);
  a.new_k = p.k.ptr, a.new_v = p.v.ptr, a.cos = static_cast<const float*>(p.cos.ptr), a.sin = static_cast<const float*>(p.sin.ptr);
  auto i32 = [](const NsaBuf& b) { return static_cast<const int32_t*>(b.ptr); };
  a.table = i32(p.block_table), a.lens = i32(p.seq_lens), a.positions = i32(p.positions), a.slot = i32(p.slot), a.half = p.rot_dim / 2;
  a.hq = p.hq, a.hkv = p.hkv, a.dim_k = p.dim_k, a.dim_v = p.dim_v, a.ldq = p.ldq, a.ldo = p.ldo, a.page = p.page_size, a.max_pages = p.max_pages;
  a.window = p.window, a.block = p.block_size, a.stride = p.stride, a.scale = float(p.scale);
  a.page_shift = -1;
  for (int i = 0; i < 31; ++i)
    if (p.page_size == int64_t(1) << i) a.page_shift = i;
  // The longest a sequence can be is all the host knows: shapes, not lengths, set the grid.
  int64_t entries = p.max_pages * p.page_size;
  if (p.window > 0) entries = std::min(entries, p.window);
  const int64_t group = p.hq / p.hkv, most = std::max(p.dim_k, p.dim_v);
  const int64_t heads_here = group >= 4 ? 4 : group >= 2 ? 2 : 1, chunks = ceil_div(group, heads_here), items = p.b * p.hkv * chunks;
  const int64_t sms = context(ctx).sm_count;
  // About what the card holds at once; where that is less than a warp an item, two, so that the last items are short. Measured.
  const auto warps = items > 32 * sms ? 2 : int(std::clamp<int64_t>((20 * sms + items / 2) / items, 1, kMostWarps));
  // A split is worth its join when blocks do not fill the card and each warp still has several tiles.
  a.splits = std::max<int64_t>(1, std::min({ceil_div(2 * sms, items), entries / (int64_t(warps) * 64), int64_t(128)}));
  Scratch part(ctx, a.splits > 1 ? size_t(p.b * p.hq * a.splits * (p.dim_v + 2)) * 4 : 0);
  if (!part) return out_of_memory(ctx);
  a.part = a.splits > 1 ? part.as<float>() : nullptr;
  auto stream = context(ctx).stream;
  bool ok = with_float_type(p.q.dtype, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    auto go = [&](auto lanes, auto heads, auto wide, auto append) {
      const size_t smem = size_t(warps + append()) * heads() * (lanes() * kChannels + 2) * 4;
      attn_kernel<T, lanes(), heads(), wide(), append()><<<dim3(unsigned(a.splits), unsigned(p.hkv * chunks), unsigned(p.b)), warps * 32, smem, stream>>>(a);
    };
    auto with_heads = [&](auto lanes, auto... how) {
      if (heads_here == 4) go(lanes, std::integral_constant<int, 4>{}, how...);
      else if (heads_here == 2) go(lanes, std::integral_constant<int, 2>{}, how...);
      else go(lanes, std::integral_constant<int, 1>{}, how...);
    };
    auto with_lanes = [&](auto... how) {
      if (most <= 64) with_heads(std::integral_constant<int, 8>{}, how...);
      else if (most <= 128) with_heads(std::integral_constant<int, 16>{}, how...);
      else with_heads(std::integral_constant<int, 32>{}, how...);
    };
    if (p.k.ptr) with_lanes(std::true_type{}, std::true_type{});
    else if (vec) with_lanes(std::true_type{}, std::false_type{});
    else with_lanes(std::false_type{}, std::false_type{});
    if (a.splits > 1) join_kernel<T><<<unsigned(ceil_div(p.b * p.hq, kWarps)), kThreadsHere, 0, stream>>>(a, p.b * p.hq);
  });
  if (!ok) return unsupported(ctx, "paged_attn takes f32 and bf16");
  return launched(ctx);
}

}  // namespace

void register_paged_attn(NsaOpFn* ops) { ops[NSA_OP_paged_attn] = attend; }

}  // namespace nsa::cuda
