// reduce, segment_reduce, segment_broadcast, col_sum, sum_squares, fingerprint: fixed trees, so runs repeat bit for bit.
#include <type_traits>

#include "cuda/convert.h"
#include "cuda/families.h"
#include "cuda/launch.h"
#include "cuda/reduce.h"
#include "nsa/fingerprint.h"

namespace nsa::cuda {
namespace {

constexpr int kPartials = 1024;

__device__ inline double combine(int kind, double a, double b) { return kind == 0 ? a + b : kind == 1 ? fmax(a, b) : fmin(a, b); }
__device__ inline double identity(int kind) { return kind == 0 ? 0. : kind == 1 ? -INFINITY : INFINITY; }

template <int THREADS>
__device__ double block_combine(double x, int kind) {
  __shared__ double shared[THREADS];
  __syncthreads();
  shared[threadIdx.x] = x;
  __syncthreads();
  for (int half = THREADS / 2; half > 0; half >>= 1) {
    if (int(threadIdx.x) < half) shared[threadIdx.x] = combine(kind, shared[threadIdx.x], shared[threadIdx.x + half]);
    __syncthreads();
  }
  return shared[0];
}

// Partial of each block; `square` sums x².
template <class T, bool SQUARE>
__global__ void partial_kernel(const T* x, int64_t n, double* partial, int kind, bool vectors) {
  double acc = identity(kind);
  if (vectors) {
    NSA_GRID_STRIDE(v, n / kVec<T>) {
      float e[kVec<T>];
      load_vec(e, x + v * kVec<T>);
#pragma unroll
      for (int j = 0; j < kVec<T>; ++j) acc = combine(kind, acc, SQUARE ? double(e[j]) * e[j] : e[j]);
    }
  } else {
    NSA_GRID_STRIDE(i, n) {
      double e = to_float(x[i]);
      acc = combine(kind, acc, SQUARE ? e * e : e);
    }
  }
  acc = block_combine<kThreads>(acc, kind);
  if (threadIdx.x == 0) partial[blockIdx.x] = acc;
}

__global__ void finish_kernel(const double* partial, int n, void* y, int32_t dtype, int kind, bool add) {
  double acc = identity(kind);
  for (int i = threadIdx.x; i < n; i += kThreads) acc = combine(kind, acc, partial[i]);
  acc = block_combine<kThreads>(acc, kind);
  if (threadIdx.x) return;
  if (dtype == NSA_F64) *static_cast<double*>(y) = (add ? *static_cast<double*>(y) : 0) + acc;
  else if (dtype == NSA_F32) *static_cast<float*>(y) = float((add ? *static_cast<float*>(y) : 0.f) + acc);
  else *static_cast<bf16*>(y) = __float2bfloat16_rn(float((add ? to_float(*static_cast<bf16*>(y)) : 0.f) + acc));
}

template <bool SQUARE>
int reduce_all(void* ctx, const NsaBuf& x, const NsaBuf& y, int kind, bool add) {
  auto stream = context(ctx).stream;
  if (x.numel == 0) return add ? int(NSA_OK) : check(ctx, cudaMemsetAsync(y.ptr, 0, y.dtype == NSA_F64 ? 8 : y.dtype == NSA_BF16 ? 2 : 4, stream));
  Scratch partial(ctx, kPartials * sizeof(double));
  if (!partial) return out_of_memory(ctx);
  int blocks = int(std::min<int64_t>(ceil_div(x.numel, kThreads * 4), kPartials));
  bool ok = with_float_type(x.dtype, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    partial_kernel<T, SQUARE><<<blocks, kThreads, 0, stream>>>(static_cast<const T*>(x.ptr), x.numel, partial.as<double>(), kind,
                                                               aligned16(x.ptr) && x.numel % kVec<T> == 0);
  });
  if (!ok) return unsupported(ctx, "reductions take f32 and bf16");
  finish_kernel<<<1, kThreads, 0, stream>>>(partial.as<double>(), blocks, y.ptr, y.dtype, kind, add);
  return launched(ctx);
}

int reduce(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_reduce_params*>(params);
  if (p.y.numel < 1 || p.kind < 0 || p.kind > 2) return bad_argument(ctx, "reduce: sizes or kind");
  return reduce_all<false>(ctx, p.x, p.y, int(p.kind), false);
}

int sum_squares(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_sum_squares_params*>(params);
  return reduce_all<true>(ctx, p.x, p.y, 0, true);
}

template <class T>
__global__ void segment_reduce_kernel(const T* x, const int32_t* cu, T* y, int kind) {
  int64_t i = blockIdx.x, first = cu[i], last = cu[i + 1];
  double acc = identity(kind);
  for (int64_t t = first + threadIdx.x; t < last; t += 128) acc = combine(kind, acc, to_float(x[t]));
  acc = block_combine<128>(acc, kind);
  if (threadIdx.x == 0) from_float(first < last ? float(acc) : 0.f, y[i]);
}

int segment_reduce(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_segment_reduce_params*>(params);
  if (p.y.numel < p.n || p.cu.numel < p.n + 1 || p.kind < 0 || p.kind > 2) return bad_argument(ctx, "segment_reduce: sizes or kind");
  if (p.n == 0) return NSA_OK;
  if (p.x.dtype != p.y.dtype) return unsupported(ctx, "segment_reduce of mixed dtypes");
  bool ok = with_float_type(p.x.dtype, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    segment_reduce_kernel<T><<<unsigned(p.n), 128, 0, context(ctx).stream>>>(static_cast<const T*>(p.x.ptr), static_cast<const int32_t*>(p.cu.ptr),
                                                                             static_cast<T*>(p.y.ptr), int(p.kind));
  });
  return ok ? launched(ctx) : unsupported(ctx, "segment_reduce takes f32 and bf16");
}

template <class T>
__global__ void segment_broadcast_kernel(const T* y, const int32_t* cu, T* x) {
  int64_t i = blockIdx.x;
  for (int64_t t = cu[i] + int(threadIdx.x); t < cu[i + 1]; t += 128) x[t] = y[i];
}

int segment_broadcast(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_segment_broadcast_params*>(params);
  if (p.y.numel < p.n || p.cu.numel < p.n + 1) return bad_argument(ctx, "segment_broadcast: sizes");
  if (p.n == 0) return NSA_OK;
  if (p.x.dtype != p.y.dtype) return unsupported(ctx, "segment_broadcast of mixed dtypes");
  bool ok = with_float_type(p.x.dtype, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    segment_broadcast_kernel<T><<<unsigned(p.n), 128, 0, context(ctx).stream>>>(
        static_cast<const T*>(p.y.ptr), static_cast<const int32_t*>(p.cu.ptr), static_cast<T*>(p.x.ptr));
  });
  return ok ? launched(ctx) : unsupported(ctx, "segment_broadcast takes f32 and bf16");
}

// Partial column sums of a stripe of rows: block (column group, stripe).
template <class T>
__global__ void col_partial_kernel(const T* x, int64_t rows, int64_t cols, int64_t stripe, float* partial) {
  int64_t c = int64_t(blockIdx.x) * 128 + threadIdx.x, from = blockIdx.y * stripe, to = min(rows, from + stripe);
  if (c >= cols) return;
  float acc = 0;
  for (int64_t r = from; r < to; ++r) acc += to_float(x[r * cols + c]);
  partial[blockIdx.y * cols + c] = acc;
}

template <class T>
__global__ void col_finish_kernel(const float* partial, int stripes, int64_t cols, T* y) {
  int64_t c = int64_t(blockIdx.x) * 128 + threadIdx.x;
  if (c >= cols) return;
  double acc = 0;
  for (int s = 0; s < stripes; ++s) acc += partial[s * cols + c];
  from_float(float(to_float(y[c]) + acc), y[c]);
}

}  // namespace

int col_sum(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_col_sum_params*>(params);
  if (p.x.numel < p.rows * p.cols || p.y.numel < p.cols) return bad_argument(ctx, "col_sum: sizes");
  if (p.rows == 0 || p.cols == 0) return NSA_OK;
  int64_t stripe = std::max<int64_t>(64, ceil_div(p.rows, 512)), stripes = ceil_div(p.rows, stripe);
  Scratch partial(ctx, size_t(stripes * p.cols) * 4);
  if (!partial) return out_of_memory(ctx);
  auto stream = context(ctx).stream;
  auto columns = unsigned(ceil_div(p.cols, 128));
  bool ok = with_float_type(p.x.dtype, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    col_partial_kernel<T><<<dim3(columns, unsigned(stripes)), 128, 0, stream>>>(static_cast<const T*>(p.x.ptr), p.rows, p.cols, stripe, partial.as<float>());
  });
  ok = ok && with_float_type(p.y.dtype, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    col_finish_kernel<T><<<columns, 128, 0, stream>>>(partial.as<float>(), int(stripes), p.cols, static_cast<T*>(p.y.ptr));
  });
  return ok ? launched(ctx) : unsupported(ctx, "col_sum takes f32 and bf16");
}

// Sum of the terms of a grid's share; the order of an integer sum does not matter.
__global__ void fingerprint_partial_kernel(const void* x, int32_t dtype, int64_t n, unsigned long long* partial) {
  unsigned long long sum = 0;
  NSA_GRID_STRIDE(i, n) sum += fingerprint_term(bits_at(x, dtype, i), i);
  __shared__ unsigned long long shared[kThreads];
  shared[threadIdx.x] = sum;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half >>= 1) {
    if (int(threadIdx.x) < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) partial[blockIdx.x] = shared[0];
}

__global__ void fingerprint_finish_kernel(const unsigned long long* partial, int n, uint32_t* y) {
  unsigned long long sum = 0;
  for (int i = 0; i < n; ++i) sum += partial[i];
  y[0] = uint32_t(sum);
  y[1] = uint32_t(sum >> 32);
}

int fingerprint(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_fingerprint_params*>(params);
  if (p.y.numel != 2 || p.y.dtype != NSA_I32) return bad_argument(ctx, "fingerprint: y");
  Scratch partial(ctx, kPartials * sizeof(unsigned long long));
  if (!partial) return out_of_memory(ctx);
  auto stream = context(ctx).stream;
  int blocks = int(std::min<int64_t>(ceil_div(p.x.numel, kThreads * 4), kPartials));
  if (blocks > 0) fingerprint_partial_kernel<<<blocks, kThreads, 0, stream>>>(p.x.ptr, p.x.dtype, p.x.numel, partial.as<unsigned long long>());
  fingerprint_finish_kernel<<<1, 1, 0, stream>>>(partial.as<unsigned long long>(), blocks, static_cast<uint32_t*>(p.y.ptr));
  return launched(ctx);
}

void register_reduce(NsaOpFn* ops) {
  ops[NSA_OP_reduce] = reduce;
  ops[NSA_OP_segment_reduce] = segment_reduce;
  ops[NSA_OP_segment_broadcast] = segment_broadcast;
  ops[NSA_OP_col_sum] = col_sum;
  ops[NSA_OP_sum_squares] = sum_squares;
  ops[NSA_OP_fingerprint] = fingerprint;
}

}  // namespace nsa::cuda
