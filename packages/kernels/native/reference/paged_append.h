// The newest tokens of paged_attn, by a backend's own rope and paged_write.
#pragma once
#include "nsa/abi.h"

namespace nsa {

// Sizes and dtypes that no backend can work with; what the tables hold is the caller's to keep right.
inline bool paged_attn_fits(const Nsa_paged_attn_params& p) {
  const bool positive = p.b >= 0 && p.hkv > 0 && p.hq > 0 && p.dim_k > 0 && p.dim_v > 0 && p.page_size > 0 && p.max_pages > 0 && p.block_size > 0 &&
                        p.stride > 0 && p.window >= 0 && p.rot_dim >= 0 && p.rot_dim % 2 == 0 && p.rot_dim <= p.dim_k;
  if (!positive || p.hq % p.hkv || p.ldq < p.hq * p.dim_k || p.ldo < p.hq * p.dim_v) return false;
  const int64_t rows = p.b > 0 ? p.b - 1 : 0;
  return p.block_table.dtype == NSA_I32 && p.seq_lens.dtype == NSA_I32 && p.block_table.numel >= p.b * p.max_pages && p.seq_lens.numel >= p.b &&
         (p.b == 0 || (p.q.numel >= rows * p.ldq + p.hq * p.dim_k && p.o.numel >= rows * p.ldo + p.hq * p.dim_v)) &&
         (!p.lse.ptr || p.lse.numel >= p.b * p.hq);
}

// Turns q and k where they lie, writes k and v, and leaves in p the call over caches that hold every entry.
inline int paged_append(NsaOpFn rope, NsaOpFn paged_write, void* ctx, Nsa_paged_attn_params& p) {
  if (p.block_size != 1 || p.stride != 1 || !p.v.ptr || !p.positions.ptr || !p.slot.ptr || (p.rot_dim > 0 && (!p.cos.ptr || !p.sin.ptr)))
    return NSA_BAD_ARGUMENT;
  auto turn = [&](const NsaBuf& x, int64_t heads) {
    const Nsa_rope_params args{x, x, p.cos, p.sin, p.positions, p.b, heads, p.dim_k, p.rot_dim, p.ldq, p.ldq, 0};
    return p.rot_dim > 0 ? rope(ctx, &args) : int(NSA_OK);
  };
  auto write = [&](const NsaBuf& x, const NsaBuf& cache, int64_t cols) {
    const Nsa_paged_write_params args{x, cache, p.slot, p.b, cols, p.ldq};
    return paged_write(ctx, &args);
  };
  if (int status = turn(p.q, p.hq)) return status;
  if (int status = turn(p.k, p.hkv)) return status;
  if (int status = write(p.k, p.k_cache, p.hkv * p.dim_k)) return status;
  if (int status = write(p.v, p.v_cache, p.hkv * p.dim_v)) return status;
  p.k.ptr = nullptr;
  return NSA_OK;
}

// Checks a call and appends its newest tokens, where there are any.
inline int paged_attn_prepare(const NsaBackend* backend, void* ctx, Nsa_paged_attn_params& p) {
  if (!paged_attn_fits(p)) return NSA_BAD_ARGUMENT;
  return p.k.ptr ? paged_append(backend->ops[NSA_OP_rope], backend->ops[NSA_OP_paged_write], ctx, p) : int(NSA_OK);
}

}  // namespace nsa
