// The newest tokens of paged_attn, by a backend's own rope and paged_write.
#pragma once
#include "nsa/abi.h"

namespace nsa {

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

}  // namespace nsa
