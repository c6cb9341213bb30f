// optim_prepare, adamw: clipping and decoupled AdamW with lr, step, clip scale and skip flag read from device memory.
#include <cmath>
#include <type_traits>

#include "cuda/convert.h"
#include "cuda/families.h"
#include "cuda/launch.h"
#include "nsa/philox.h"

namespace nsa::cuda {
namespace {

__global__ void prepare_kernel(const void* sumsq, bool f64, const float* losses, int64_t n_losses, float* state, double max_norm,
                               double grad_scale) {
  double total = f64 ? *static_cast<const double*>(sumsq) : double(*static_cast<const float*>(sumsq));
  double norm = sqrt(total) * grad_scale;
  double clip = max_norm > 0 ? fmin(1.0, max_norm / (norm + 1e-6)) : 1.0;
  state[2] = float(grad_scale * clip);
  bool finite = isfinite(norm);
  for (int64_t i = 0; i < n_losses; ++i) finite = finite && isfinite(losses[i]);
  state[3] = !finite ? 1.f : state[5] > 0.f && norm > double(state[5]) ? 2.f : 0.f;
  state[4] = float(norm);
}

int prepare(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_optim_prepare_params*>(params);
  if (p.state.numel < 6 || p.sumsq.numel < 1) return bad_argument(ctx, "optim_prepare: sizes");
  if (p.state.dtype != NSA_F32 || (p.losses.ptr && p.losses.dtype != NSA_F32)) return unsupported(ctx, "the optimizer's state and losses are f32");
  prepare_kernel<<<1, 1, 0, context(ctx).stream>>>(p.sumsq.ptr, p.sumsq.dtype == NSA_F64, static_cast<const float*>(p.losses.ptr),
                                                   p.losses.ptr ? p.losses.numel : 0, static_cast<float*>(p.state.ptr), p.max_norm, p.grad_scale);
  return launched(ctx);
}

// Adds 16 random bits below the last kept one and truncates: unbiased.
__device__ inline bf16 round_stochastically(float f, uint32_t random) {
  uint32_t u = __float_as_uint(f);
  if ((u & 0x7f800000u) == 0x7f800000u) return __float2bfloat16_rn(f);
  return __ushort_as_bfloat16(uint16_t((u + (random & 0xffffu)) >> 16));
}
__device__ inline void set_moment(bf16& m, float x, uint32_t random) { m = round_stochastically(x, random); }
__device__ inline void set_moment(float& m, float x, uint32_t) { m = x; }

struct Rates {
  float lr_mult, beta1, beta2, rest1, rest2, eps, weight_decay;  // rest = 1 − beta, rounded once
  double log_beta1, log_beta2;
  uint64_t seed;
};

// A thread takes two neighbouring elements, which share a Philox block.
template <class M, class G, class P>
__global__ void adamw_kernel(P* p, const G* g, M* m, M* v, bf16* low, const float* state, int64_t n, Rates r) {
  __shared__ float correct[2];
  if (threadIdx.x == 0) {
    correct[0] = float(1 / (1 - exp(r.log_beta1 * state[1])));
    correct[1] = float(1 / (1 - exp(r.log_beta2 * state[1])));
  }
  __syncthreads();
  if (state[3] != 0.f) return;
  const float lr = state[0] * r.lr_mult, clip = state[2], c1 = correct[0], c2 = correct[1];
  NSA_GRID_STRIDE(pair, (n + 1) / 2) {
    Philox bits{};
    if constexpr (sizeof(M) == 2) bits = philox(r.seed, kStreamRounding, uint32_t(state[1]), uint32_t(pair), uint32_t(uint64_t(pair) >> 32));
    int64_t at = 2 * pair;
    int count = at + 1 < n ? 2 : 1;
    auto update = [&](int64_t i, int k, float grad, float& w, float& mean, float& square) {
      grad *= clip;
      mean = r.beta1 * mean + r.rest1 * grad;
      square = r.beta2 * square + r.rest2 * grad * grad;
      w -= lr * (mean * c1 / (sqrtf(square * c2) + r.eps) + r.weight_decay * w);
    };
    for (int k = 0; k < count; ++k) {
      int64_t i = at + k;
      float w = to_float(p[i]), mean = to_float(m[i]), square = to_float(v[i]);
      update(i, k, to_float(g[i]), w, mean, square);
      set_moment(m[i], mean, bits.word[2 * k]);
      set_moment(v[i], square, bits.word[2 * k + 1]);
      from_float(w, p[i]);
      if (low) low[i] = __float2bfloat16_rn(w);
    }
  }
}

// f32 everywhere, four elements a thread.
__global__ void adamw_vec_kernel(float* p, const float* g, float* m, float* v, bf16* low, const float* state, int64_t vectors, Rates r) {
  __shared__ float correct[2];
  if (threadIdx.x == 0) {
    correct[0] = float(1 / (1 - exp(r.log_beta1 * state[1])));
    correct[1] = float(1 / (1 - exp(r.log_beta2 * state[1])));
  }
  __syncthreads();
  if (state[3] != 0.f) return;
  const float lr = state[0] * r.lr_mult, clip = state[2], c1 = correct[0], c2 = correct[1];
  NSA_GRID_STRIDE(i, vectors) {
    float w[4], grad[4], mean[4], square[4];
    load_vec(w, p + i * 4);
    load_vec(grad, g + i * 4);
    load_vec(mean, m + i * 4);
    load_vec(square, v + i * 4);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      float x = grad[j] * clip;
      mean[j] = r.beta1 * mean[j] + r.rest1 * x;
      square[j] = r.beta2 * square[j] + r.rest2 * x * x;
      w[j] -= lr * (mean[j] * c1 / (sqrtf(square[j] * c2) + r.eps) + r.weight_decay * w[j]);
    }
    store_vec(p + i * 4, w);
    store_vec(m + i * 4, mean);
    store_vec(v + i * 4, square);
    if (low) {
      __nv_bfloat162 pairs[2] = {__floats2bfloat162_rn(w[0], w[1]), __floats2bfloat162_rn(w[2], w[3])};
      *reinterpret_cast<uint2*>(low + i * 4) = *reinterpret_cast<uint2*>(pairs);
    }
  }
}

__global__ void copy_unless_skipped_kernel(const float* from, float* to, const float* state, int64_t n) {
  if (state[3] != 0.f) return;
  NSA_GRID_STRIDE(i, n) to[i] = from[i];
}

int adamw(void* ctx, const void* params) {
  const auto& a = *static_cast<const Nsa_adamw_params*>(params);
  int64_t n = a.p.numel;
  if (a.g.numel != n || a.m.numel != n || a.v.numel != n || a.state.numel < 5 || (a.p_low.ptr && a.p_low.numel != n))
    return bad_argument(ctx, "adamw: sizes differ");
  if (a.state.dtype != NSA_F32 || a.m.dtype != a.v.dtype || (a.p_low.ptr && a.p_low.dtype != NSA_BF16 && a.p_low.dtype != a.p.dtype))
    return unsupported(ctx, "adamw takes f32 state, equal moments and a bf16 copy");
  if (n == 0) return NSA_OK;
  if (a.p_low.ptr && a.p_low.dtype == NSA_F32) {
    Nsa_adamw_params plain = a;
    plain.p_low = NsaBuf{};
    if (int status = adamw(ctx, &plain)) return status;
    copy_unless_skipped_kernel<<<grid_for(ctx, n), kThreads, 0, context(ctx).stream>>>(static_cast<const float*>(a.p.ptr), static_cast<float*>(a.p_low.ptr),
                                                                                       static_cast<const float*>(a.state.ptr), n);
    return launched(ctx);
  }
  Rates r{float(a.lr_mult), float(a.beta1), float(a.beta2), float(1 - a.beta1), float(1 - a.beta2), float(a.eps), float(a.weight_decay),
          std::log(a.beta1), std::log(a.beta2), uint64_t(a.seed)};
  auto stream = context(ctx).stream;
  auto* low = static_cast<bf16*>(a.p_low.ptr);
  auto* state = static_cast<const float*>(a.state.ptr);
  bool aligned = n % 4 == 0 && aligned16(a.p.ptr) && aligned16(a.g.ptr) && aligned16(a.m.ptr) && aligned16(a.v.ptr) && (reinterpret_cast<uintptr_t>(low) & 7) == 0;
  if (aligned && a.p.dtype == NSA_F32 && a.g.dtype == NSA_F32 && a.m.dtype == NSA_F32) {
    adamw_vec_kernel<<<grid_for(ctx, n / 4), kThreads, 0, stream>>>(static_cast<float*>(a.p.ptr), static_cast<const float*>(a.g.ptr), static_cast<float*>(a.m.ptr),
                                                                    static_cast<float*>(a.v.ptr), low, state, n / 4, r);
    return launched(ctx);
  }
  bool ok = false;
  with_float_type(a.m.dtype, [&](auto* mt) {
    using M = std::remove_pointer_t<decltype(mt)>;
    with_float_type(a.g.dtype, [&](auto* gt) {
      using G = std::remove_pointer_t<decltype(gt)>;
      ok = with_float_type(a.p.dtype, [&](auto* pt) {
        using P = std::remove_pointer_t<decltype(pt)>;
        adamw_kernel<M, G, P><<<grid_for(ctx, n / 2 + 1), kThreads, 0, stream>>>(static_cast<P*>(a.p.ptr), static_cast<const G*>(a.g.ptr),
                                                                                 static_cast<M*>(a.m.ptr), static_cast<M*>(a.v.ptr), low, state, n, r);
      });
    });
  });
  return ok ? launched(ctx) : unsupported(ctx, "adamw takes f32 and bf16");
}

}  // namespace

void register_optim(NsaOpFn* ops) {
  ops[NSA_OP_optim_prepare] = prepare;
  ops[NSA_OP_adamw] = adamw;
}

}  // namespace nsa::cuda
