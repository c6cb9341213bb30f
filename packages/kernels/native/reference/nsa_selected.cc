// nsa_selected_fwd, nsa_selected_bwd: attention over the selected key blocks of each query, cut at the query.
#include "reference/attention.h"
#include "reference/families.h"

namespace nsa::ref {
namespace {

// Calls fn(row, head, keys) with the keys of the row's selected blocks.
template <class Params, class Fn>
void for_each_query(const Params& p, Fn fn) {
  std::vector<KeyAt> keys;
  for (int64_t i = 0; i < p.n_docs; ++i) {
    int64_t start = index(p.cu_seqlens, i);
    for (int64_t row = start; row < index(p.cu_seqlens, i + 1); ++row)
      for (int64_t h = 0; h < p.hq; ++h) {
        int64_t kv = h / (p.hq / p.hkv);
        keys.clear();
        for (int64_t n = 0; n < p.num_selected; ++n) {
          int64_t block = index(p.idx, (row * p.hkv + kv) * p.num_selected + n);
          if (block < 0) continue;
          int64_t first = start + block * p.selection_block_size;
          for (int64_t key = first; key < first + p.selection_block_size && key <= row; ++key)
            keys.push_back({key * p.ldk + kv * p.dim_k, key * p.ldv + kv * p.dim_v});
        }
        fn(row, h, keys);
      }
  }
}

int selected_fwd(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_selected_fwd_params*>(params);
  if (p.hkv <= 0 || p.hq % p.hkv) return NSA_BAD_ARGUMENT;
  Attend attend{p.q, p.k, p.v, p.dim_k, p.dim_v, p.scale};
  for_each_query(p, [&](int64_t row, int64_t h, const std::vector<KeyAt>& keys) {
    set(p.lse, row * p.hq + h, attend.forward(row * p.ldq + h * p.dim_k, keys, p.o, row * p.ldo + h * p.dim_v));
  });
  return NSA_OK;
}

int selected_bwd(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_selected_bwd_params*>(params);
  if (p.hkv <= 0 || p.hq % p.hkv) return NSA_BAD_ARGUMENT;
  Attend attend{p.q, p.k, p.v, p.dim_k, p.dim_v, p.scale};
  std::vector<double> dq(p.tokens * p.ldq, 0.0), dk(p.tokens * p.ldk, 0.0), dv(p.tokens * p.ldv, 0.0);
  for_each_query(p, [&](int64_t row, int64_t h, const std::vector<KeyAt>& keys) {
    attend.backward(row * p.ldq + h * p.dim_k, keys, get(p.lse, row * p.hq + h), p.o, p.do_, row * p.ldo + h * p.dim_v, dq,
                    dk, dv);
  });
  store_rows(p.dq, dq, p.tokens, p.hq * p.dim_k, p.ldq, p.accumulate & 1);
  store_rows(p.dk, dk, p.tokens, p.hkv * p.dim_k, p.ldk, p.accumulate & 2);
  store_rows(p.dv, dv, p.tokens, p.hkv * p.dim_v, p.ldv, p.accumulate & 2);
  return NSA_OK;
}

}  // namespace

void register_nsa_selected(NsaOpFn* ops) {
  ops[NSA_OP_nsa_selected_fwd] = selected_fwd;
  ops[NSA_OP_nsa_selected_bwd] = selected_bwd;
}

}  // namespace nsa::ref
