// nsa_select: group-shared top-n selection of key blocks from the compressed attention's probabilities.
#include "reference/attention.h"
#include "reference/families.h"
#include "reference/selection.h"

namespace nsa::ref {
namespace {

int select(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_select_params*>(params);
  if (p.hkv <= 0 || p.hq % p.hkv || p.block_size % p.stride || p.selection_block_size % p.stride) return NSA_BAD_ARGUMENT;
  int64_t group = p.hq / p.hkv;
  Attend attend{p.q, p.k_cmp, p.k_cmp, p.dim_k, 0, p.scale};
  SelectionRule rule{p.block_size, p.stride, p.selection_block_size, p.num_selected, p.num_init, p.num_local};
  for (int64_t i = 0; i < p.n_docs; ++i) {
    int64_t start = index(p.cu_seqlens, i), first_block = index(p.cu_blocks, i);
    int64_t doc_blocks = index(p.cu_blocks, i + 1) - first_block;
    for (int64_t row = start; row < index(p.cu_seqlens, i + 1); ++row)
      for (int64_t kv = 0; kv < p.hkv; ++kv) {
        int64_t t = row - start, candidates = t / p.selection_block_size + 1;
        int64_t visible = std::min(doc_blocks, visible_blocks(t, p.block_size, p.stride));
        std::vector<double> scores(candidates, 0.0);
        for (int64_t h = kv * group; h < (kv + 1) * group; ++h) {
          std::vector<double> p_cmp(visible);
          for (int64_t b = 0; b < visible; ++b) {
            double s = attend.score(row * p.ldq + h * p.dim_k, (first_block + b) * p.ldk + kv * p.dim_k);
            p_cmp[b] = std::exp(s - get(p.lse, row * p.hq + h));
          }
          for (int64_t j = 0; j < candidates; ++j) scores[j] += block_score(p_cmp, j, rule);
        }
        if (p.scores.ptr)
          for (int64_t j = 0; j < p.max_blocks; ++j)
            set(p.scores, (row * p.hkv + kv) * p.max_blocks + j, j < candidates ? scores[j] : 0);
        std::vector<int64_t> chosen = choose_blocks(scores, rule);
        for (int64_t n = 0; n < p.num_selected; ++n) set(p.idx, (row * p.hkv + kv) * p.num_selected + n, double(chosen[n]));
      }
  }
  return NSA_OK;
}

}  // namespace

void register_nsa_select(NsaOpFn* ops) { ops[NSA_OP_nsa_select] = select; }

}  // namespace nsa::ref
