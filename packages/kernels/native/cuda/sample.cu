// philox_normal; sample: Gumbel-max by token id after top-k, min-p and top-p.
//
// Rows that keep the whole vocabulary are cut into pieces, a block each, whose (max, sum, best score) a warp joins.
// The others take one block a row.
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

struct Settings {
  float temperature, top_p, min_p;
  int64_t top_k;
  float scale;
  bool filtered;
};
__device__ inline Settings settings_of(const float* params, int64_t row, int64_t v) {
  Settings s{params[row * 4], params[row * 4 + 1], params[row * 4 + 2], int64_t(params[row * 4 + 3])};
  s.scale = s.temperature > 0 ? 1 / s.temperature : 1.f;
  s.filtered = s.temperature > 0 && ((s.top_k > 0 && s.top_k < v) || s.min_p > 0 || s.top_p < 1);
  return s;
}

constexpr int kPieceThreads = 256;

// Threads hold so many quads of logits: a piece has one reduction and one or two logarithms in double, however long it is.
// By the vocabulary alone, so that a row's bits do not depend on the others.
int quads_of(int64_t v) { return v > kPieceThreads * 4 ? 4 : 1; }

// Of one piece: the largest logit, Σ e^(x − high), and the best score with its id.
struct Piece {
  double score;
  float high, sum;
  int32_t id;
};

// −ln u of a word of noise to 1e-5 of itself.
__device__ inline float about_noise(uint32_t word) {
  const float rest = (float(~word) + 0.5f) * 0x1p-32f;
  if (rest < 0.0625f) return rest * fmaf(rest, fmaf(rest, fmaf(rest, 0.25f, 1.f / 3), 0.5f), 1.f);
  return -__logf((float(word) + 0.5f) * 0x1p-32f);
}

// grid (pieces, b). A thread holds the logits of every kPieceThreads-th Philox block of the piece.
template <class T, int QUADS>
__global__ void __launch_bounds__(kPieceThreads) piece_kernel(const T* logits, const float* params, const int64_t* seeds, const int32_t* request,
                                                              const int32_t* position, Piece* out, int64_t v) {
  __shared__ float shared[kPieceThreads / 32];
  __shared__ Best bests[kPieceThreads / 32];
  const int64_t row = blockIdx.y;
  const Settings set = settings_of(params, row, v);
  if (set.filtered) return;
  const int64_t quad0 = int64_t(blockIdx.x) * kPieceThreads * QUADS + threadIdx.x;
  auto id_of = [&](int i) { return (quad0 + i / 4 * kPieceThreads) * 4 + i % 4; };
  float x[QUADS * 4], most = -INFINITY;
#pragma unroll
  for (int i = 0; i < QUADS * 4; ++i) {
    x[i] = id_of(i) < v ? to_float(logits[row * v + id_of(i)]) * set.scale : -INFINITY;
    most = fmaxf(most, x[i]);
  }
  const float high = block_max<kPieceThreads>(most, shared), base = high == -INFINITY ? 0.f : high;
  float e = 0;
#pragma unroll
  for (int i = 0; i < QUADS * 4; ++i) e += __expf(x[i] - base);
  __syncthreads();
  const float sum = block_sum<kPieceThreads>(e, shared);

  Best best{-INFINITY, -1};
  auto take = [&](double score, int64_t id) {
    if (id < v && (best.id < 0 || score > best.score)) best = {score, id};
  };
  if (set.temperature > 0) {
    const uint64_t seed = uint64_t(seeds[row]);
    const uint32_t of = uint32_t(request[row]), at = uint32_t(position[row]);
    auto words_of = [&](int i) { return philox(seed, kStreamSample, of, at, uint32_t(quad0 + i / 4 * kPieceThreads)); };
    // Scores in f32 tell which few can win; those are computed in double.
    float about[QUADS * 4];
    most = -INFINITY;
#pragma unroll
    for (int i = 0; i < QUADS * 4; i += 4) {
      const Philox words = words_of(i);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        about[i + j] = x[i + j] - __logf(about_noise(words.word[j]));
        most = fmaxf(most, about[i + j]);
      }
    }
    __syncthreads();
    const float margin = 1e-3f + 1e-5f * fabsf(base), bound = block_max<kPieceThreads>(most, shared) - margin;
    uint32_t left = 0;
#pragma unroll
    for (int i = 0; i < QUADS * 4; ++i) left |= uint32_t(about[i] >= bound) << i;
    for (; left; left &= left - 1) {
      const int i = __ffs(int(left)) - 1;
      if (id_of(i) >= v) continue;
      take(double(to_float(logits[row * v + id_of(i)]) * set.scale) - log(-log(philox_uniform(words_of(i).word[i % 4]))), id_of(i));
    }
  } else {
#pragma unroll
    for (int i = 0; i < QUADS * 4; ++i) take(x[i], id_of(i));
  }
  auto join = [&](Best y) {
    if (y.id >= 0 && (best.id < 0 || y.score > best.score || (y.score == best.score && y.id < best.id))) best = y;
  };
#pragma unroll
  for (int m = 16; m > 0; m >>= 1) join({__shfl_xor_sync(~0u, best.score, m), __shfl_xor_sync(~0u, best.id, m)});
  if ((threadIdx.x & 31) == 0) bests[threadIdx.x >> 5] = best;
  __syncthreads();
  if (threadIdx.x) return;
  for (int w = 1; w < kPieceThreads / 32; ++w) join(bests[w]);
  out[row * gridDim.x + blockIdx.x] = {best.score, high, sum, int32_t(best.id)};
}

// A warp a row.
template <class T>
__global__ void piece_join_kernel(const T* logits, const float* params, const Piece* pieces, int32_t* ids, float* logp, float* kept_logmass, int64_t b,
                                  int64_t v, int count) {
  const int lane = threadIdx.x & 31;
  const int64_t row = int64_t(blockIdx.x) * (blockDim.x / 32) + (threadIdx.x >> 5);
  if (row >= b) return;
  const Settings set = settings_of(params, row, v);
  if (set.filtered) return;
  pieces += row * count;
  float high = -INFINITY;
  for (int i = lane; i < count; i += 32) high = fmaxf(high, pieces[i].high);
  high = warp_max(high);
  double total = 0;
  Best best{-INFINITY, -1};
  auto join = [&](Best y) {
    if (y.id >= 0 && (best.id < 0 || y.score > best.score || (y.score == best.score && y.id < best.id))) best = y;
  };
  for (int i = lane; i < count; i += 32) {
    total += double(pieces[i].sum) * exp(double(pieces[i].high) - high);
    join({pieces[i].score, pieces[i].id});
  }
#pragma unroll
  for (int m = 16; m > 0; m >>= 1) {
    total += __shfl_xor_sync(~0u, total, m);
    join({__shfl_xor_sync(~0u, best.score, m), __shfl_xor_sync(~0u, best.id, m)});
  }
  if (lane) return;
  if (best.id < 0) best.id = 0;  // no logit is a number
  const double lse = high + log(total), x = to_float(logits[row * v + best.id]) * set.scale;
  ids[row] = int32_t(best.id);
  logp[row] = float(x - lse);
  kept_logmass[row] = set.temperature > 0 || v == 1 ? 0.f : float(x - lse);
}

// Rows that keep a part of the vocabulary.
template <class T>
__global__ void __launch_bounds__(kRow) sample_kernel(const T* logits, const float* params, const int64_t* seeds, const int32_t* request,
                                                      const int32_t* position, int32_t* ids, float* logp, float* kept_logmass, int64_t v) {
  const int64_t row = blockIdx.x;
  const T* z = logits + row * v;
  const Settings set = settings_of(params, row, v);
  if (!set.filtered) return;
  const float top_p = set.top_p, min_p = set.min_p, scale = set.scale;
  const int64_t top_k = set.top_k;
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
  if (top_k > 0 && top_k < v) {
    for (uint32_t bit = 0x80000000u; bit; bit >>= 1)
      if (count_from(threshold | bit) >= top_k) threshold |= bit;
    ties = top_k - (threshold == 0xffffffffu ? 0 : count_from(threshold + 1));
  }
  if (min_p > 0) {
    float bound = __double2float_ru(log(double(min_p)) + high);
    uint32_t key = key_of(bound);
    if (key > key_of(high)) key = key_of(high);
    if (key > threshold) threshold = key, ties = v;
  }
  if (top_p < 1) {
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
      if (key < threshold || (key == threshold && j > last_tie)) continue;
      if (!made) words = philox(seed, kStreamSample, uint32_t(request[row]), uint32_t(position[row]), uint32_t(quad)), made = true;
      mass += expf(x - high);
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
  if (kept < v) logmass = log(mass / total);
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
  if (p.b > 65535) return unsupported(ctx, "sample of more than 65,535 rows");
  const int quads = quads_of(p.v);
  const int64_t count = ceil_div(p.v, kPieceThreads * 4 * quads);
  Scratch pieces(ctx, size_t(p.b * count) * sizeof(Piece));
  if (!pieces) return out_of_memory(ctx);
  bool ok = with_float_type(p.logits.dtype, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    auto i32 = [](const NsaBuf& b) { return static_cast<int32_t*>(b.ptr); };
    auto f32 = [](const NsaBuf& b) { return static_cast<float*>(b.ptr); };
    const auto* logits = static_cast<const T*>(p.logits.ptr);
    const auto* seeds = static_cast<const int64_t*>(p.seeds.ptr);
    auto stream = context(ctx).stream;
    (quads == 4 ? piece_kernel<T, 4> : piece_kernel<T, 1>)<<<dim3(unsigned(count), unsigned(p.b)), kPieceThreads, 0, stream>>>(
        logits, f32(p.params), seeds, i32(p.request), i32(p.position), pieces.as<Piece>(), p.v);
    piece_join_kernel<T><<<unsigned(ceil_div(p.b, 4)), 128, 0, stream>>>(logits, f32(p.params), pieces.as<Piece>(), i32(p.ids), f32(p.logp),
                                                                       f32(p.kept_logmass), p.b, p.v, int(count));
    sample_kernel<T><<<unsigned(p.b), kRow, 0, stream>>>(logits, f32(p.params), seeds, i32(p.request), i32(p.position), i32(p.ids), f32(p.logp),
                                                         f32(p.kept_logmass), p.v);
  });
  return ok ? launched(ctx) : unsupported(ctx, "sample takes f32 and bf16");
}

}  // namespace

void register_sample(NsaOpFn* ops) {
  ops[NSA_OP_philox_normal] = philox_normal;
  ops[NSA_OP_sample] = sample;
}

}  // namespace nsa::cuda
