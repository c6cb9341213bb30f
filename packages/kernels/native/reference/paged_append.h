// paged_append by a backend's own rope and paged_write: one new token a row.
#pragma once
#include "nsa/abi.h"

namespace nsa {

inline int paged_append(const NsaBackend* backend, void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_paged_append_params*>(params);
  const int64_t cols = p.hkv * p.dim_k;
  if (p.slot.numel < p.rows || p.positions.numel < p.rows) return NSA_BAD_ARGUMENT;
  auto run = [&](NsaOp op, const auto& args) { return backend->ops[op](ctx, &args); };
  auto turn = [&](const NsaBuf& x, const NsaBuf& positions, int64_t rows, int64_t heads, int64_t ld) {
    return run(NSA_OP_rope, Nsa_rope_params{x, x, p.cos, p.sin, positions, rows, heads, p.dim_k, p.rot_dim, ld, ld, 0});
  };
  if (p.q.ptr)
    if (int status = turn(p.q, p.positions, p.rows, p.hq, p.ld)) return status;
  if (int status = run(NSA_OP_paged_write, Nsa_paged_write_params{p.k, p.k_cache, p.slot, p.rows, cols, p.ld})) return status;
  if (int status = run(NSA_OP_paged_write, Nsa_paged_write_params{p.v, p.v_cache, p.slot, p.rows, p.hkv * p.dim_v, p.ld})) return status;
  const int64_t bytes = p.k_cache.dtype == NSA_BF16 ? 2 : p.k_cache.dtype == NSA_F64 ? 8 : 4;
  for (int64_t r = 0; r < p.rows; ++r) {
    const int64_t to = static_cast<const int32_t*>(p.slot.ptr)[r];
    if (to < 0) continue;
    NsaBuf key = p.k_cache, position = p.positions;
    key.ptr = static_cast<char*>(key.ptr) + to * cols * bytes, key.numel = cols;
    position.ptr = static_cast<int32_t*>(position.ptr) + r, position.numel = 1;
    if (int status = turn(key, position, 1, p.hkv, cols)) return status;
  }
  return NSA_OK;
}

}  // namespace nsa
