// nsa_block_gather_*, nsa_pool_*: the tokens of each compressed block, as the input of φ or pooled by weights (NSA eq. 7).
//
// Gradients go token by token: a token's gradient is the sum over the blocks that cover it, so no two threads write one place.
#include <type_traits>

#include "cuda/convert.h"
#include "cuda/documents.h"
#include "cuda/families.h"
#include "cuda/launch.h"
#include "cuda/reduce.h"

namespace nsa::cuda {
namespace {

// V elements as floats; V is 1 or a whole 16-byte vector.
template <int V, class T>
__device__ inline void load_some(float (&x)[V], const T* p) {
  if constexpr (V == 1) x[0] = to_float(*p);
  else load_vec(x, p);
}
template <int V, class T>
__device__ inline void store_some(T* p, const float (&x)[V]) {
  if constexpr (V == 1) from_float(x[0], *p);
  else store_vec(p, x);
}

// Parameters (pos, w) of either float type.
struct Weights {
  const void* ptr;
  bool low;
  __device__ float operator[](int64_t i) const { return low ? to_float(static_cast<const bf16*>(ptr)[i]) : static_cast<const float*>(ptr)[i]; }
};
Weights weights(const NsaBuf& b) { return {b.ptr, b.dtype == NSA_BF16}; }

struct Grid {
  const int32_t *cu_seqlens, *cu_blocks;
  int64_t n_docs, tokens, nb, hkv, d, block_size, stride, ldx;
};
template <class P>
Grid grid_of(const P& p) {
  return {static_cast<const int32_t*>(p.cu_seqlens.ptr), static_cast<const int32_t*>(p.cu_blocks.ptr), p.n_docs, p.tokens, p.nb, p.hkv, p.d, p.block_size,
          p.stride, p.ldx};
}

// Blocks [first, last] that cover a token, as absolute numbers, and the token's place in the first.
struct Cover {
  int64_t first, last, place;
};
__device__ inline Cover cover(const Grid& g, int64_t t) {
  int64_t doc = document_of(g.cu_seqlens, g.n_docs, t), local = t - g.cu_seqlens[doc], base = g.cu_blocks[doc], count = g.cu_blocks[doc + 1] - base;
  int64_t low = local < g.block_size ? 0 : (local - g.block_size) / g.stride + 1, high = min(local / g.stride, count - 1);
  return {base + low, base + high, local - low * g.stride};
}

// y rows of block_size·d; a thread moves V channels of one (block, head, place).
template <class T, int V>
__global__ void gather_kernel(const T* x, Weights pos, const int32_t* starts, T* y, int64_t nb, int64_t hkv, int64_t d, int64_t block_size, int64_t ldx) {
  const int64_t units = d / V;
  NSA_GRID_STRIDE(i, nb * hkv * block_size * units) {
    int64_t c = i % units * V, j = i / units % block_size, item = i / units / block_size, b = item / hkv, h = item % hkv;
    float e[V];
    load_some(e, x + (starts[b] + j) * ldx + h * d + c);
    if (pos.ptr)
#pragma unroll
      for (int k = 0; k < V; ++k) e[k] += pos[j * d + c + k];
    store_some(y + i * V, e);
  }
}

// POOLED: dy [nb, hkv, d] weighted by w; else dy [nb·hkv, block_size·d].
template <class T, int V, bool POOLED>
__global__ void dx_kernel(const T* dy, Weights w, T* dx, Grid g, bool accumulate) {
  const int64_t units = g.hkv * g.d / V;
  NSA_GRID_STRIDE(i, g.tokens * units) {
    int64_t t = i / units, hc = i % units * V, h = hc / g.d, c = hc % g.d;
    Cover at = cover(g, t);
    float sum[V] = {};
    if (accumulate) load_some(sum, dx + t * g.ldx + hc);
    int64_t j = at.place;
    for (int64_t b = at.first; b <= at.last; ++b, j -= g.stride) {
      float e[V];
      if constexpr (POOLED) {
        load_some(e, dy + b * g.hkv * g.d + hc);
        float weight = w[j];
#pragma unroll
        for (int k = 0; k < V; ++k) sum[k] += weight * e[k];
      } else {
        load_some(e, dy + ((b * g.hkv + h) * g.block_size + j) * g.d + c);
#pragma unroll
        for (int k = 0; k < V; ++k) sum[k] += e[k];
      }
    }
    store_some(dx + t * g.ldx + hc, sum);
  }
}

template <class T, int V>
__global__ void pool_kernel(const T* x, Weights w, const int32_t* starts, T* y, int64_t nb, int64_t width, int64_t block_size, int64_t ldx) {
  const int64_t units = width / V;
  NSA_GRID_STRIDE(i, nb * units) {
    int64_t b = i / units, c = i % units * V;
    const T* from = x + int64_t(starts[b]) * ldx + c;
    float sum[V] = {};
    for (int64_t j = 0; j < block_size; ++j) {
      float e[V], weight = w[j];
      load_some(e, from + j * ldx);
#pragma unroll
      for (int k = 0; k < V; ++k) sum[k] += weight * e[k];
    }
    store_some(y + b * width + c, sum);
  }
}

// partial[j·stripes + s]: Σ dy·x at place j over one stripe of blocks.
template <class T>
__global__ void __launch_bounds__(256) dw_kernel(const T* dy, const T* x, Grid g, int64_t stripe, float* partial) {
  __shared__ float shared[8];
  const int64_t j = blockIdx.x, width = g.hkv * g.d, from = blockIdx.y * stripe, to = min(g.nb, from + stripe);
  float sum = 0;
  for (int64_t b = from; b < to; ++b) {
    int64_t doc = document_of(g.cu_blocks, g.n_docs, b), first = g.cu_seqlens[doc] + (b - g.cu_blocks[doc]) * g.stride, row = first + j;
    if (first + g.block_size > g.cu_seqlens[doc + 1]) continue;  // an unused block of a bucket
    for (int64_t c = threadIdx.x; c < width; c += 256) sum += to_float(dy[b * width + c]) * to_float(x[row * g.ldx + c]);
  }
  sum = block_sum<256>(sum, shared);
  if (threadIdx.x == 0) partial[j * gridDim.y + blockIdx.y] = sum;
}
template <class W>
__global__ void dw_join_kernel(const float* partial, int64_t stripes, int64_t block_size, W* dw) {
  NSA_GRID_STRIDE(j, block_size) {
    double sum = 0;
    for (int64_t s = 0; s < stripes; ++s) sum += partial[j * stripes + s];
    from_float(float(to_float(dw[j]) + sum), dw[j]);
  }
}

// body(pointer of the type, width of its accesses as a constant).
template <class Body>
bool with_vectors(int32_t dtype, int64_t channels, int64_t ld, std::initializer_list<const void*> buffers, Body&& body) {
  return with_float_type(dtype, [&](auto* t) {
    constexpr int n = kVec<std::remove_pointer_t<decltype(t)>>;
    bool wide = channels % n == 0 && ld % n == 0;
    for (const void* p : buffers) wide = wide && aligned16(p);
    if (wide) body(t, std::integral_constant<int, n>{});
    else body(t, std::integral_constant<int, 1>{});
  });
}

const int32_t* i32(const NsaBuf& b) { return static_cast<const int32_t*>(b.ptr); }

int gather_fwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_block_gather_fwd_params*>(params);
  int64_t n = p.nb * p.hkv * p.block_size * p.d;
  if (n == 0) return NSA_OK;
  if (p.y.numel < n || p.block_start.numel < p.nb || (p.pos.ptr && p.pos.numel < p.block_size * p.d)) return bad_argument(ctx, "nsa_block_gather_fwd: sizes");
  if (p.x.dtype != p.y.dtype) return unsupported(ctx, "nsa_block_gather_fwd of mixed dtypes");
  bool ok = with_vectors(p.x.dtype, p.d, p.ldx, {p.x.ptr, p.y.ptr}, [&](auto* t, auto v) {
    using T = std::remove_pointer_t<decltype(t)>;
    gather_kernel<T, v()><<<grid_for(ctx, n / v()), kThreads, 0, context(ctx).stream>>>(
        static_cast<const T*>(p.x.ptr), weights(p.pos), i32(p.block_start), static_cast<T*>(p.y.ptr), p.nb, p.hkv, p.d, p.block_size, p.ldx);
  });
  return ok ? launched(ctx) : unsupported(ctx, "nsa_block_gather_fwd takes f32 and bf16");
}

template <bool POOLED, class P>
int dx_of(void* ctx, const P& p, Weights w) {
  if (p.tokens * p.hkv * p.d == 0 || p.n_docs == 0) return NSA_OK;
  if (p.dx.numel < (p.tokens - 1) * p.ldx + p.hkv * p.d || p.cu_seqlens.numel < p.n_docs + 1 || p.cu_blocks.numel < p.n_docs + 1 ||
      p.dy.numel < p.nb * p.hkv * p.d * (POOLED ? 1 : p.block_size))
    return bad_argument(ctx, "compressed blocks: a tensor is too short");
  if (p.dx.dtype != p.dy.dtype) return unsupported(ctx, "compressed blocks of mixed dtypes");
  bool ok = with_vectors(p.dx.dtype, p.d, p.ldx, {p.dx.ptr, p.dy.ptr}, [&](auto* t, auto v) {
    using T = std::remove_pointer_t<decltype(t)>;
    dx_kernel<T, v(), POOLED><<<grid_for(ctx, p.tokens * p.hkv * p.d / v()), kThreads, 0, context(ctx).stream>>>(
        static_cast<const T*>(p.dy.ptr), w, static_cast<T*>(p.dx.ptr), grid_of(p), p.accumulate != 0);
  });
  return ok ? launched(ctx) : unsupported(ctx, "compressed blocks take f32 and bf16");
}

int gather_bwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_block_gather_bwd_params*>(params);
  if (int status = dx_of<false>(ctx, p, Weights{})) return status;
  if (!p.dpos.ptr) return NSA_OK;
  Nsa_col_sum_params sum{};
  sum.x = p.dy, sum.y = p.dpos, sum.rows = p.nb * p.hkv, sum.cols = p.block_size * p.d;
  return col_sum(ctx, &sum);
}

int pool_fwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_pool_fwd_params*>(params);
  int64_t width = p.hkv * p.d;
  if (p.nb * width == 0) return NSA_OK;
  if (p.y.numel < p.nb * width || p.w.numel < p.block_size || p.block_start.numel < p.nb) return bad_argument(ctx, "nsa_pool_fwd: sizes");
  if (p.x.dtype != p.y.dtype) return unsupported(ctx, "nsa_pool_fwd of mixed dtypes");
  bool ok = with_vectors(p.x.dtype, width, p.ldx, {p.x.ptr, p.y.ptr}, [&](auto* t, auto v) {
    using T = std::remove_pointer_t<decltype(t)>;
    pool_kernel<T, v()><<<grid_for(ctx, p.nb * width / v()), kThreads, 0, context(ctx).stream>>>(
        static_cast<const T*>(p.x.ptr), weights(p.w), i32(p.block_start), static_cast<T*>(p.y.ptr), p.nb, width, p.block_size, p.ldx);
  });
  return ok ? launched(ctx) : unsupported(ctx, "nsa_pool_fwd takes f32 and bf16");
}

int pool_bwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_pool_bwd_params*>(params);
  if (p.w.numel < p.block_size || (p.dw.ptr && p.dw.numel < p.block_size)) return bad_argument(ctx, "nsa_pool_bwd: sizes");
  if (int status = dx_of<true>(ctx, p, weights(p.w))) return status;
  if (!p.dw.ptr || p.nb == 0) return NSA_OK;
  if (p.x.dtype != p.dy.dtype) return unsupported(ctx, "nsa_pool_bwd of mixed dtypes");
  int64_t stripe = std::max<int64_t>(16, ceil_div(p.nb, 64)), stripes = ceil_div(p.nb, stripe);
  Scratch partial(ctx, size_t(stripes * p.block_size) * 4);
  if (!partial) return out_of_memory(ctx);
  auto stream = context(ctx).stream;
  bool ok = with_float_type(p.dy.dtype, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    dw_kernel<T><<<dim3(unsigned(p.block_size), unsigned(stripes)), 256, 0, stream>>>(static_cast<const T*>(p.dy.ptr), static_cast<const T*>(p.x.ptr),
                                                                                      grid_of(p), stripe, partial.as<float>());
  });
  ok = ok && with_float_type(p.dw.dtype, [&](auto* t) {
    using W = std::remove_pointer_t<decltype(t)>;
    dw_join_kernel<W><<<grid_for(ctx, p.block_size), kThreads, 0, stream>>>(partial.as<float>(), stripes, p.block_size, static_cast<W*>(p.dw.ptr));
  });
  return ok ? launched(ctx) : unsupported(ctx, "nsa_pool_bwd takes f32 and bf16");
}

}  // namespace

void register_nsa_compress(NsaOpFn* ops) {
  ops[NSA_OP_nsa_block_gather_fwd] = gather_fwd;
  ops[NSA_OP_nsa_block_gather_bwd] = gather_bwd;
  ops[NSA_OP_nsa_pool_fwd] = pool_fwd;
  ops[NSA_OP_nsa_pool_bwd] = pool_bwd;
}

}  // namespace nsa::cuda
