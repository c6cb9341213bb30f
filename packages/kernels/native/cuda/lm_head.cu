// lm_head_fwd, lm_head_bwd: a matmul into a chunk of f32 logits, then one pass for log-probability, lse and entropy.
//
// Rows are taken in chunks of at most kChunkBytes of logits, so nothing of size [n, v] is stored unless the caller asks. A forward that
// knows dlogp reads each chunk once for statistics and gradient both, where a block's registers hold a row.
#include <type_traits>

#include "cuda/convert.h"
#include "cuda/families.h"
#include "cuda/gemm.h"
#include "cuda/launch.h"
#include "cuda/mma.h"

namespace nsa::cuda {
namespace {

constexpr float kLog2e = 1.4426950408889634f;
constexpr int64_t kChunkBytes = int64_t(512) << 20;

// Running softmax sums: m the maximum, s = Σ exp(z − m), t = Σ exp(z − m)·z.
struct Running {
  float m, s, t;
};
__device__ inline Running join(Running a, Running b) {
  float m = fmaxf(a.m, b.m);
  float x = a.m == -INFINITY ? 0.f : expf(a.m - m), y = b.m == -INFINITY ? 0.f : expf(b.m - m);
  return {m, a.s * x + b.s * y, a.t * x + b.t * y};
}

// A block's partial sums to those of the row, in every thread.
__device__ inline Running over_block(Running r, Running (&shared)[32]) {
#pragma unroll
  for (int m = 16; m > 0; m >>= 1)
    r = join(r, {__shfl_xor_sync(~0u, r.m, m), __shfl_xor_sync(~0u, r.s, m), __shfl_xor_sync(~0u, r.t, m)});
  if ((threadIdx.x & 31) == 0) shared[threadIdx.x >> 5] = r;
  __syncthreads();
  r = shared[0];
  for (unsigned w = 1; w < blockDim.x >> 5; ++w) r = join(r, shared[w]);
  return r;
}

__device__ inline void store_stats(Running r, float target, bool has_target, int64_t row, float* logp, float* lse, float* entropy) {
  const float l = r.m + logf(r.s);
  logp[row] = has_target ? target - l : 0.f;
  lse[row] = l;
  entropy[row] = l - r.t / r.s;
}

__global__ void __launch_bounds__(256) stats_kernel(const float* z, const int32_t* targets, float* logp, float* lse, float* entropy, int64_t v) {
  __shared__ Running shared[32];
  const float* row = z + blockIdx.x * v;
  Running r{-INFINITY, 0, 0};
  // kAhead vectors are loaded before the first is used, and the running maximum moves once for all of them.
  constexpr int kAhead = 4;
  auto take = [&r](const float(&x)[kAhead * 4]) {
    float high = r.m;
#pragma unroll
    for (int i = 0; i < kAhead * 4; ++i) high = fmaxf(high, x[i]);
    if (high == -INFINITY) return;
    const float f = exp2_fast((r.m - high) * kLog2e);
    r = {high, r.s * f, r.t * f};
#pragma unroll
    for (int i = 0; i < kAhead * 4; ++i) {
      const float e = exp2_fast((x[i] - high) * kLog2e);
      r.s += e;
      if (e > 0.f) r.t = fmaf(e, x[i], r.t);
    }
  };
  const bool vectors = v % 4 == 0 && (reinterpret_cast<uintptr_t>(row) & 15) == 0;
  for (int64_t base = threadIdx.x; base * 4 < v; base += 256 * kAhead) {
    float x[kAhead * 4];
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const int64_t j = (base + i * 256) * 4;
      if (vectors && j < v) {
        *reinterpret_cast<float4*>(x + i * 4) = *reinterpret_cast<const float4*>(row + j);
      } else {
#pragma unroll
        for (int k = 0; k < 4; ++k) x[i * 4 + k] = j + k < v ? row[j + k] : -INFINITY;
      }
    }
    take(x);
  }
  r = over_block(r, shared);
  if (threadIdx.x) return;
  const int32_t target = targets[blockIdx.x];
  const bool has = target >= 0 && target < v;
  store_stats(r, has ? row[target] : 0.f, has, blockIdx.x, logp, lse, entropy);
}

constexpr int kHeld = 32;  // logits a thread of step_kernel holds

// stats_kernel and dz_kernel with dlogp alone, for v <= kHeld · threads and v % 8 = 0: a row stays in registers between the two.
template <class T>
__global__ void __launch_bounds__(1024) step_kernel(const float* z, T* dz, const int32_t* targets, const float* dlogp, float* logp, float* lse,
                                                    float* entropy, int64_t v) {
  __shared__ Running shared[32];
  const float* row = z + blockIdx.x * v;
  float x[kHeld];
#pragma unroll
  for (int i = 0; i < kHeld; i += 8) {
    const int64_t j = (int64_t(i / 8) * blockDim.x + threadIdx.x) * 8;
    if (j < v) {
      *reinterpret_cast<float4*>(x + i) = *reinterpret_cast<const float4*>(row + j);
      *reinterpret_cast<float4*>(x + i + 4) = *reinterpret_cast<const float4*>(row + j + 4);
    } else {
#pragma unroll
      for (int k = 0; k < 8; ++k) x[i + k] = -INFINITY;
    }
  }
  const int32_t target = targets[blockIdx.x];
  const bool has = target >= 0 && target < v;
  // Read before the row may be overwritten.
  const float at_target = has ? row[target] : 0.f, g = has ? dlogp[blockIdx.x] : 0.f;
  Running r{-INFINITY, 0, 0};
#pragma unroll
  for (int i = 0; i < kHeld; ++i) r.m = fmaxf(r.m, x[i]);
  if (r.m != -INFINITY) {
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      const float e = exp2_fast((x[i] - r.m) * kLog2e);
      r.s += e;
      if (e > 0.f) r.t = fmaf(e, x[i], r.t);
    }
  }
  r = over_block(r, shared);
  if (threadIdx.x == 0) store_stats(r, at_target, has, blockIdx.x, logp, lse, entropy);
  const float shift = (r.m + logf(r.s)) * kLog2e;
  T* to = dz + blockIdx.x * v;
#pragma unroll
  for (int i = 0; i < kHeld; i += 8) {
    const int64_t j = (int64_t(i / 8) * blockDim.x + threadIdx.x) * 8;
    if (j >= v) break;
#pragma unroll
    for (int k = 0; k < 8; ++k) x[i + k] = (j + k == target ? g : 0.f) - g * exp2_fast(fmaf(x[i + k], kLog2e, -shift));
#pragma unroll
    for (int k = 0; k < 8; k += kVec<T>) store_vec(to + j + k, reinterpret_cast<float(&)[kVec<T>]>(x[i + k]));
  }
}

// dz from z; in place when T is float and dz = z.
template <class T>
__global__ void dz_kernel(const float* z, T* dz, const int32_t* targets, const float* lse, const float* entropy, const float* dlogp, const float* dlse,
                          const float* dentropy, int64_t v) {
  const int64_t row = blockIdx.y;
  const int32_t target = targets[row];
  const float l = lse[row], h = entropy[row], gp = dlogp && target >= 0 ? dlogp[row] : 0.f, gl = dlse ? dlse[row] : 0.f,
              ge = dentropy ? dentropy[row] : 0.f;
  const float* from = z + row * v;
  T* to = dz + row * v;
  auto value = [&](int64_t j, float x) {
    float logp_j = x - l, p = expf(logp_j);
    float d = (gl - gp) * p;
    if (j == target) d += gp;
    if (ge != 0.f && p > 0.f) d -= ge * p * (logp_j + h);
    return d;
  };
  const bool vectors = v % 8 == 0;
  for (int64_t j = (int64_t(blockIdx.x) * blockDim.x + threadIdx.x) * 8; j < v; j += int64_t(gridDim.x) * blockDim.x * 8) {
    if (vectors) {
      float e[8];
      *reinterpret_cast<float4*>(e) = *reinterpret_cast<const float4*>(from + j);
      *reinterpret_cast<float4*>(e + 4) = *reinterpret_cast<const float4*>(from + j + 4);
#pragma unroll
      for (int i = 0; i < 8; ++i) e[i] = value(j + i, e[i]);
#pragma unroll
      for (int i = 0; i < 8; i += kVec<T>) store_vec(to + j + i, reinterpret_cast<float(&)[kVec<T>]>(e[i]));
    } else {
      for (int64_t i = j; i < min(v, j + 8); ++i) from_float(value(i, from[i]), to[i]);
    }
  }
}

NsaBuf rows_of(const NsaBuf& b, int64_t first, int64_t rows, int64_t cols) {
  NsaBuf r = b;
  r.ptr = static_cast<char*>(b.ptr) + first * cols * (b.dtype == NSA_BF16 ? 2 : 4);
  r.numel = rows * cols;
  return r;
}
NsaBuf buffer(void* p, int64_t numel, int32_t dtype) { return {p, numel, dtype, 0}; }

int matmul(void* ctx, NsaBuf a, NsaBuf b, NsaBuf c, int64_t m, int64_t n, int64_t k, bool ta, bool tb, double alpha, double beta) {
  Nsa_gemm_params g{};
  g.a = a, g.b = b, g.c = c, g.m = m, g.n = n, g.k = k, g.alpha = alpha, g.beta = beta;
  g.lda = ta ? m : k, g.ldb = tb ? k : n, g.ldc = n, g.trans_a = ta, g.trans_b = tb;
  return gemm(ctx, &g);
}

template <class P>
const char* fault(const P& p) {
  if (p.h.numel < p.n * p.d || p.w.numel < p.v * p.d || p.targets.numel < p.n || p.lse.numel < p.n || p.entropy.numel < p.n)
    return "lm_head: a tensor is too short";
  if (p.logits.ptr && (p.logits.numel < p.n * p.v || p.logits.dtype != NSA_F32)) return "lm_head: logits are f32 [n, v]";
  if (p.dh.ptr && (p.dh.numel < p.n * p.d || p.dw.numel < p.v * p.d)) return "lm_head: a gradient is too short";
  if (p.dw.ptr && p.dw.dtype != NSA_F32) return "lm_head accumulates dw in f32";
  return nullptr;
}

int64_t chunk_rows(int64_t n, int64_t v) { return std::max<int64_t>(1, std::min(n, kChunkBytes / (v * 4))); }

float* f32_at(const NsaBuf& b, int64_t from) { return b.ptr ? static_cast<float*>(b.ptr) + from : nullptr; }

template <class P>
int logits_of(void* ctx, const P& p, float* z, int64_t from, int64_t rows) {
  return matmul(ctx, rows_of(p.h, from, rows, p.d), p.w, buffer(z, rows * p.v, NSA_F32), rows, p.v, p.d, false, true, p.inv_temperature, 0);
}

// The gradient of the logits in the dtype of the products it goes into: in place of z, or in `narrow`.
template <class P>
NsaBuf slope_of(const P& p, float* z, const Scratch& narrow, int64_t rows) {
  return narrow.as<void>() ? buffer(narrow.as<void>(), rows * p.v, NSA_BF16) : buffer(z, rows * p.v, NSA_F32);
}
template <class P>
bool is_low(const P& p) {
  return p.h.dtype == NSA_BF16 && p.w.dtype == NSA_BF16;
}

template <class P>
int slope(void* ctx, const P& p, const float* z, const NsaBuf& dz, int64_t from, int64_t rows, const NsaBuf& dlse, const NsaBuf& dentropy) {
  const auto* targets = static_cast<const int32_t*>(p.targets.ptr) + from;
  const dim3 grid(unsigned(std::min<int64_t>(ceil_div(p.v, kThreads * 8), 64)), unsigned(rows));
  with_float_type(dz.dtype, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    dz_kernel<T><<<grid, kThreads, 0, context(ctx).stream>>>(z, static_cast<T*>(dz.ptr), targets, f32_at(p.lse, from), f32_at(p.entropy, from),
                                                             f32_at(p.dlogp, from), f32_at(dlse, from), f32_at(dentropy, from), p.v);
  });
  return launched(ctx);
}

// dh = inv_temperature·dz·w, dw += inv_temperature·dzᵀ·h for rows of a chunk.
template <class P>
int gradients(void* ctx, const P& p, const NsaBuf& dz, int64_t from, int64_t rows) {
  if (int status = matmul(ctx, dz, p.w, rows_of(p.dh, from, rows, p.d), rows, p.d, p.v, false, false, p.inv_temperature, 0)) return status;
  return matmul(ctx, dz, rows_of(p.h, from, rows, p.d), p.dw, p.v, p.d, rows, true, false, p.inv_temperature, 1);
}

void stats(void* ctx, const Nsa_lm_head_fwd_params& p, const float* z, int64_t from, int64_t rows) {
  stats_kernel<<<unsigned(rows), 256, 0, context(ctx).stream>>>(z, static_cast<const int32_t*>(p.targets.ptr) + from, f32_at(p.logp, from),
                                                                f32_at(p.lse, from), f32_at(p.entropy, from), p.v);
}

// Statistics and the gradient of the logits of one chunk.
int step(void* ctx, const Nsa_lm_head_fwd_params& p, const float* z, const NsaBuf& dz, int64_t from, int64_t rows) {
  const auto threads = unsigned(std::max<int64_t>(64, ceil_div(p.v, kHeld * 32) * 32));
  if (threads > 1024 || p.v % 8 != 0 || !aligned16(z)) {
    stats(ctx, p, z, from, rows);
    return slope(ctx, p, z, dz, from, rows, {}, {});
  }
  with_float_type(dz.dtype, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    step_kernel<T><<<unsigned(rows), threads, 0, context(ctx).stream>>>(z, static_cast<T*>(dz.ptr), static_cast<const int32_t*>(p.targets.ptr) + from,
                                                                        f32_at(p.dlogp, from), f32_at(p.logp, from), f32_at(p.lse, from),
                                                                        f32_at(p.entropy, from), p.v);
  });
  return launched(ctx);
}

int fwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_lm_head_fwd_params*>(params);
  if (const char* why = fault(p)) return bad_argument(ctx, why);
  const bool both = p.dlogp.ptr != nullptr;
  if (p.logp.numel < p.n || (both && (p.dlogp.numel < p.n || !p.dh.ptr || !p.dw.ptr))) return bad_argument(ctx, "lm_head: a tensor is too short");
  if (p.n == 0) return NSA_OK;
  // Kept logits are made by one matmul. A row is a block of the grid's y in the gradient.
  const int64_t chunk = both ? std::min<int64_t>(chunk_rows(p.n, p.v), 65535) : p.logits.ptr ? p.n : chunk_rows(p.n, p.v);
  Scratch own(ctx, p.logits.ptr ? 0 : size_t(chunk * p.v) * 4), narrow(ctx, both && is_low(p) ? size_t(chunk * p.v) * 2 : 0);
  if (!own || !narrow) return out_of_memory(ctx);
  for (int64_t from = 0; from < p.n; from += chunk) {
    const int64_t rows = std::min(chunk, p.n - from);
    float* z = p.logits.ptr ? static_cast<float*>(p.logits.ptr) + from * p.v : own.as<float>();
    if (int status = logits_of(ctx, p, z, from, rows)) return status;
    if (!both) {
      stats(ctx, p, z, from, rows);
      continue;
    }
    const NsaBuf dz = slope_of(p, z, narrow, rows);
    if (int status = step(ctx, p, z, dz, from, rows)) return status;
    if (int status = gradients(ctx, p, dz, from, rows)) return status;
  }
  return launched(ctx);
}

int bwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_lm_head_bwd_params*>(params);
  if (const char* why = fault(p)) return bad_argument(ctx, why);
  if (p.n == 0) return NSA_OK;
  const int64_t chunk = std::min<int64_t>(chunk_rows(p.n, p.v), 65535);
  Scratch own(ctx, p.logits.ptr ? 0 : size_t(chunk * p.v) * 4), narrow(ctx, is_low(p) ? size_t(chunk * p.v) * 2 : 0);
  if (!own || !narrow) return out_of_memory(ctx);
  for (int64_t from = 0; from < p.n; from += chunk) {
    const int64_t rows = std::min(chunk, p.n - from);
    float* z = p.logits.ptr ? static_cast<float*>(p.logits.ptr) + from * p.v : own.as<float>();
    if (!p.logits.ptr)
      if (int status = logits_of(ctx, p, z, from, rows)) return status;
    const NsaBuf dz = slope_of(p, z, narrow, rows);
    if (int status = slope(ctx, p, z, dz, from, rows, p.dlse, p.dentropy)) return status;
    if (int status = gradients(ctx, p, dz, from, rows)) return status;
  }
  return launched(ctx);
}

}  // namespace

void register_lm_head(NsaOpFn* ops) {
  ops[NSA_OP_lm_head_fwd] = fwd;
  ops[NSA_OP_lm_head_bwd] = bwd;
}

}  // namespace nsa::cuda
