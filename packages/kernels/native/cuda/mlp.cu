// rope, swiglu_fwd, swiglu_bwd: memory-bound, a vector of 16 bytes a thread where sizes and alignment allow it.
#include <type_traits>

#include "cuda/convert.h"
#include "cuda/families.h"
#include "cuda/launch.h"
#include "cuda/rope.h"

namespace nsa::cuda {
namespace {

struct RopeSizes {
  int64_t rows, heads, head_dim, half, ldx, ldy;
};

// A warp a row whose heads are all turned: LANES lanes share a head, so that a load is of whole lines; the other half of a pair comes
// from the lane LANES / 2 further on, and one look-up of the angles serves every head.
template <class T, int LANES>
__global__ void __launch_bounds__(kThreads) rope_rows_kernel(const T* x, T* y, const float* cos, const float* sin, const int32_t* positions, RopeSizes s,
                                                             float sign) {
  constexpr int n = kVec<T>, at_once = 32 / LANES, deep = 4;
  const int lane = threadIdx.x & 31, in_head = lane % LANES, heads = int(s.heads);
  const int64_t row = int64_t(blockIdx.x) * (kThreads / 32) + (threadIdx.x >> 5);
  if (row >= s.rows) return;
  const bool low = in_head < LANES / 2;
  const int64_t angle = int64_t(positions[row]) * s.half + in_head % (LANES / 2) * n;
  const T* from = x + row * s.ldx + lane * n;
  T* to = y + row * s.ldy + lane * n;
  float cs[n], sn[n];
#pragma unroll
  for (int j = 0; j < n; j += 4) {
    *reinterpret_cast<float4*>(cs + j) = __ldg(reinterpret_cast<const float4*>(cos + angle + j));
    *reinterpret_cast<float4*>(sn + j) = __ldg(reinterpret_cast<const float4*>(sin + angle + j));
  }
#pragma unroll
  for (int j = 0; j < n; ++j) sn[j] *= low ? -sign : sign;
  for (int h0 = 0; h0 < heads; h0 += at_once * deep) {
    uint4 mine[deep];
#pragma unroll
    for (int u = 0; u < deep; ++u)
      if (h0 + u * at_once + lane / LANES < heads) mine[u] = *reinterpret_cast<const uint4*>(from + int64_t(h0 + u * at_once) * LANES * n);
#pragma unroll
    for (int u = 0; u < deep; ++u) {
      uint4 other;
      other.x = __shfl_xor_sync(~0u, mine[u].x, LANES / 2), other.y = __shfl_xor_sync(~0u, mine[u].y, LANES / 2);
      other.z = __shfl_xor_sync(~0u, mine[u].z, LANES / 2), other.w = __shfl_xor_sync(~0u, mine[u].w, LANES / 2);
      T* a = reinterpret_cast<T*>(&mine[u]);
      const T* b = reinterpret_cast<const T*>(&other);
#pragma unroll
      for (int j = 0; j < n; ++j) from_float(fmaf(to_float(a[j]), cs[j], to_float(b[j]) * sn[j]), a[j]);
      if (h0 + u * at_once + lane / LANES < heads) *reinterpret_cast<uint4*>(to + int64_t(h0 + u * at_once) * LANES * n) = mine[u];
    }
  }
}

// Any sizes. A unit is V channels j.. of the first half together with those half further on, or V channels that are only copied.
// Units are counted in I: 64-bit division takes longer than the memory.
template <class T, int V, class I>
__global__ void rope_kernel(const T* x, T* y, const float* cos, const float* sin, const int32_t* positions, RopeSizes s, float sign) {
  const I turned = I(s.half / V), units = I(turned + (s.head_dim - 2 * s.half) / V), heads = I(s.heads);
  NSA_GRID_STRIDE(at, s.rows * s.heads * units) {
    const I i = I(at), item = i / units, u = i - item * units, r = item / heads, h = item - r * heads;
    const T* from = x + r * s.ldx + h * s.head_dim;
    T* to = y + r * s.ldy + h * s.head_dim;
    if (u >= turned) {
      const int64_t c = 2 * s.half + int64_t(u - turned) * V;
#pragma unroll
      for (int j = 0; j < V; ++j) to[c + j] = from[c + j];
      continue;
    }
    const int64_t c = int64_t(u) * V, angle = int64_t(positions[r]) * s.half + c;
    alignas(16) T low[V], high[V];
    if constexpr (V * sizeof(T) == 16) {
      *reinterpret_cast<uint4*>(low) = *reinterpret_cast<const uint4*>(from + c);
      *reinterpret_cast<uint4*>(high) = *reinterpret_cast<const uint4*>(from + c + s.half);
    } else {
#pragma unroll
      for (int j = 0; j < V; ++j) low[j] = from[c + j], high[j] = from[c + s.half + j];
    }
#pragma unroll
    for (int j = 0; j < V; ++j) {
      const float cs = cos[angle + j], sn = sin[angle + j] * sign, a = to_float(low[j]), b = to_float(high[j]);
      from_float(a * cs - b * sn, low[j]);
      from_float(b * cs + a * sn, high[j]);
    }
    if constexpr (V * sizeof(T) == 16) {
      *reinterpret_cast<uint4*>(to + c) = *reinterpret_cast<const uint4*>(low);
      *reinterpret_cast<uint4*>(to + c + s.half) = *reinterpret_cast<const uint4*>(high);
    } else {
#pragma unroll
      for (int j = 0; j < V; ++j) to[c + j] = low[j], to[c + s.half + j] = high[j];
    }
  }
}

// Copies columns [0, units) of every row, 16 bytes a unit.
__global__ void copy_rows_kernel(const uint4* x, uint4* y, int64_t rows, int64_t units, int64_t ldx, int64_t ldy) {
  NSA_GRID_STRIDE(i, rows * units) y[i / units * ldy + i % units] = x[i / units * ldx + i % units];
}

}  // namespace

int rope(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_rope_params*>(params);
  RopeSizes s{p.rows, p.heads, p.head_dim, p.rot_dim / 2, p.ldx, p.ldy};
  int64_t width = p.heads * p.head_dim;
  if (p.rows == 0 || width == 0) return NSA_OK;
  if (p.rot_dim > p.head_dim || p.positions.numel < p.rows || p.x.numel < (p.rows - 1) * p.ldx + width || p.y.numel < (p.rows - 1) * p.ldy + width)
    return bad_argument(ctx, "rope: sizes");
  if (p.x.dtype != p.y.dtype || (s.half > 0 && (p.cos.dtype != NSA_F32 || p.sin.dtype != NSA_F32))) return unsupported(ctx, "rope of these dtypes");
  auto stream = context(ctx).stream;
  bool ok = with_float_type(p.x.dtype, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    constexpr int n = kVec<T>;
    auto* x = static_cast<const T*>(p.x.ptr);
    auto* y = static_cast<T*>(p.y.ptr);
    bool aligned = aligned16(x) && aligned16(y) && aligned16(p.cos.ptr) && aligned16(p.sin.ptr) && p.ldx % n == 0 && p.ldy % n == 0;
    if (s.half == 0 && aligned && width % n == 0) {
      if (x == y && p.ldx == p.ldy) return;
      copy_rows_kernel<<<grid_for(ctx, p.rows * width / n), kThreads, 0, stream>>>(reinterpret_cast<const uint4*>(x), reinterpret_cast<uint4*>(y), p.rows,
                                                                                   width / n, p.ldx / n, p.ldy / n);
      return;
    }
    auto *cos = static_cast<const float*>(p.cos.ptr), *sin = static_cast<const float*>(p.sin.ptr);
    auto* positions = static_cast<const int32_t*>(p.positions.ptr);
    const float sign = p.inverse ? -1.f : 1.f;
    auto rows = [&](auto lanes) {
      rope_rows_kernel<T, lanes()><<<unsigned(ceil_div(p.rows, kThreads / 32)), kThreads, 0, stream>>>(x, y, cos, sin, positions, s, sign);
    };
    auto go = [&](auto v) {
      const int64_t work = p.rows * p.heads * (s.half / v() + (s.head_dim - 2 * s.half) / v());
      auto kernel = work <= INT32_MAX ? rope_kernel<T, v(), uint32_t> : rope_kernel<T, v(), uint64_t>;
      kernel<<<grid_for(ctx, work), kThreads, 0, stream>>>(x, y, cos, sin, positions, s, sign);
    };
    if (aligned && 2 * s.half == s.head_dim && s.head_dim == 8 * n) rows(std::integral_constant<int, 8>{});
    else if (aligned && 2 * s.half == s.head_dim && s.head_dim == 16 * n) rows(std::integral_constant<int, 16>{});
    else if (aligned && s.half % n == 0 && s.head_dim % n == 0) go(std::integral_constant<int, n>{});
    else go(std::integral_constant<int, 1>{});
  });
  return ok ? launched(ctx) : unsupported(ctx, "rope takes f32 and bf16");
}

namespace {

// __fdividef gives 0 for a divisor past 2^126, where sigmoid is 0 as well.
__device__ inline float sigmoid(float x) { return __fdividef(1.f, 1.f + __expf(-x)); }
__device__ inline float precise_sigmoid(float x) { return 1.f / (1.f + expf(-x)); }

template <class T>
__device__ inline float sigmoid_of(float x) {
  return sizeof(T) == 2 ? sigmoid(x) : precise_sigmoid(x);
}

template <class T, bool VECTORS, class I>
__global__ void swiglu_fwd_kernel(const T* gu, T* y, int64_t rows, int64_t cols) {
  constexpr int n = VECTORS ? kVec<T> : 1;
  const I units = I(cols / n);
  NSA_GRID_STRIDE(i, rows * units) {
    const int64_t r = I(i) / units, c = int64_t(I(i) - I(r) * units) * n, at = r * 2 * cols + c;
    if constexpr (VECTORS) {
      float g[n], u[n];
      load_vec(g, gu + at);
      load_vec(u, gu + at + cols);
#pragma unroll
      for (int j = 0; j < n; ++j) g[j] *= sigmoid_of<T>(g[j]) * u[j];
      store_vec(y + r * cols + c, g);
    } else {
      float g = to_float(gu[at]);
      from_float(g * sigmoid_of<T>(g) * to_float(gu[at + cols]), y[r * cols + c]);
    }
  }
}

template <class T, bool VECTORS, class I>
__global__ void swiglu_bwd_kernel(const T* dy, const T* gu, T* dgu, T* y, int64_t rows, int64_t cols) {
  constexpr int n = VECTORS ? kVec<T> : 1;
  const I units = I(cols / n);
  NSA_GRID_STRIDE(i, rows * units) {
    const int64_t r = I(i) / units, c = int64_t(I(i) - I(r) * units) * n, at = r * 2 * cols + c;
    if constexpr (VECTORS) {
      float g[n], u[n], d[n];
      load_vec(g, gu + at);
      load_vec(u, gu + at + cols);
      load_vec(d, dy + r * cols + c);
#pragma unroll
      for (int j = 0; j < n; ++j) {
        float s = sigmoid_of<T>(g[j]), dg = d[j] * u[j] * s * (1.f + g[j] * (1.f - s)), again = g[j] * (s * u[j]);
        u[j] = d[j] * g[j] * s;
        g[j] = dg;
        d[j] = again;
      }
      if (y) store_vec(y + r * cols + c, d);
      store_vec(dgu + at, g);
      store_vec(dgu + at + cols, u);
    } else {
      float g = to_float(gu[at]), u = to_float(gu[at + cols]), d = to_float(dy[r * cols + c]), s = sigmoid_of<T>(g);
      from_float(d * u * s * (1.f + g * (1.f - s)), dgu[at]);
      from_float(d * g * s, dgu[at + cols]);
      if (y) from_float(g * s * u, y[r * cols + c]);
    }
  }
}

int swiglu_fwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_swiglu_fwd_params*>(params);
  if (p.rows * p.cols == 0) return NSA_OK;
  if (p.gu.numel < p.rows * p.cols * 2 || p.y.numel < p.rows * p.cols) return bad_argument(ctx, "swiglu_fwd: sizes");
  if (p.gu.dtype != p.y.dtype) return unsupported(ctx, "swiglu_fwd of mixed dtypes");
  bool ok = with_float_type(p.y.dtype, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    auto* gu = static_cast<const T*>(p.gu.ptr);
    auto* y = static_cast<T*>(p.y.ptr);
    auto stream = context(ctx).stream;
    const bool narrow = p.rows * p.cols <= INT32_MAX;
    if (p.cols % kVec<T> == 0 && aligned16(gu) && aligned16(y))
      (narrow ? swiglu_fwd_kernel<T, true, uint32_t> : swiglu_fwd_kernel<T, true, uint64_t>)<<<grid_for(ctx, p.rows * p.cols / kVec<T>), kThreads, 0, stream>>>(gu, y, p.rows, p.cols);
    else
      swiglu_fwd_kernel<T, false, uint64_t><<<grid_for(ctx, p.rows * p.cols), kThreads, 0, stream>>>(gu, y, p.rows, p.cols);
  });
  return ok ? launched(ctx) : unsupported(ctx, "swiglu_fwd takes f32 and bf16");
}

int swiglu_bwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_swiglu_bwd_params*>(params);
  if (p.rows * p.cols == 0) return NSA_OK;
  if (p.gu.numel < p.rows * p.cols * 2 || p.dgu.numel < p.rows * p.cols * 2 || p.dy.numel < p.rows * p.cols || (p.y.ptr && p.y.numel < p.rows * p.cols))
    return bad_argument(ctx, "swiglu_bwd: sizes");
  if (p.gu.dtype != p.dy.dtype || p.gu.dtype != p.dgu.dtype || (p.y.ptr && p.y.dtype != p.gu.dtype)) return unsupported(ctx, "swiglu_bwd of mixed dtypes");
  bool ok = with_float_type(p.gu.dtype, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    auto *dy = static_cast<const T*>(p.dy.ptr), *gu = static_cast<const T*>(p.gu.ptr);
    auto *dgu = static_cast<T*>(p.dgu.ptr), *y = static_cast<T*>(p.y.ptr);
    auto stream = context(ctx).stream;
    const bool narrow = p.rows * p.cols <= INT32_MAX;
    if (p.cols % kVec<T> == 0 && aligned16(dy) && aligned16(gu) && aligned16(dgu) && aligned16(y))
      (narrow ? swiglu_bwd_kernel<T, true, uint32_t> : swiglu_bwd_kernel<T, true, uint64_t>)<<<grid_for(ctx, p.rows * p.cols / kVec<T>), kThreads, 0, stream>>>(dy, gu, dgu, y, p.rows, p.cols);
    else
      swiglu_bwd_kernel<T, false, uint64_t><<<grid_for(ctx, p.rows * p.cols), kThreads, 0, stream>>>(dy, gu, dgu, y, p.rows, p.cols);
  });
  return ok ? launched(ctx) : unsupported(ctx, "swiglu_bwd takes f32 and bf16");
}

}  // namespace

void register_mlp(NsaOpFn* ops) {
  ops[NSA_OP_rope] = rope;
  ops[NSA_OP_swiglu_fwd] = swiglu_fwd;
  ops[NSA_OP_swiglu_bwd] = swiglu_bwd;
}

}  // namespace nsa::cuda
