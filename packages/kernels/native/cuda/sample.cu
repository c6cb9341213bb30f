// philox_normal; sample: Gumbel-max by token id after top-k, min-p and top-p, one block a row.
//
// The kept set is a prefix of the order (p descending, id ascending). A prefix is a threshold on an order-preserving integer
// key of the logit and the number of ties at it that stay; thresholds are found bit by bit with sums over the row.
#include <type_traits>

#include "cuda/convert.h"
#include "cuda/families.h"
#include "cuda/launch.h"
#include "nsa/philox.h"

namespace nsa::cuda {
namespace {

template <class T>
__global__ void normal_kernel(T* x, int64_t n, uint64_t seed, uint32_t stream, uint32_t step, double mean, double std) {
  const double two_pi = 6.283185307179586476925;
  NSA_GRID_STRIDE(pair, (n + 1) / 2) {
    Philox words = philox(seed, stream, step, uint32_t(pair), uint32_t(uint64_t(pair) >> 32));
    double r = sqrt(-2 * log(philox_uniform(words.word[0]))), s, c;
    sincos(two_pi * philox_uniform(words.word[1]), &s, &c);
    from_float(float(mean + std * r * c), x[2 * pair]);
    if (2 * pair + 1 < n) from_float(float(mean + std * r * s), x[2 * pair + 1]);
  }
}

int philox_normal(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_philox_normal_params*>(params);
  if (p.x.numel == 0) return NSA_OK;
  bool ok = with_float_type(p.x.dtype, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    normal_kernel<T><<<grid_for(ctx, p.x.numel / 2 + 1), kThreads, 0, context(ctx).stream>>>(
        static_cast<T*>(p.x.ptr), p.x.numel, uint64_t(p.seed), uint32_t(p.stream), uint32_t(p.step), p.mean, p.std);
  });
  return ok ? launched(ctx) : unsupported(ctx, "philox_normal takes f32 and bf16");
}

constexpr int kRow = 512;

// Sum over the block in a fixed tree; every thread gets it.
template <class S>
__device__ S block_total(S x) {
  __shared__ S shared[kRow];
  __syncthreads();
  shared[threadIdx.x] = x;
  __syncthreads();
  for (int half = kRow / 2; half > 0; half >>= 1) {
    if (int(threadIdx.x) < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    __syncthreads();
  }
  return shared[0];
}

// Larger score wins, then the lower id.
struct Best {
  double score;
  int64_t id;
};
__device__ Best block_best(Best b) {
  __shared__ Best shared[kRow];
  __syncthreads();
  shared[threadIdx.x] = b;
  __syncthreads();
  for (int half = kRow / 2; half > 0; half >>= 1) {
    if (int(threadIdx.x) < half) {
      Best &x = shared[threadIdx.x], y = shared[threadIdx.x + half];
      if (y.id >= 0 && (x.id < 0 || y.score > x.score || (y.score == x.score && y.id < x.id))) x = y;
    }
    __syncthreads();
  }
  return shared[0];
}

// Unsigned integers in the order of the floats.
__device__ inline uint32_t key_of(float z) {
  uint32_t u = __float_as_uint(z);
  return u & 0x80000000u ? ~u : u | 0x80000000u;
}
__device__ inline float value_of(uint32_t key) { return __uint_as_float(key & 0x80000000u ? key & 0x7fffffffu : ~key); }

template <class T>
__global__ void __launch_bounds__(kRow) sample_kernel(const T* logits, const float* params, const int64_t* seeds, const int32_t* request,
                                                      const int32_t* position, int32_t* ids, float* logp, float* kept_logmass, int64_t v) {
  const int64_t row = blockIdx.x;
  const T* z = logits + row * v;
  const float temperature = params[row * 4], top_p = params[row * 4 + 1], min_p = params[row * 4 + 2];
  const auto top_k = int64_t(params[row * 4 + 3]);
  const float scale = temperature > 0 ? 1 / temperature : 1.f;
  auto logit = [&](int64_t j) { return to_float(z[j]) * scale; };

  Best top{-INFINITY, -1};
  for (int64_t j = threadIdx.x; j < v; j += kRow) {
    double x = logit(j);
    if (top.id < 0 || x > top.score) top = {x, j};
  }
  top = block_best(top);
  const auto high = float(top.score);
  double sum = 0;
  for (int64_t j = threadIdx.x; j < v; j += kRow) sum += expf(logit(j) - high);
  const double total = block_total(sum), lse = high + log(total);

  int64_t drawn = top.id;
  double logmass = 0;
  if (temperature > 0) {
    uint32_t threshold = 0;  // keys above it stay, and `ties` of those equal to it
    int64_t ties = v;
    auto count_from = [&](uint32_t key) {
      int64_t n = 0;
      for (int64_t j = threadIdx.x; j < v; j += kRow) n += key_of(logit(j)) >= key;
      return block_total(n);
    };
    auto mass_from = [&](uint32_t key) {
      double mass = 0;
      for (int64_t j = threadIdx.x; j < v; j += kRow)
        if (key_of(logit(j)) >= key) mass += expf(logit(j) - high);
      return block_total(mass) / total;
    };
    bool filtered = false;
    if (top_k > 0 && top_k < v) {
      filtered = true;
      for (uint32_t bit = 0x80000000u; bit; bit >>= 1)
        if (count_from(threshold | bit) >= top_k) threshold |= bit;
      ties = top_k - (threshold == 0xffffffffu ? 0 : count_from(threshold + 1));
    }
    if (min_p > 0) {
      filtered = true;
      float bound = __double2float_ru(log(double(min_p)) + high);
      uint32_t key = key_of(bound);
      if (key > key_of(high)) key = key_of(high);
      if (key > threshold) threshold = key, ties = v;
    }
    if (top_p < 1) {
      filtered = true;
      uint32_t cut = 0;
      for (uint32_t bit = 0x80000000u; bit; bit >>= 1)
        if (mass_from(cut | bit) >= top_p) cut |= bit;
      double above = cut == 0xffffffffu ? 0 : mass_from(cut + 1), each = expf(value_of(cut) - high) / total;
      int64_t need = each > 0 ? max(int64_t(1), int64_t(ceil((top_p - above) / each))) : v;
      if (cut > threshold) threshold = cut, ties = need;
      else if (cut == threshold) ties = min(ties, need);
    }
    // The last id among ties that stays.
    int64_t last_tie = v;
    if (filtered) {
      auto ties_to = [&](int64_t id) {
        int64_t n = 0;
        for (int64_t j = threadIdx.x; j <= id && j < v; j += kRow) n += key_of(logit(j)) == threshold;
        return block_total(n);
      };
      if (ties < ties_to(v - 1)) {
        int64_t low = 0, up = v - 1;
        while (low < up) {
          int64_t mid = (low + up) / 2;
          if (ties_to(mid) >= ties) up = mid;
          else low = mid + 1;
        }
        last_tie = low;
      }
    }
    Best best{-INFINITY, -1};
    float reach = INFINITY;  // e^(top − best score), with a margin for rounding
    double mass = 0;
    int64_t kept = 0;
    const uint64_t seed = uint64_t(seeds[row]);
    for (int64_t quad = threadIdx.x; quad * 4 < v; quad += kRow) {
      Philox words{};
      bool made = false;
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int64_t j = quad * 4 + i;
        if (j >= v) continue;
        const float x = logit(j);
        uint32_t key = key_of(x);
        if (filtered && (key < threshold || (key == threshold && j > last_tie))) continue;
        if (!made) words = philox(seed, kStreamSample, uint32_t(request[row]), uint32_t(position[row]), uint32_t(quad)), made = true;
        if (filtered) mass += expf(x - high);
        ++kept;
        // The noise is at most −ln(1 − u): most words lose without their logarithms.
        const uint32_t word = words.word[i];
        if ((float(~word) + 0.5f) * 0x1p-32f > reach * expf(x - high)) continue;
        double score = double(x) - lse - log(-log(philox_uniform(word)));
        if (best.id < 0 || score > best.score) best = {score, j}, reach = 1.001f * float(exp(high - lse - score));
      }
    }
    best = block_best(best);
    if (best.id >= 0) drawn = best.id;
    mass = block_total(mass);
    kept = block_total(kept);
    if (filtered && kept < v) logmass = log(mass / total);
  } else if (v > 1) {
    logmass = double(logit(drawn)) - lse;
  }
  if (threadIdx.x) return;
  ids[row] = int32_t(drawn);
  logp[row] = float(double(logit(drawn)) - lse);
  kept_logmass[row] = float(logmass);
}

int sample(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_sample_params*>(params);
  if (p.logits.numel < p.b * p.v || p.params.numel < p.b * 4 || p.v < 1 || p.ids.numel < p.b || p.logp.numel < p.b || p.kept_logmass.numel < p.b ||
      p.seeds.numel < p.b || p.request.numel < p.b || p.position.numel < p.b)
    return bad_argument(ctx, "sample: sizes");
  if (p.params.dtype != NSA_F32 || p.logp.dtype != NSA_F32 || p.kept_logmass.dtype != NSA_F32 || p.seeds.dtype != NSA_I64)
    return unsupported(ctx, "sample takes f32 settings and i64 seeds");
  if (p.b == 0) return NSA_OK;
  bool ok = with_float_type(p.logits.dtype, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    auto i32 = [](const NsaBuf& b) { return static_cast<int32_t*>(b.ptr); };
    auto f32 = [](const NsaBuf& b) { return static_cast<float*>(b.ptr); };
    sample_kernel<T><<<unsigned(p.b), kRow, 0, context(ctx).stream>>>(static_cast<const T*>(p.logits.ptr), f32(p.params),
                                                                      static_cast<const int64_t*>(p.seeds.ptr), i32(p.request), i32(p.position),
                                                                      i32(p.ids), f32(p.logp), f32(p.kept_logmass), p.v);
  });
  return ok ? launched(ctx) : unsupported(ctx, "sample takes f32 and bf16");
}

}  // namespace

void register_sample(NsaOpFn* ops) {
  ops[NSA_OP_philox_normal] = philox_normal;
  ops[NSA_OP_sample] = sample;
}

}  // namespace nsa::cuda
