// paged_append: turns q in place and puts turned k, and v, into their caches: one launch for a decode step's projection.
#include <type_traits>

#include "cuda/convert.h"
#include "cuda/families.h"
#include "cuda/launch.h"

namespace nsa::cuda {
namespace {

struct Args {
  void *q, *k_cache, *v_cache;
  const void *k, *v;
  const float *cos, *sin;
  const int32_t *positions, *slot;
  int64_t rows, hq, hkv, dim_k, dim_v, half, ld;
};

// V channels from `from` to `to`; where they lie in the first half of the turned ones, those `half` further on with them.
template <class T, int V>
__device__ inline void move(const T* from, T* to, int64_t c, const Args& a, int64_t angle, bool turned) {
  alignas(16) T low[V], high[V];
  auto load = [&](T(&x)[V], int64_t at) {
    if constexpr (V * sizeof(T) == 16) *reinterpret_cast<uint4*>(x) = *reinterpret_cast<const uint4*>(from + at);
    else
#pragma unroll
      for (int j = 0; j < V; ++j) x[j] = from[at + j];
  };
  auto store = [&](const T(&x)[V], int64_t at) {
    if constexpr (V * sizeof(T) == 16) *reinterpret_cast<uint4*>(to + at) = *reinterpret_cast<const uint4*>(x);
    else
#pragma unroll
      for (int j = 0; j < V; ++j) to[at + j] = x[j];
  };
  load(low, c);
  if (!turned) return store(low, c);
  load(high, c + a.half);
#pragma unroll
  for (int j = 0; j < V; ++j) {
    const float cs = a.cos[angle + c + j], sn = a.sin[angle + c + j], x = to_float(low[j]), y = to_float(high[j]);
    from_float(x * cs - y * sn, low[j]);
    from_float(y * cs + x * sn, high[j]);
  }
  store(low, c);
  store(high, c + a.half);
}

template <class T, int V>
__global__ void append_kernel(Args a) {
  // Units of a head: turned pairs, then channels past them; heads of q, of k, then those of v.
  const int64_t turned = a.half / V, per_head = turned + (a.dim_k - 2 * a.half) / V, q_units = a.q ? a.hq * per_head : 0, k_units = a.hkv * per_head,
                v_units = a.hkv * a.dim_v / V, units = q_units + k_units + v_units;
  NSA_GRID_STRIDE(i, a.rows * units) {
    const int64_t r = i / units;
    int64_t u = i % units;
    const int64_t to = a.slot[r], angle = int64_t(a.positions[r]) * a.half;
    if (u >= q_units + k_units) {
      const int64_t c = (u - q_units - k_units) * V;
      if (to >= 0) move<T, V>(static_cast<const T*>(a.v) + r * a.ld, static_cast<T*>(a.v_cache) + to * a.hkv * a.dim_v, c, a, 0, false);
      continue;
    }
    const bool query = u < q_units;
    if (!query) {
      if (to < 0) continue;
      u -= q_units;
    }
    const int64_t head = u / per_head * a.dim_k, x = u % per_head, c = x < turned ? x * V : 2 * a.half + (x - turned) * V;
    T* q = static_cast<T*>(a.q) + r * a.ld + head;
    const T* from = query ? q : static_cast<const T*>(a.k) + r * a.ld + head;
    move<T, V>(from, query ? q : static_cast<T*>(a.k_cache) + to * a.hkv * a.dim_k + head, c, a, angle, x < turned);
  }
}

int append(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_paged_append_params*>(params);
  const int64_t half = p.rot_dim / 2, last = (p.rows - 1) * p.ld;
  if (p.rows == 0) return NSA_OK;
  if (p.rot_dim > p.dim_k || p.slot.numel < p.rows || p.positions.numel < p.rows || p.k.numel < last + p.hkv * p.dim_k || p.v.numel < last + p.hkv * p.dim_v ||
      (p.q.ptr && p.q.numel < last + p.hq * p.dim_k))
    return bad_argument(ctx, "paged_append: sizes");
  if (p.k.dtype != p.v.dtype || p.k.dtype != p.k_cache.dtype || p.k.dtype != p.v_cache.dtype || (p.q.ptr && p.q.dtype != p.k.dtype))
    return unsupported(ctx, "paged_append of mixed dtypes");
  if (half > 0 && (p.cos.dtype != NSA_F32 || p.sin.dtype != NSA_F32)) return unsupported(ctx, "paged_append takes f32 tables");
  auto i32 = [](const NsaBuf& b) { return static_cast<const int32_t*>(b.ptr); };
  const Args a{p.q.ptr, p.k_cache.ptr, p.v_cache.ptr, p.k.ptr, p.v.ptr, static_cast<const float*>(p.cos.ptr), static_cast<const float*>(p.sin.ptr),
               i32(p.positions), i32(p.slot), p.rows, p.hq, p.hkv, p.dim_k, p.dim_v, half, p.ld};
  bool ok = with_float_type(p.k.dtype, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    constexpr int n = kVec<T>;
    auto go = [&](auto v) {
      const int64_t channels = (p.q.ptr ? p.hq : 0) * p.dim_k + p.hkv * (p.dim_k + p.dim_v);
      append_kernel<T, v()><<<grid_for(ctx, p.rows * channels / v()), kThreads, 0, context(ctx).stream>>>(a);
    };
    const bool aligned = aligned16(p.q.ptr) && aligned16(p.k.ptr) && aligned16(p.v.ptr) && aligned16(p.k_cache.ptr) && aligned16(p.v_cache.ptr);
    if (aligned && half % n == 0 && p.dim_k % n == 0 && p.dim_v % n == 0 && p.ld % n == 0) go(std::integral_constant<int, n>{});
    else go(std::integral_constant<int, 1>{});
  });
  return ok ? launched(ctx) : unsupported(ctx, "paged_append takes f32 and bf16");
}

}  // namespace

void register_paged_append(NsaOpFn* ops) { ops[NSA_OP_paged_append] = append; }

}  // namespace nsa::cuda
