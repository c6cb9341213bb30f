// rms_norm_fwd, rms_norm_bwd: a warp a row (and head), or a block where rows are long; y = x·rstd·w, rstd = 1/sqrt(mean(x²) + eps).
//
// With x̂ = x·rstd and g = dy·w: dx = rstd·(g − x̂·mean(g·x̂)), dw = Σ dy·x̂ over rows: per-warp sums, joined in a fixed order.
#include <type_traits>

#include "cuda/convert.h"
#include "cuda/families.h"
#include "cuda/launch.h"

namespace nsa::cuda {
namespace {

constexpr int kWarps = 8, kWide = 256;

struct Sizes {
  int64_t rows, heads, cols, ldx, ldy;
};

// Row r·heads + h of x and y.
__device__ inline int64_t offset(int64_t item, const Sizes& s, int64_t ld) {
  return s.heads == 1 ? item * ld : item / s.heads * ld + item % s.heads * s.cols;
}

// N weights from an address that N weights, or 16 bytes, divide.
template <int N, class W>
__device__ inline void load_weights(float (&x)[N], const W* p) {
  alignas(16) W raw[N];
  if constexpr (sizeof raw % 16 == 0) {
#pragma unroll
    for (int i = 0; i < int(sizeof raw / 16); ++i) reinterpret_cast<uint4*>(raw)[i] = reinterpret_cast<const uint4*>(p)[i];
  } else {
    *reinterpret_cast<uint2*>(raw) = *reinterpret_cast<const uint2*>(p);
  }
#pragma unroll
  for (int i = 0; i < N; ++i) x[i] = to_float(raw[i]);
}

// V > 0: the row lies in registers, V vectors a lane. V = 0: any size and alignment, element by element.
template <class T, class W, int V>
__global__ void fwd_kernel(const T* x, const W* w, T* y, float* rstd, Sizes s, float eps) {
  const int lane = threadIdx.x & 31;
  int64_t item = int64_t(blockIdx.x) * kWarps + (threadIdx.x >> 5);
  if (item >= s.rows * s.heads) return;
  const T* from = x + offset(item, s, s.ldx);
  T* to = y + offset(item, s, s.ldy);
  constexpr int n = kVec<T>;
  float sum = 0;
  if constexpr (V > 0) {
    float e[V][n];
#pragma unroll
    for (int v = 0; v < V; ++v) {
      int c = (v * 32 + lane) * n;
      if (c >= s.cols) continue;
      load_vec(e[v], from + c);
#pragma unroll
      for (int j = 0; j < n; ++j) sum += e[v][j] * e[v][j];
    }
    float r = rsqrtf(warp_sum(sum) / float(s.cols) + eps);
    if (lane == 0) rstd[item] = r;
#pragma unroll
    for (int v = 0; v < V; ++v) {
      int c = (v * 32 + lane) * n;
      if (c >= s.cols) continue;
      float weight[n];
      load_weights(weight, w + c);
#pragma unroll
      for (int j = 0; j < n; ++j) e[v][j] *= r * weight[j];
      store_vec(to + c, e[v]);
    }
  } else {
    for (int64_t c = lane; c < s.cols; c += 32) sum += to_float(from[c]) * to_float(from[c]);
    float r = rsqrtf(warp_sum(sum) / float(s.cols) + eps);
    if (lane == 0) rstd[item] = r;
    for (int64_t c = lane; c < s.cols; c += 32) from_float(to_float(from[c]) * r * to_float(w[c]), to[c]);
  }
}

// dw partials of block b go to partial[b·cols + c].
template <class T, class W, int V>
__global__ void __launch_bounds__(kWarps * 32, V == 1 ? 3 : 2) bwd_kernel(const T* dy, const T* x, const W* w, const float* rstd, T* dx, float* partial, Sizes s,
                                                          bool accumulate) {
  constexpr int n = kVec<T>;
  __shared__ float joined[kWarps][32 * n + 1];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  float dw[V][n] = {};
  for (int64_t item = int64_t(blockIdx.x) * kWarps + warp; item < s.rows * s.heads; item += int64_t(gridDim.x) * kWarps) {
    int64_t at = offset(item, s, s.ldx), dy_at = offset(item, s, s.ldy);
    float g[V][n], xhat[V][n], r = rstd[item], mean = 0;
    // Under way with the others, not after the row's sum, where registers allow it.
    constexpr bool early = V < 4;
    uint4 before[V];
    if (early && accumulate) {
#pragma unroll
      for (int v = 0; v < V; ++v) {
        const int c = (v * 32 + lane) * n;
        if (c < s.cols) before[v] = *reinterpret_cast<const uint4*>(dx + at + c);
      }
    }
#pragma unroll
    for (int v = 0; v < V; ++v) {
      int c = (v * 32 + lane) * n;
      if (c >= s.cols) continue;
      load_vec(g[v], dy + dy_at + c);
      load_vec(xhat[v], x + at + c);
      // From the first cache each time: kept, it would halve the warps that fit.
      float weight[n];
      load_weights(weight, w + c);
#pragma unroll
      for (int j = 0; j < n; ++j) {
        xhat[v][j] *= r;
        dw[v][j] += g[v][j] * xhat[v][j];
        g[v][j] *= weight[j];
        mean += g[v][j] * xhat[v][j];
      }
    }
    mean = warp_sum(mean) / float(s.cols);
#pragma unroll
    for (int v = 0; v < V; ++v) {
      int c = (v * 32 + lane) * n;
      if (c >= s.cols) continue;
      float d[n] = {};
      if (!early && accumulate) load_vec(d, dx + at + c);
      if (early && accumulate) {
        const T* e = reinterpret_cast<const T*>(&before[v]);
#pragma unroll
        for (int j = 0; j < n; ++j) d[j] = to_float(e[j]);
      }
#pragma unroll
      for (int j = 0; j < n; ++j) d[j] += r * (g[v][j] - xhat[v][j] * mean);
      store_vec(dx + at + c, d);
    }
  }
#pragma unroll
  for (int v = 0; v < V; ++v) {
    __syncthreads();
#pragma unroll
    for (int j = 0; j < n; ++j) joined[warp][lane * n + j] = dw[v][j];
    __syncthreads();
    for (int i = threadIdx.x; i < 32 * n; i += kWarps * 32) {
      int64_t c = v * 32 * n + i;
      if (c >= s.cols) break;
      float sum = 0;
      for (int k = 0; k < kWarps; ++k) sum += joined[k][i];
      partial[int64_t(blockIdx.x) * s.cols + c] = sum;
    }
  }
}

// Long rows: a block a row, V vectors a thread.
template <class T, class W, int V>
__global__ void __launch_bounds__(kWide) fwd_wide_kernel(const T* x, const W* w, T* y, float* rstd, Sizes s, float eps) {
  constexpr int n = kVec<T>;
  __shared__ float shared[kWide / 32];
  const int64_t item = blockIdx.x;
  const T* from = x + offset(item, s, s.ldx);
  T* to = y + offset(item, s, s.ldy);
  float e[V][n], sum = 0;
#pragma unroll
  for (int v = 0; v < V; ++v) {
    int c = (v * kWide + int(threadIdx.x)) * n;
    if (c >= s.cols) continue;
    load_vec(e[v], from + c);
#pragma unroll
    for (int j = 0; j < n; ++j) sum += e[v][j] * e[v][j];
  }
  float r = rsqrtf(block_sum<kWide>(sum, shared) / float(s.cols) + eps);
  if (threadIdx.x == 0) rstd[item] = r;
#pragma unroll
  for (int v = 0; v < V; ++v) {
    int c = (v * kWide + int(threadIdx.x)) * n;
    if (c >= s.cols) continue;
    float weight[n];
    load_weights(weight, w + c);
#pragma unroll
    for (int j = 0; j < n; ++j) e[v][j] *= r * weight[j];
    store_vec(to + c, e[v]);
  }
}

template <class T, class W, int V>
__global__ void __launch_bounds__(kWide, 2) bwd_wide_kernel(const T* dy, const T* x, const W* w, const float* rstd, T* dx, float* partial, Sizes s,
                                                         bool accumulate) {
  constexpr int n = kVec<T>;
  __shared__ float shared[kWide / 32];
  float dw[V][n] = {};
  for (int64_t item = blockIdx.x; item < s.rows * s.heads; item += gridDim.x) {
    int64_t at = offset(item, s, s.ldx), dy_at = offset(item, s, s.ldy);
    float g[V][n], xhat[V][n], r = rstd[item], mean = 0;
#pragma unroll
    for (int v = 0; v < V; ++v) {
      int c = (v * kWide + int(threadIdx.x)) * n;
      if (c >= s.cols) continue;
      load_vec(g[v], dy + dy_at + c);
      load_vec(xhat[v], x + at + c);
      float weight[n];
      load_weights(weight, w + c);
#pragma unroll
      for (int j = 0; j < n; ++j) {
        xhat[v][j] *= r;
        dw[v][j] += g[v][j] * xhat[v][j];
        g[v][j] *= weight[j];
        mean += g[v][j] * xhat[v][j];
      }
    }
    mean = block_sum<kWide>(mean, shared) / float(s.cols);
#pragma unroll
    for (int v = 0; v < V; ++v) {
      int c = (v * kWide + int(threadIdx.x)) * n;
      if (c >= s.cols) continue;
      float d[n] = {};
      if (accumulate) load_vec(d, dx + at + c);
#pragma unroll
      for (int j = 0; j < n; ++j) d[j] += r * (g[v][j] - xhat[v][j] * mean);
      store_vec(dx + at + c, d);
    }
  }
#pragma unroll
  for (int v = 0; v < V; ++v) {
    int c = (v * kWide + int(threadIdx.x)) * n;
    if (c < s.cols) {
#pragma unroll
      for (int j = 0; j < n; ++j) partial[int64_t(blockIdx.x) * s.cols + c + j] = dw[v][j];
    }
  }
}

// The general backward: dx by a warp a row, then dw by a thread a column and stripe.
template <class T, class W>
__global__ void bwd_dx_kernel(const T* dy, const T* x, const W* w, const float* rstd, T* dx, Sizes s, bool accumulate) {
  const int lane = threadIdx.x & 31;
  int64_t item = int64_t(blockIdx.x) * kWarps + (threadIdx.x >> 5);
  if (item >= s.rows * s.heads) return;
  int64_t at = offset(item, s, s.ldx), dy_at = offset(item, s, s.ldy);
  float r = rstd[item], mean = 0;
  for (int64_t c = lane; c < s.cols; c += 32) mean += to_float(dy[dy_at + c]) * to_float(w[c]) * to_float(x[at + c]) * r;
  mean = warp_sum(mean) / float(s.cols);
  for (int64_t c = lane; c < s.cols; c += 32) {
    float d = r * (to_float(dy[dy_at + c]) * to_float(w[c]) - to_float(x[at + c]) * r * mean);
    from_float(accumulate ? to_float(dx[at + c]) + d : d, dx[at + c]);
  }
}
template <class T>
__global__ void bwd_dw_kernel(const T* dy, const T* x, const float* rstd, float* partial, Sizes s, int64_t stripe) {
  int64_t c = int64_t(blockIdx.x) * 128 + threadIdx.x, from = blockIdx.y * stripe, to = min(s.rows * s.heads, from + stripe);
  if (c >= s.cols) return;
  float sum = 0;
  for (int64_t item = from; item < to; ++item) sum += to_float(dy[offset(item, s, s.ldy) + c]) * to_float(x[offset(item, s, s.ldx) + c]) * rstd[item];
  partial[blockIdx.y * s.cols + c] = sum;
}

__global__ void join_kernel(const float* partial, int64_t parts, int64_t cols, float* dw) {
  // 32 columns a block, 8 threads a column: eighths of the parts, then their sum.
  __shared__ float shared[8][33];
  int column = threadIdx.x & 31, eighth = threadIdx.x >> 5;
  int64_t c = int64_t(blockIdx.x) * 32 + column;
  float sum = 0;
  if (c < cols)
    for (int64_t i = eighth; i < parts; i += 8) sum += partial[i * cols + c];
  shared[eighth][column] = sum;
  __syncthreads();
  if (eighth || c >= cols) return;
  for (int k = 1; k < 8; ++k) sum += shared[k][column];
  dw[c] += sum;
}

// How a row is held besides 1 to 4 vectors a lane of a warp: one or two vectors a thread of a block, or not at all.
enum Held : int { kTwoAThread = -2, kOneAThread = -1, kElements = 0 };

// Vectors a lane needs, rounded to what is compiled, or a Held.
template <class T>
int vectors(const Sizes& s, std::initializer_list<const void*> buffers) {
  constexpr int n = kVec<T>;
  bool fast = s.cols % n == 0 && s.ldx % n == 0 && s.ldy % n == 0;
  for (const void* p : buffers) fast = fast && aligned16(p);
  int64_t need = ceil_div(s.cols, 32 * n);
  if (!fast || need > 16) return kElements;
  return need > 8 ? kTwoAThread : need > 4 ? kOneAThread : int(need);
}

// Dispatch on the number of vectors a lane.
template <class Body>
void with_vectors(int v, Body&& body) {
  switch (v) {
    case 1: body(std::integral_constant<int, 1>{}); break;
    case 2: body(std::integral_constant<int, 2>{}); break;
    case 3: body(std::integral_constant<int, 3>{}); break;
    case 4: body(std::integral_constant<int, 4>{}); break;
    case kOneAThread: body(std::integral_constant<int, kOneAThread>{}); break;
    case kTwoAThread: body(std::integral_constant<int, kTwoAThread>{}); break;
    default: body(std::integral_constant<int, kElements>{});
  }
}

bool long_enough(const NsaBuf& b, const Sizes& s, int64_t ld) { return s.rows == 0 || b.numel >= (s.rows - 1) * ld + s.heads * s.cols; }

int fwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_rms_norm_fwd_params*>(params);
  Sizes s{p.rows, p.heads, p.cols, p.ldx, p.ldy};
  if (!long_enough(p.x, s, p.ldx) || !long_enough(p.y, s, p.ldy) || p.w.numel < p.cols || p.rstd.numel < p.rows * p.heads)
    return bad_argument(ctx, "rms_norm_fwd: a tensor is too short");
  if (p.x.dtype != p.y.dtype || p.rstd.dtype != NSA_F32) return unsupported(ctx, "rms_norm_fwd of mixed dtypes");
  int64_t items = p.rows * p.heads;
  if (items == 0) return NSA_OK;
  bool ok = false;
  with_float_type(p.x.dtype, [&](auto* xt) {
    using T = std::remove_pointer_t<decltype(xt)>;
    ok = with_float_type(p.w.dtype, [&](auto* wt) {
      using W = std::remove_pointer_t<decltype(wt)>;
      with_vectors(vectors<T>(s, {p.x.ptr, p.y.ptr, p.w.ptr}), [&](auto v) {
        auto* x = static_cast<const T*>(p.x.ptr);
        auto* w = static_cast<const W*>(p.w.ptr);
        auto* y = static_cast<T*>(p.y.ptr);
        auto* rstd = static_cast<float*>(p.rstd.ptr);
        auto stream = context(ctx).stream;
        if constexpr (v() < kElements)
          fwd_wide_kernel<T, W, -v()><<<unsigned(items), kWide, 0, stream>>>(x, w, y, rstd, s, float(p.eps));
        else
          fwd_kernel<T, W, v()><<<unsigned(ceil_div(items, kWarps)), kWarps * 32, 0, stream>>>(x, w, y, rstd, s, float(p.eps));
      });
    });
  });
  return ok ? launched(ctx) : unsupported(ctx, "rms_norm_fwd takes f32 and bf16");
}

int bwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_rms_norm_bwd_params*>(params);
  Sizes s{p.rows, p.heads, p.cols, p.ldx, p.ldy};
  if (!long_enough(p.x, s, p.ldx) || !long_enough(p.dx, s, p.ldx) || !long_enough(p.dy, s, p.ldy) || p.w.numel < p.cols || p.dw.numel < p.cols ||
      p.rstd.numel < p.rows * p.heads)
    return bad_argument(ctx, "rms_norm_bwd: a tensor is too short");
  if (p.x.dtype != p.dy.dtype || p.x.dtype != p.dx.dtype || p.rstd.dtype != NSA_F32 || p.dw.dtype != NSA_F32)
    return unsupported(ctx, "rms_norm_bwd of mixed dtypes");
  int64_t items = p.rows * p.heads;
  if (items == 0) return NSA_OK;
  auto stream = context(ctx).stream;
  // Blocks where a warp takes a row, and where a block does.
  const int64_t most = int64_t(context(ctx).sm_count) * 4, blocks = std::min(ceil_div(items, kWarps), most), row_blocks = std::min(items, most);
  int64_t stripe = std::max<int64_t>(64, ceil_div(items, 256)), stripes = ceil_div(items, stripe);
  Scratch partial(ctx, size_t(std::max(row_blocks, stripes) * p.cols) * 4);
  if (!partial) return out_of_memory(ctx);
  bool ok = false;
  int64_t parts = blocks;
  with_float_type(p.x.dtype, [&](auto* xt) {
    using T = std::remove_pointer_t<decltype(xt)>;
    ok = with_float_type(p.w.dtype, [&](auto* wt) {
      using W = std::remove_pointer_t<decltype(wt)>;
      auto *dy = static_cast<const T*>(p.dy.ptr), *x = static_cast<const T*>(p.x.ptr);
      auto* w = static_cast<const W*>(p.w.ptr);
      auto* rstd = static_cast<const float*>(p.rstd.ptr);
      auto* dx = static_cast<T*>(p.dx.ptr);
      with_vectors(vectors<T>(s, {dy, x, dx, w}), [&](auto v) {
        if constexpr (v() < kElements) {
          parts = row_blocks;
          bwd_wide_kernel<T, W, -v()><<<unsigned(row_blocks), kWide, 0, stream>>>(dy, x, w, rstd, dx, partial.as<float>(), s, p.accumulate != 0);
        } else if constexpr (v() > kElements) {
          bwd_kernel<T, W, v()><<<unsigned(blocks), kWarps * 32, 0, stream>>>(dy, x, w, rstd, dx, partial.as<float>(), s, p.accumulate != 0);
        } else {
          parts = stripes;
          bwd_dw_kernel<T><<<dim3(unsigned(ceil_div(p.cols, 128)), unsigned(stripes)), 128, 0, stream>>>(dy, x, rstd, partial.as<float>(), s, stripe);
          bwd_dx_kernel<T, W><<<unsigned(ceil_div(items, kWarps)), kWarps * 32, 0, stream>>>(dy, x, w, rstd, dx, s, p.accumulate != 0);
        }
      });
    });
  });
  if (!ok) return unsupported(ctx, "rms_norm_bwd takes f32 and bf16");
  join_kernel<<<unsigned(ceil_div(p.cols, 32)), 256, 0, stream>>>(partial.as<float>(), parts, p.cols, static_cast<float*>(p.dw.ptr));
  return launched(ctx);
}

}  // namespace

void register_norm(NsaOpFn* ops) {
  ops[NSA_OP_rms_norm_fwd] = fwd;
  ops[NSA_OP_rms_norm_bwd] = bwd;
}

}  // namespace nsa::cuda
