// lm_head_fwd, lm_head_bwd: a matmul into a chunk of f32 logits, then one pass for log-probability, lse and entropy.
//
// Rows are taken in chunks of at most kChunkBytes of logits, so nothing of size [n, v] is stored unless the caller asks.
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

__global__ void __launch_bounds__(256) stats_kernel(const float* z, const int32_t* targets, float* logp, float* lse, float* entropy, int64_t v) {
  __shared__ Running shared[256];
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
  shared[threadIdx.x] = r;
  __syncthreads();
  for (int half = 128; half > 0; half >>= 1) {
    if (int(threadIdx.x) < half) shared[threadIdx.x] = join(shared[threadIdx.x], shared[threadIdx.x + half]);
    __syncthreads();
  }
  if (threadIdx.x) return;
  r = shared[0];
  float l = r.m + logf(r.s);
  int32_t target = targets[blockIdx.x];
  logp[blockIdx.x] = target < 0 || target >= v ? 0.f : row[target] - l;
  lse[blockIdx.x] = l;
  entropy[blockIdx.x] = l - r.t / r.s;
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
  return nullptr;
}

int64_t chunk_rows(int64_t n, int64_t v) { return std::max<int64_t>(1, std::min(n, kChunkBytes / (v * 4))); }

int fwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_lm_head_fwd_params*>(params);
  if (const char* why = fault(p)) return bad_argument(ctx, why);
  if (p.logp.numel < p.n) return bad_argument(ctx, "lm_head: a tensor is too short");
  if (p.n == 0) return NSA_OK;
  int64_t chunk = p.logits.ptr ? p.n : chunk_rows(p.n, p.v);
  Scratch own(ctx, p.logits.ptr ? 0 : size_t(chunk * p.v) * 4);
  if (!own) return out_of_memory(ctx);
  for (int64_t from = 0; from < p.n; from += chunk) {
    int64_t rows = std::min(chunk, p.n - from);
    float* z = p.logits.ptr ? static_cast<float*>(p.logits.ptr) : own.as<float>();
    int status = matmul(ctx, rows_of(p.h, from, rows, p.d), p.w, buffer(z, rows * p.v, NSA_F32), rows, p.v, p.d, false, true, p.inv_temperature, 0);
    if (status != NSA_OK) return status;
    auto f32 = [from](const NsaBuf& b) { return static_cast<float*>(b.ptr) + from; };
    stats_kernel<<<unsigned(rows), 256, 0, context(ctx).stream>>>(z, static_cast<const int32_t*>(p.targets.ptr) + from, f32(p.logp), f32(p.lse),
                                                                  f32(p.entropy), p.v);
  }
  return launched(ctx);
}

int bwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_lm_head_bwd_params*>(params);
  if (const char* why = fault(p)) return bad_argument(ctx, why);
  if (p.dw.dtype != NSA_F32) return unsupported(ctx, "lm_head_bwd accumulates dw in f32");
  if (p.n == 0) return NSA_OK;
  bool low = p.h.dtype == NSA_BF16 && p.w.dtype == NSA_BF16;
  int64_t chunk = std::min<int64_t>(chunk_rows(p.n, p.v), 65535);
  Scratch own(ctx, p.logits.ptr ? 0 : size_t(chunk * p.v) * 4), narrow(ctx, low ? size_t(chunk * p.v) * 2 : 0);
  if (!own || !narrow) return out_of_memory(ctx);
  auto stream = context(ctx).stream;
  for (int64_t from = 0; from < p.n; from += chunk) {
    int64_t rows = std::min(chunk, p.n - from);
    NsaBuf h = rows_of(p.h, from, rows, p.d);
    float* z = p.logits.ptr ? static_cast<float*>(p.logits.ptr) + from * p.v : own.as<float>();
    if (!p.logits.ptr) {
      int status = matmul(ctx, h, p.w, buffer(z, rows * p.v, NSA_F32), rows, p.v, p.d, false, true, p.inv_temperature, 0);
      if (status != NSA_OK) return status;
    }
    auto f32 = [from](const NsaBuf& b) { return b.ptr ? static_cast<const float*>(b.ptr) + from : nullptr; };
    auto* targets = static_cast<const int32_t*>(p.targets.ptr) + from;
    dim3 grid(unsigned(std::min<int64_t>(ceil_div(p.v, kThreads * 8), 64)), unsigned(rows));
    NsaBuf dz = buffer(low ? narrow.as<void>() : z, rows * p.v, low ? NSA_BF16 : NSA_F32);
    if (low)
      dz_kernel<bf16><<<grid, kThreads, 0, stream>>>(z, narrow.as<bf16>(), targets, f32(p.lse), f32(p.entropy), f32(p.dlogp), f32(p.dlse),
                                                     f32(p.dentropy), p.v);
    else
      dz_kernel<float><<<grid, kThreads, 0, stream>>>(z, z, targets, f32(p.lse), f32(p.entropy), f32(p.dlogp), f32(p.dlse), f32(p.dentropy), p.v);
    if (int status = launched(ctx)) return status;
    if (int status = matmul(ctx, dz, p.w, rows_of(p.dh, from, rows, p.d), rows, p.d, p.v, false, false, p.inv_temperature, 0)) return status;
    if (int status = matmul(ctx, dz, h, p.dw, p.v, p.d, rows, true, false, p.inv_temperature, 1)) return status;
  }
  return launched(ctx);
}

}  // namespace

void register_lm_head(NsaOpFn* ops) {
  ops[NSA_OP_lm_head_fwd] = fwd;
  ops[NSA_OP_lm_head_bwd] = bwd;
}

}  // namespace nsa::cuda
