// paged_block_gather, paged_attn, nsa_decode_select, nsa_decode_selected, nsa_decode_attend: one query per sequence over a paged cache.
#include "reference/attention.h"
#include "reference/backend.h"
#include "reference/families.h"
#include "reference/nsa_decode_parts.h"
#include "reference/paged_append.h"
#include "reference/selection.h"

namespace nsa::ref {
namespace {

// Cache row of entry `entry` of sequence s.
template <class Params>
int64_t cache_row(const Params& p, int64_t s, int64_t entry) {
  return int64_t(index(p.block_table, s * p.max_pages + entry / p.page_size)) * p.page_size + entry % p.page_size;
}

int paged_block_gather(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_paged_block_gather_params*>(params);
  for (int64_t s = 0; s < p.b; ++s) {
    int64_t start = index(p.seq_lens, s) - p.block_size;
    for (int64_t h = 0; h < p.hkv; ++h)
      for (int64_t j = 0; j < p.block_size; ++j)
        for (int64_t c = 0; c < p.d; ++c) {
          double y = 0;
          if (start >= 0) {
            y = get(p.cache, (cache_row(p, s, start + j) * p.hkv + h) * p.d + c);
            if (p.pos.ptr) y += get(p.pos, j * p.d + c);
          }
          set(p.y, ((s * p.hkv + h) * p.block_size + j) * p.d + c, y);
        }
  }
  return NSA_OK;
}

int paged_attn(void* ctx, const void* params) {
  auto p = *static_cast<const Nsa_paged_attn_params*>(params);
  if (int status = paged_attn_prepare(backend(), ctx, p)) return status;
  Attend attend{p.q, p.k_cache, p.v_cache, p.dim_k, p.dim_v, p.scale};
  std::vector<KeyAt> keys;
  for (int64_t s = 0; s < p.b; ++s) {
    int64_t entries = visible_blocks(index(p.seq_lens, s) - 1, p.block_size, p.stride);
    int64_t begin = p.window > 0 ? std::max<int64_t>(0, entries - p.window) : 0;
    for (int64_t h = 0; h < p.hq; ++h) {
      int64_t kv = h / (p.hq / p.hkv);
      keys.clear();
      for (int64_t i = begin; i < entries; ++i) {
        int64_t row = cache_row(p, s, i) * p.hkv + kv;
        keys.push_back({row * p.dim_k, row * p.dim_v});
      }
      double lse = attend.forward(s * p.ldq + h * p.dim_k, keys, p.o, s * p.ldo + h * p.dim_v);
      if (p.lse.ptr) set(p.lse, s * p.hq + h, lse);
    }
  }
  return NSA_OK;
}

int decode_select(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_decode_select_params*>(params);
  if (p.hkv <= 0 || p.hq % p.hkv || p.block_size % p.stride || p.selection_block_size % p.stride) return NSA_BAD_ARGUMENT;
  int64_t group = p.hq / p.hkv;
  Attend attend{p.q, p.k_cmp_cache, p.k_cmp_cache, p.dim_k, 0, p.scale};
  SelectionRule rule{p.block_size, p.stride, p.selection_block_size, p.num_selected, p.num_init, p.num_local};
  for (int64_t s = 0; s < p.b; ++s)
    for (int64_t kv = 0; kv < p.hkv; ++kv) {
      int64_t t = index(p.seq_lens, s) - 1, visible = visible_blocks(t, p.block_size, p.stride);
      std::vector<double> scores(t < 0 ? 0 : t / p.selection_block_size + 1, 0.0);
      for (int64_t h = kv * group; h < (kv + 1) * group; ++h) {
        std::vector<double> p_cmp(visible);
        for (int64_t b = 0; b < visible; ++b) {
          double score = attend.score(s * p.ldq + h * p.dim_k, (cache_row(p, s, b) * p.hkv + kv) * p.dim_k);
          p_cmp[b] = std::exp(score - get(p.lse, s * p.hq + h));
        }
        for (size_t j = 0; j < scores.size(); ++j) scores[j] += block_score(p_cmp, int64_t(j), rule);
      }
      std::vector<int64_t> chosen = choose_blocks(scores, rule);
      for (int64_t n = 0; n < p.num_selected; ++n) set(p.idx, (s * p.hkv + kv) * p.num_selected + n, double(chosen[n]));
    }
  return NSA_OK;
}

int decode_selected(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_decode_selected_params*>(params);
  if (p.hkv <= 0 || p.hq % p.hkv) return NSA_BAD_ARGUMENT;
  Attend attend{p.q, p.k_cache, p.v_cache, p.dim_k, p.dim_v, p.scale};
  std::vector<KeyAt> keys;
  for (int64_t s = 0; s < p.b; ++s)
    for (int64_t h = 0; h < p.hq; ++h) {
      int64_t kv = h / (p.hq / p.hkv), seq_len = index(p.seq_lens, s);
      keys.clear();
      for (int64_t n = 0; n < p.num_selected; ++n) {
        int64_t block = index(p.idx, (s * p.hkv + kv) * p.num_selected + n), first = block * p.selection_block_size;
        for (int64_t key = first; block >= 0 && key < first + p.selection_block_size && key < seq_len; ++key) {
          int64_t row = cache_row(p, s, key) * p.hkv + kv;
          keys.push_back({row * p.dim_k, row * p.dim_v});
        }
      }
      attend.forward(s * p.ldq + h * p.dim_k, keys, p.o, s * p.ldo + h * p.dim_v);
    }
  return NSA_OK;
}

int decode_attend(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_decode_attend_params*>(params);
  if (!nsa_decode_fits(p)) return NSA_BAD_ARGUMENT;
  std::vector<std::vector<char>> held;
  return nsa_decode_parts(backend()->ops, ctx, p, [&](size_t bytes) { return static_cast<void*>(held.emplace_back(bytes).data()); });
}

}  // namespace

void register_decode(NsaOpFn* ops) {
  ops[NSA_OP_paged_block_gather] = paged_block_gather;
  ops[NSA_OP_paged_attn] = paged_attn;
  ops[NSA_OP_nsa_decode_select] = decode_select;
  ops[NSA_OP_nsa_decode_selected] = decode_selected;
  ops[NSA_OP_nsa_decode_attend] = decode_attend;
}

}  // namespace nsa::ref
