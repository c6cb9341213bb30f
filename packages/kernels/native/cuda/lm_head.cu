// lm_head_fwd, lm_head_bwd: a matmul into a chunk of f32 logits, then one pass for log-probability, lse and entropy.
//
// Rows are taken in chunks of at most kChunkBytes of logits, so nothing of size [n, v] is stored unless the caller asks. A forward that
// knows dlogp reads each chunk once for statistics and gradient both, where a block's registers hold a row. Rows of chunks start on
// 32 bytes whatever the vocabulary: a matmul over rows of 2 or 4 bytes' alignment takes ten times as long.
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

__global__ void __launch_bounds__(256) stats_kernel(const float* z, const int32_t* targets, float* logp, float* lse, float* entropy, int64_t v, int64_t ld) {
  __shared__ Running shared[32];
  const float* row = z + blockIdx.x * ld;
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
  const bool vectors = ld % 4 == 0 && (reinterpret_cast<uintptr_t>(row) & 15) == 0;
  for (int64_t base = threadIdx.x; base * 4 < v; base += 256 * kAhead) {
    float x[kAhead * 4];
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const int64_t j = (base + i * 256) * 4;
      if (vectors && j < v) {
        *reinterpret_cast<float4*>(x + i * 4) = *reinterpret_cast<const float4*>(row + j);
#pragma unroll
        for (int k = 1; k < 4; ++k)
          if (j + k >= v) x[i * 4 + k] = -INFINITY;
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

// stats_kernel and dz_kernel with dlogp alone, for v <= kHeld · threads and ld % 8 = 0: a row stays in registers between the two.
template <class T>
__global__ void __launch_bounds__(1024) step_kernel(const float* z, T* dz, const int32_t* targets, const float* dlogp, float* logp, float* lse,
                                                    float* entropy, int64_t v, int64_t ld) {
  __shared__ Running shared[32];
  const float* row = z + blockIdx.x * ld;
  float x[kHeld];
#pragma unroll
  for (int i = 0; i < kHeld; i += 8) {
    const int64_t j = (int64_t(i / 8) * blockDim.x + threadIdx.x) * 8;
    if (j < v) {
      *reinterpret_cast<float4*>(x + i) = *reinterpret_cast<const float4*>(row + j);
      *reinterpret_cast<float4*>(x + i + 4) = *reinterpret_cast<const float4*>(row + j + 4);
#pragma unroll
      for (int k = 1; k < 8; ++k)
        if (j + k >= v) x[i + k] = -INFINITY;
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
  T* to = dz + blockIdx.x * ld;
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
                          const float* dentropy, int64_t v, int64_t ldz, int64_t ld) {
  const int64_t row = blockIdx.y;
  const int32_t target = targets[row];
  const float l = lse[row], h = entropy[row], gp = dlogp && target >= 0 ? dlogp[row] : 0.f, gl = dlse ? dlse[row] : 0.f,
              ge = dentropy ? dentropy[row] : 0.f;
  const float* from = z + row * ldz;
  T* to = dz + row * ld;
  auto value = [&](int64_t j, float x) {
    float logp_j = x - l, p = expf(logp_j);
    float d = (gl - gp) * p;
    if (j == target) d += gp;
    if (ge != 0.f && p > 0.f) d -= ge * p * (logp_j + h);
    return d;
  };
  // What lies between v and ld is read and written, but nobody's.
  const bool vectors = ldz % 8 == 0 && ld % 8 == 0;
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

// c[m, n] = alpha·op(a)·op(b) + beta·c; b is stored densely.
int matmul(void* ctx, NsaBuf a, int64_t lda, NsaBuf b, NsaBuf c, int64_t ldc, int64_t m, int64_t n, int64_t k, bool ta, bool tb, double alpha,
           double beta) {
  Nsa_gemm_params g{};
  g.a = a, g.b = b, g.c = c, g.m = m, g.n = n, g.k = k, g.alpha = alpha, g.beta = beta;
  g.lda = lda, g.ldb = tb ? k : n, g.ldc = ldc, g.trans_a = ta, g.trans_b = tb;
  return gemm(ctx, &g);
}

template <class P>
const char* fault(const P& p) {
  if (p.h.numel < p.n * p.d || p.w.numel < p.v * p.d || p.targets.numel < p.n || p.lse.numel < p.n || p.entropy.numel < p.n)
    return "lm_head: a tensor is too short";
  if (p.logits.ptr && (p.logits.numel < p.n * p.v || p.logits.dtype != NSA_F32)) return "lm_head: logits are f32 [n, v]";
  if (p.dh.ptr && (p.dh.numel < p.n * p.d || (p.dw.ptr && p.dw.numel < p.v * p.d))) return "lm_head: a gradient is too short";
  if (p.dw.ptr && p.dw.dtype != NSA_F32) return "lm_head accumulates dw in f32";
  return nullptr;
}

int64_t padded(int64_t v) { return ceil_div(v, 8) * 8; }
int64_t chunk_rows(int64_t n, int64_t v) { return std::max<int64_t>(1, std::min(n, kChunkBytes / (padded(v) * 4))); }

float* f32_at(const NsaBuf& b, int64_t from) { return b.ptr ? static_cast<float*>(b.ptr) + from : nullptr; }

template <class P>
bool is_low(const P& p) {
  return p.h.dtype == NSA_BF16 && p.w.dtype == NSA_BF16;
}

// Rows [from, from + rows) on their way: f32 logits z and, in the dtype of the products it goes into, their gradient dz.
struct Chunk {
  int64_t from, rows;
  float* z;
  int64_t ldz;
  NsaBuf dz;
  int64_t ld;
};
template <class P>
Chunk chunk_of(const P& p, bool kept, int64_t ldz, const Scratch& own, const Scratch& narrow, int64_t from, int64_t rows) {
  Chunk c{from, rows, kept ? static_cast<float*>(p.logits.ptr) + from * ldz : own.as<float>(), ldz, {}, 0};
  const bool low = narrow.as<void>() != nullptr;
  c.ld = low ? padded(p.v) : c.ldz;
  c.dz = low ? buffer(narrow.as<void>(), rows * c.ld, NSA_BF16) : buffer(c.z, rows * c.ld, NSA_F32);
  return c;
}

template <class P>
int logits_of(void* ctx, const P& p, const Chunk& c) {
  return matmul(ctx, rows_of(p.h, c.from, c.rows, p.d), p.d, p.w, buffer(c.z, c.rows * c.ldz, NSA_F32), c.ldz, c.rows, p.v, p.d, false, true,
                p.inv_temperature, 0);
}

template <class P>
int slope(void* ctx, const P& p, const Chunk& c, const NsaBuf& dlse, const NsaBuf& dentropy) {
  const auto* targets = static_cast<const int32_t*>(p.targets.ptr) + c.from;
  const dim3 grid(unsigned(std::min<int64_t>(ceil_div(p.v, kThreads * 8), 64)), unsigned(c.rows));
  with_float_type(c.dz.dtype, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    dz_kernel<T><<<grid, kThreads, 0, context(ctx).stream>>>(c.z, static_cast<T*>(c.dz.ptr), targets, f32_at(p.lse, c.from), f32_at(p.entropy, c.from),
                                                             f32_at(p.dlogp, c.from), f32_at(dlse, c.from), f32_at(dentropy, c.from), p.v, c.ldz, c.ld);
  });
  return launched(ctx);
}

// dh = inv_temperature·dz·w, dw += inv_temperature·dzᵀ·h for the rows of a chunk.
template <class P>
int gradients(void* ctx, const P& p, const Chunk& c) {
  const NsaBuf dh = rows_of(p.dh, c.from, c.rows, p.d), h = rows_of(p.h, c.from, c.rows, p.d);
  if (int status = matmul(ctx, c.dz, c.ld, p.w, dh, p.d, c.rows, p.d, p.v, false, false, p.inv_temperature, 0)) return status;
  if (!p.dw.ptr) return NSA_OK;
  return matmul(ctx, c.dz, c.ld, h, p.dw, p.d, p.v, p.d, c.rows, true, false, p.inv_temperature, 1);
}

void stats(void* ctx, const Nsa_lm_head_fwd_params& p, const Chunk& c) {
  stats_kernel<<<unsigned(c.rows), 256, 0, context(ctx).stream>>>(c.z, static_cast<const int32_t*>(p.targets.ptr) + c.from, f32_at(p.logp, c.from),
                                                                  f32_at(p.lse, c.from), f32_at(p.entropy, c.from), p.v, c.ldz);
}

// Statistics and the gradient of the logits of a chunk.
int step(void* ctx, const Nsa_lm_head_fwd_params& p, const Chunk& c) {
  const auto threads = unsigned(std::max<int64_t>(64, ceil_div(p.v, kHeld * 32) * 32));
  if (threads > 1024) {
    stats(ctx, p, c);
    return slope(ctx, p, c, {}, {});
  }
  with_float_type(c.dz.dtype, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    step_kernel<T><<<unsigned(c.rows), threads, 0, context(ctx).stream>>>(c.z, static_cast<T*>(c.dz.ptr), static_cast<const int32_t*>(p.targets.ptr) + c.from,
                                                                          f32_at(p.dlogp, c.from), f32_at(p.logp, c.from), f32_at(p.lse, c.from),
                                                                          f32_at(p.entropy, c.from), p.v, c.ld);
  });
  return launched(ctx);
}

int fwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_lm_head_fwd_params*>(params);
  if (const char* why = fault(p)) return bad_argument(ctx, why);
  const bool both = p.dlogp.ptr != nullptr;
  // With a slope the logits are used up here: their memory holds them on their way, rows padded, where it is large enough.
  const int64_t ldz = both || !p.logits.ptr ? padded(p.v) : p.v;
  const bool kept = p.logits.ptr && p.logits.numel >= p.n * ldz;
  if (p.logp.numel < p.n || (both && (p.dlogp.numel < p.n || !p.dh.ptr))) return bad_argument(ctx, "lm_head: a tensor is too short");
  if (p.n == 0) return NSA_OK;
  // Kept logits are made by one matmul. A row is a block of the grid's y in the gradient.
  const int64_t chunk = kept && !both ? p.n : std::min<int64_t>(chunk_rows(p.n, p.v), 65535), floats = chunk * padded(p.v);
  Scratch own(ctx, kept ? 0 : size_t(floats) * 4), narrow(ctx, both && is_low(p) ? size_t(floats) * 2 : 0);
  if (!own || !narrow) return out_of_memory(ctx);
  for (int64_t from = 0; from < p.n; from += chunk) {
    const Chunk c = chunk_of(p, kept, ldz, own, narrow, from, std::min(chunk, p.n - from));
    if (int status = logits_of(ctx, p, c)) return status;
    if (!both) {
      stats(ctx, p, c);
      continue;
    }
    if (int status = step(ctx, p, c)) return status;
    if (int status = gradients(ctx, p, c)) return status;
  }
  return launched(ctx);
}

int bwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_lm_head_bwd_params*>(params);
  if (const char* why = fault(p)) return bad_argument(ctx, why);
  if (p.n == 0) return NSA_OK;
  const bool kept = p.logits.ptr != nullptr;
  const int64_t chunk = std::min<int64_t>(chunk_rows(p.n, p.v), 65535), floats = chunk * padded(p.v);
  Scratch own(ctx, kept ? 0 : size_t(floats) * 4), narrow(ctx, is_low(p) ? size_t(floats) * 2 : 0);
  if (!own || !narrow) return out_of_memory(ctx);
  for (int64_t from = 0; from < p.n; from += chunk) {
    const Chunk c = chunk_of(p, kept, kept ? p.v : padded(p.v), own, narrow, from, std::min(chunk, p.n - from));
    if (!kept)
      if (int status = logits_of(ctx, p, c)) return status;
    if (int status = slope(ctx, p, c, p.dlse, p.dentropy)) return status;
    if (int status = gradients(ctx, p, c)) return status;
  }
  return launched(ctx);
}

}  // namespace

void register_lm_head(NsaOpFn* ops) {
  ops[NSA_OP_lm_head_fwd] = fwd;
  ops[NSA_OP_lm_head_bwd] = bwd;
}

}  // namespace nsa::cuda
