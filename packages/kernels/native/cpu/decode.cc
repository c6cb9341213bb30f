// nsa_decode_select, nsa_decode_selected, nsa_decode_attend, paged_block_gather on the CPU: one task per (sequence, KV head), so that a sequence's
// bits do not depend on the rest of the batch.
#include <memory>

#include "cpu/attn_tiles.h"
#include "cpu/backend.h"
#include "cpu/families.h"
#include "cpu/selection.h"
#include "reference/nsa_decode_parts.h"

namespace nsa::cpu {
namespace {

constexpr int64_t kKeys = 64;

NsaOpFn reference_gather, reference_select, reference_selected;

// Cache row of entry `entry` of sequence s.
template <class Params>
int64_t cache_row(const Params& p, int64_t s, int64_t entry) {
  return int64_t(i32(p.block_table)[s * p.max_pages + entry / p.page_size]) * p.page_size + entry % p.page_size;
}

int paged_block_gather(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_paged_block_gather_params*>(params);
  if (!all_fast(p.cache, p.pos, p.y)) return reference_gather(ctx, params);
  pool(ctx).parallel_for(p.b, [&](int64_t s) {
    const int64_t start = i32(p.seq_lens)[s] - p.block_size;
    std::vector<float> x(p.hkv * p.d, 0.f), pos(p.d, 0.f), y(p.d, 0.f);
    for (int64_t j = 0; j < p.block_size; ++j) {
      if (start >= 0) load_row(p.cache, cache_row(p, s, start + j) * p.hkv * p.d, x.data(), p.hkv * p.d, 1.f);
      if (start >= 0 && p.pos.ptr) load_row(p.pos, j * p.d, pos.data(), p.d, 1.f);
      for (int64_t h = 0; h < p.hkv; ++h) {
        for (int64_t c = 0; c < p.d; ++c) y[c] = x[h * p.d + c] + pos[c];
        store_row(p.y, ((s * p.hkv + h) * p.block_size + j) * p.d, y.data(), p.d, 1.f, false);
      }
    }
  });
  return NSA_OK;
}

int decode_select(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_decode_select_params*>(params);
  if (!all_fast(p.q, p.k_cmp_cache) || p.lse.dtype != NSA_F32) return reference_select(ctx, params);
  if (p.hkv <= 0 || p.hq % p.hkv || p.block_size % p.stride || p.selection_block_size % p.stride) return NSA_BAD_ARGUMENT;
  const AttnKernels& kernels = attn_kernels();
  const int64_t dk = padded(p.dim_k), group = p.hq / p.hkv;
  pool(ctx).parallel_for(p.b * p.hkv, [&](int64_t task) {
    const int64_t s = task / p.hkv, kv = task % p.hkv, t = i32(p.seq_lens)[s] - 1;
    const int64_t visible = visible_keys(t, p.block_size, p.stride);
    std::vector<float> q(group * dk), keys(kKeys * dk, 0.f), score(group * kKeys), sum(ceil_div(visible, kKeys) * kKeys, 0.f),
        lse2(group);
    std::vector<int32_t> lo(group, 0), hi(group);
    for (int64_t g = 0; g < group; ++g) {
      load_rows(p.q, s, 1, p.ldq, kv * group + g, p.dim_k, &q[g * dk], dk, float(p.scale) * kLog2e);
      lse2[g] = f32(p.lse)[s * p.hq + kv * group + g] * kLog2e;
    }
    for (int64_t first = 0; first < visible; first += kKeys) {
      const int64_t n = std::min(kKeys, visible - first);
      for (int64_t j = 0; j < n; ++j)
        load_row(p.k_cmp_cache, (cache_row(p, s, first + j) * p.hkv + kv) * p.dim_k, &keys[j * dk], p.dim_k, 1.f);
      std::fill(score.begin(), score.end(), 0.f);
      std::fill(hi.begin(), hi.end(), int32_t(n));
      kernels.score_rows(q.data(), dk, group, keys.data(), dk, n, dk, score.data(), kKeys);
      kernels.prob_rows(score.data(), kKeys, group, kKeys, lo.data(), hi.data(), lse2.data());
      for (int64_t g = 0; g < group; ++g) kernels.add(&score[g * kKeys], &sum[first], kKeys);
    }
    Selector selector{p.block_size, p.stride, p.selection_block_size, p.num_selected, p.num_init, p.num_local, {}, {}, {}};
    selector.choose(sum.data(), visible, t, static_cast<int32_t*>(p.idx.ptr) + task * p.num_selected);
  });
  return NSA_OK;
}

int decode_selected(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_decode_selected_params*>(params);
  if (!all_fast(p.q, p.k_cache, p.v_cache, p.o)) return reference_selected(ctx, params);
  if (p.hkv <= 0 || p.hq % p.hkv) return NSA_BAD_ARGUMENT;
  const AttnKernels& kernels = attn_kernels();
  const int64_t dk = padded(p.dim_k), dv = padded(p.dim_v), group = p.hq / p.hkv, width = padded(p.selection_block_size);
  pool(ctx).parallel_for(p.b * p.hkv, [&](int64_t task) {
    const int64_t s = task / p.hkv, kv = task % p.hkv, len = i32(p.seq_lens)[s];
    std::vector<float> q(group * dk), keys(width * dk, 0.f), values(width * dv, 0.f), score(group * width), o(group * dv, 0.f),
        m(group, kMinusInf), l(group, 0.f), alpha(group);
    std::vector<int32_t> lo(group, 0), hi(group);
    for (int64_t g = 0; g < group; ++g)
      load_rows(p.q, s, 1, p.ldq, kv * group + g, p.dim_k, &q[g * dk], dk, float(p.scale) * kLog2e);
    for (int64_t i = 0; i < p.num_selected; ++i) {
      const int64_t block = i32(p.idx)[task * p.num_selected + i], first = block * p.selection_block_size;
      const int64_t n = block < 0 ? 0 : std::min(p.selection_block_size, len - first);
      if (n <= 0) continue;
      for (int64_t j = 0; j < n; ++j) {
        const int64_t row = cache_row(p, s, first + j) * p.hkv + kv;
        load_row(p.k_cache, row * p.dim_k, &keys[j * dk], p.dim_k, 1.f);
        load_row(p.v_cache, row * p.dim_v, &values[j * dv], p.dim_v, 1.f);
      }
      std::fill(hi.begin(), hi.end(), int32_t(n));
      std::fill(score.begin(), score.end(), 0.f);
      kernels.score_rows(q.data(), dk, group, keys.data(), dk, n, dk, score.data(), width);
      kernels.softmax_rows(score.data(), width, group, width, lo.data(), hi.data(), m.data(), l.data(), alpha.data());
      kernels.scale_rows(o.data(), dv, alpha.data(), group, dv);
      kernels.gemm(group, dv, n, score.data(), width, 1, values.data(), dv, o.data(), dv, true);
    }
    for (int64_t g = 0; g < group; ++g)
      store_row(p.o, s * p.ldo + (kv * group + g) * p.dim_v, &o[g * dv], p.dim_v, l[g] > 0 ? 1 / l[g] : 0.f, false);
  });
  return NSA_OK;
}

int decode_attend(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_decode_attend_params*>(params);
  if (!nsa_decode_fits(p)) return NSA_BAD_ARGUMENT;
  std::vector<std::unique_ptr<Scratch>> held;
  return nsa_decode_parts(backend()->ops, ctx, p, [&](size_t bytes) { return held.emplace_back(std::make_unique<Scratch>(ctx, bytes))->as<void>(); });
}

}  // namespace

void register_decode(NsaOpFn* ops) {
  reference_gather = ops[NSA_OP_paged_block_gather];
  reference_select = ops[NSA_OP_nsa_decode_select];
  reference_selected = ops[NSA_OP_nsa_decode_selected];
  ops[NSA_OP_paged_block_gather] = paged_block_gather;
  ops[NSA_OP_nsa_decode_select] = decode_select;
  ops[NSA_OP_nsa_decode_selected] = decode_selected;
  ops[NSA_OP_nsa_decode_attend] = decode_attend;
}

}  // namespace nsa::cpu
