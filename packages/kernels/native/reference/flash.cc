// flash_fwd, flash_bwd: softmax attention over packed documents, dense, windowed, or over compressed blocks.
#include "reference/attention.h"
#include "reference/backend.h"
#include "reference/families.h"

namespace nsa::ref {
namespace {

// Calls fn(row, head, keys) for every query row of every document and every query head.
template <class Params, class Fn>
void for_each_query(const Params& p, const NsaBuf* q_start, Fn fn) {
  std::vector<KeyAt> keys;
  for (int64_t i = 0; i < p.n_docs; ++i) {
    int64_t start = index(p.cu_q, i), first_key = index(p.cu_k, i), n_keys = index(p.cu_k, i + 1) - first_key;
    int64_t offset = q_start && q_start->ptr ? index(*q_start, i) : 0;
    for (int64_t row = start; row < index(p.cu_q, i + 1); ++row) {
      int64_t t = row - start + offset;
      int64_t end = std::min(n_keys, visible_blocks(t, p.block_size, p.stride));
      int64_t begin = p.window > 0 ? std::max<int64_t>(0, t - p.window + 1) : 0;
      for (int64_t h = 0; h < p.hq; ++h) {
        int64_t kv = h / (p.hq / p.hkv);
        keys.clear();
        for (int64_t j = begin; j < end; ++j)
          keys.push_back({(first_key + j) * p.ldk + kv * p.dim_k, (first_key + j) * p.ldv + kv * p.dim_v});
        fn(row, h, keys);
      }
    }
  }
}

int flash_fwd(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_flash_fwd_params*>(params);
  if (p.hkv <= 0 || p.hq % p.hkv) return NSA_BAD_ARGUMENT;
  Attend attend{p.q, p.k, p.v, p.dim_k, p.dim_v, p.scale};
  for_each_query(p, &p.q_start, [&](int64_t row, int64_t h, const std::vector<KeyAt>& keys) {
    set(p.lse, row * p.hq + h, attend.forward(row * p.ldq + h * p.dim_k, keys, p.o, row * p.ldo + h * p.dim_v));
  });
  return NSA_OK;
}

int flash_bwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_flash_bwd_params*>(params);
  if (p.hkv <= 0 || p.hq % p.hkv || (p.cos.ptr && (p.tq != p.tk || p.accumulate))) return NSA_BAD_ARGUMENT;
  Attend attend{p.q, p.k, p.v, p.dim_k, p.dim_v, p.scale};
  std::vector<double> dq(p.tq * p.ldq, 0.0), dk(p.tk * p.ldk, 0.0), dv(p.tk * p.ldv, 0.0);
  for_each_query(p, nullptr, [&](int64_t row, int64_t h, const std::vector<KeyAt>& keys) {
    attend.backward(row * p.ldq + h * p.dim_k, keys, get(p.lse, row * p.hq + h), p.o, p.do_, row * p.ldo + h * p.dim_v, dq,
                    dk, dv);
  });
  store_rows(p.dq, dq, p.tq, p.hq * p.dim_k, p.ldq, p.accumulate & 1);
  store_rows(p.dk, dk, p.tk, p.hkv * p.dim_k, p.ldk, p.accumulate & 2);
  store_rows(p.dv, dv, p.tk, p.hkv * p.dim_v, p.ldv, p.accumulate & 2);
  if (!p.cos.ptr) return NSA_OK;
  auto turn_back = [&](const NsaBuf& x, int64_t heads, int64_t ld) {
    Nsa_rope_params args{x, x, p.cos, p.sin, p.positions, p.tq, heads, p.dim_k, p.rot_dim, ld, ld, 1};
    return backend()->ops[NSA_OP_rope](ctx, &args);
  };
  if (int status = turn_back(p.dq, p.hq, p.ldq)) return status;
  return turn_back(p.dk, p.hkv, p.ldk);
}

}  // namespace

void register_flash(NsaOpFn* ops) {
  ops[NSA_OP_flash_fwd] = flash_fwd;
  ops[NSA_OP_flash_bwd] = flash_bwd;
}

}  // namespace nsa::ref
