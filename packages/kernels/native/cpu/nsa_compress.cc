// nsa_block_gather_*, nsa_pool_* on the CPU: the tokens of each compressed block as the input of φ, or pooled by weights.
//
// Backwards are written by token: each task owns a run of tokens of a document and sums the blocks that cover them in order.
#include "cpu/attn_tiles.h"
#include "cpu/families.h"

namespace nsa::cpu {
namespace {

constexpr int64_t kTokens = 64;

NsaOpFn reference_gather_fwd, reference_gather_bwd, reference_pool_fwd, reference_pool_bwd;

int block_gather_fwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_block_gather_fwd_params*>(params);
  if (!all_fast(p.x, p.pos, p.y)) return reference_gather_fwd(ctx, params);
  std::vector<float> pos(p.block_size * p.d, 0.f);
  if (p.pos.ptr) load_row(p.pos, 0, pos.data(), p.block_size * p.d, 1.f);
  pool(ctx).parallel_for(p.nb, [&](int64_t b) {
    std::vector<float> x(p.hkv * p.d), y(p.d);
    for (int64_t j = 0; j < p.block_size; ++j) {
      load_row(p.x, (i32(p.block_start)[b] + j) * p.ldx, x.data(), p.hkv * p.d, 1.f);
      for (int64_t h = 0; h < p.hkv; ++h) {
        for (int64_t c = 0; c < p.d; ++c) y[c] = x[h * p.d + c] + pos[j * p.d + c];
        store_row(p.y, ((b * p.hkv + h) * p.block_size + j) * p.d, y.data(), p.d, 1.f, false);
      }
    }
  });
  return NSA_OK;
}

// Calls fn(row, first block, last block, local token) for every token, in parallel; blocks that cover it are [first, last).
template <class Params, class Fn>
void for_each_token(void* ctx, const Params& p, Fn fn) {
  const int32_t *cu = i32(p.cu_seqlens), *cu_blocks = i32(p.cu_blocks);
  std::vector<std::pair<int64_t, int64_t>> runs;  // document, first row
  for (int64_t i = 0; i < p.n_docs; ++i)
    for (int64_t row = cu[i]; row < cu[i + 1]; row += kTokens) runs.push_back({i, row});
  pool(ctx).parallel_for(int64_t(runs.size()), [&](int64_t task) {
    auto [i, first_row] = runs[task];
    std::vector<float> x(p.hkv * p.d), sum(p.hkv * p.d);
    for (int64_t row = first_row; row < std::min<int64_t>(cu[i + 1], first_row + kTokens); ++row) {
      const int64_t t = row - cu[i], n = cu_blocks[i + 1] - cu_blocks[i];
      const int64_t first = t < p.block_size ? 0 : (t - p.block_size) / p.stride + 1;
      const int64_t last = std::min(n, t / p.stride + 1);
      std::fill(sum.begin(), sum.end(), 0.f);
      for (int64_t m = first; m < last; ++m) fn(cu_blocks[i] + m, t - m * p.stride, x.data(), sum.data());
      store_row(p.dx, row * p.ldx, sum.data(), p.hkv * p.d, 1.f, p.accumulate);
    }
  });
}

int block_gather_bwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_block_gather_bwd_params*>(params);
  if (!all_fast(p.dy, p.dx, p.dpos)) return reference_gather_bwd(ctx, params);
  for_each_token(ctx, p, [&](int64_t b, int64_t j, float* x, float* sum) {
    for (int64_t h = 0; h < p.hkv; ++h)
      load_row(p.dy, ((b * p.hkv + h) * p.block_size + j) * p.d, x + h * p.d, p.d, 1.f);
    for (int64_t c = 0; c < p.hkv * p.d; ++c) sum[c] += x[c];
  });
  if (!p.dpos.ptr) return NSA_OK;
  pool(ctx).parallel_for(p.block_size, [&](int64_t j) {
    std::vector<float> x(p.d), sum(p.d, 0.f);
    for (int64_t r = 0; r < p.nb * p.hkv; ++r) {
      load_row(p.dy, (r * p.block_size + j) * p.d, x.data(), p.d, 1.f);
      for (int64_t c = 0; c < p.d; ++c) sum[c] += x[c];
    }
    store_row(p.dpos, j * p.d, sum.data(), p.d, 1.f, true);
  });
  return NSA_OK;
}

int pool_fwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_pool_fwd_params*>(params);
  if (!all_fast(p.x, p.w, p.y)) return reference_pool_fwd(ctx, params);
  const int64_t cols = p.hkv * p.d;
  std::vector<float> w(p.block_size);
  load_row(p.w, 0, w.data(), p.block_size, 1.f);
  pool(ctx).parallel_for(p.nb, [&](int64_t b) {
    std::vector<float> x(cols), sum(cols, 0.f);
    for (int64_t j = 0; j < p.block_size; ++j) {
      load_row(p.x, (i32(p.block_start)[b] + j) * p.ldx, x.data(), cols, w[j]);
      for (int64_t c = 0; c < cols; ++c) sum[c] += x[c];
    }
    store_row(p.y, b * cols, sum.data(), cols, 1.f, false);
  });
  return NSA_OK;
}

int pool_bwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_pool_bwd_params*>(params);
  if (!all_fast(p.dy, p.x, p.w, p.dx, p.dw)) return reference_pool_bwd(ctx, params);
  const int64_t cols = p.hkv * p.d;
  std::vector<float> w(p.block_size);
  load_row(p.w, 0, w.data(), p.block_size, 1.f);
  for_each_token(ctx, p, [&](int64_t b, int64_t j, float* x, float* sum) {
    load_row(p.dy, b * cols, x, cols, w[j]);
    for (int64_t c = 0; c < cols; ++c) sum[c] += x[c];
  });
  if (!p.dw.ptr) return NSA_OK;
  pool(ctx).parallel_for(p.block_size, [&](int64_t j) {
    std::vector<float> x(cols), dy(cols);
    double sum = 0;
    for (int64_t i = 0; i < p.n_docs; ++i)
      for (int64_t b = i32(p.cu_blocks)[i]; b < i32(p.cu_blocks)[i + 1]; ++b) {
        const int64_t first = i32(p.cu_seqlens)[i] + (b - i32(p.cu_blocks)[i]) * p.stride;
        if (first + p.block_size > i32(p.cu_seqlens)[i + 1]) break;  // what follows are unused blocks of a bucket
        load_row(p.dy, b * cols, dy.data(), cols, 1.f);
        load_row(p.x, (first + j) * p.ldx, x.data(), cols, 1.f);
        for (int64_t c = 0; c < cols; ++c) sum += double(x[c]) * dy[c];
      }
    float dw = float(sum);
    store_row(p.dw, j, &dw, 1, 1.f, true);
  });
  return NSA_OK;
}

}  // namespace

void register_nsa_compress(NsaOpFn* ops) {
  reference_gather_fwd = ops[NSA_OP_nsa_block_gather_fwd];
  reference_gather_bwd = ops[NSA_OP_nsa_block_gather_bwd];
  reference_pool_fwd = ops[NSA_OP_nsa_pool_fwd];
  reference_pool_bwd = ops[NSA_OP_nsa_pool_bwd];
  ops[NSA_OP_nsa_block_gather_fwd] = block_gather_fwd;
  ops[NSA_OP_nsa_block_gather_bwd] = block_gather_bwd;
  ops[NSA_OP_nsa_pool_fwd] = pool_fwd;
  ops[NSA_OP_nsa_pool_bwd] = pool_bwd;
}

}  // namespace nsa::cpu
