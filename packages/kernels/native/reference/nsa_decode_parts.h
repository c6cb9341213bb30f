// nsa_decode_attend by a backend's own ops: the three branches one after another, and their gate.
#pragma once
#include "nsa/abi.h"

namespace nsa {

// Sizes that no backend can work with; what the tables hold is the caller's to keep right.
inline bool nsa_decode_fits(const Nsa_nsa_decode_attend_params& p) {
  const bool positive = p.b >= 0 && p.hkv > 0 && p.hq > 0 && p.dim_k > 0 && p.dim_v > 0 && p.page_size > 0 && p.max_pages > 0 && p.block_size > 0 &&
                        p.stride > 0 && p.selection_block_size > 0 && p.num_selected > 0 && p.window > 0;
  if (!positive || p.hq % p.hkv || p.page_size % p.stride || p.block_size % p.stride || p.selection_block_size % p.stride) return false;
  if (p.ldq < p.hq * p.dim_k || p.ldg < 3 * p.hq) return false;
  const int64_t rows = p.b > 0 ? p.b - 1 : 0;
  return p.block_table.dtype == NSA_I32 && p.seq_lens.dtype == NSA_I32 && p.block_table.numel >= p.b * p.max_pages && p.seq_lens.numel >= p.b &&
         (p.b == 0 || (p.q.numel >= rows * p.ldq + p.hq * p.dim_k && p.gate.numel >= rows * p.ldg + 3 * p.hq && p.o.numel >= p.b * p.hq * p.dim_v));
}

// `alloc(bytes)` gives memory that lasts as long as the ops, or null; `f32` is the dtype of statistics.
template <class Alloc>
int nsa_decode_parts(const NsaOpFn* ops, void* ctx, const Nsa_nsa_decode_attend_params& p, Alloc&& alloc) {
  if (p.b == 0) return NSA_OK;
  const int64_t n = p.b * p.hq * p.dim_v, heads = p.b * p.hq, chosen = p.b * p.hkv * p.num_selected;
  const bool exact = p.q.dtype == NSA_F64;
  auto buffer = [&](int64_t count, int32_t dtype) {
    const int64_t bytes = dtype == NSA_F64 ? 8 : dtype == NSA_BF16 ? 2 : 4;
    return NsaBuf{alloc(size_t(count * bytes)), count, dtype, 0};
  };
  const NsaBuf o_cmp = buffer(n, p.q.dtype), o_slc = buffer(n, p.q.dtype), o_win = buffer(n, p.q.dtype), idx = buffer(chosen, NSA_I32),
               lse = buffer(heads, exact ? NSA_F64 : NSA_F32), none{};
  if (!o_cmp.ptr || !o_slc.ptr || !o_win.ptr || !idx.ptr || !lse.ptr) return NSA_OUT_OF_MEMORY;
  const int64_t ldo = p.hq * p.dim_v, entries = p.page_size / p.stride;
  const Nsa_paged_attn_params cmp{p.q, p.k_cmp, p.v_cmp, p.block_table, p.seq_lens, o_cmp, lse, none, none, none, none, none, none, 0, p.b, p.hq, p.hkv,
                                  p.dim_k, p.dim_v, p.ldq, ldo, entries, p.max_pages, 0, p.block_size, p.stride, p.scale};
  const Nsa_nsa_decode_select_params select{p.q, p.k_cmp, lse, p.block_table, p.seq_lens, idx, p.b, p.hq, p.hkv, p.dim_k, p.ldq, entries, p.max_pages,
                                            p.block_size, p.stride, p.selection_block_size, p.num_selected, p.num_init, p.num_local, p.scale};
  const Nsa_nsa_decode_selected_params slc{p.q, p.k_slc, p.v_slc, idx, p.block_table, p.seq_lens, o_slc, p.b, p.hq, p.hkv, p.dim_k, p.dim_v, p.ldq, ldo,
                                           p.page_size, p.max_pages, p.selection_block_size, p.num_selected, p.scale};
  const Nsa_paged_attn_params win{p.q, p.k_win, p.v_win, p.block_table, p.seq_lens, o_win, none, none, none, none, none, none, none, 0, p.b, p.hq, p.hkv,
                                  p.dim_k, p.dim_v, p.ldq, ldo, p.page_size, p.max_pages, p.window, 1, 1, p.scale};
  const Nsa_nsa_gate_fwd_params gate{p.gate, o_cmp, o_slc, o_win, p.o, p.b, p.hq, p.dim_v, p.ldg};
  if (int status = ops[NSA_OP_paged_attn](ctx, &cmp)) return status;
  if (int status = ops[NSA_OP_nsa_decode_select](ctx, &select)) return status;
  if (int status = ops[NSA_OP_nsa_decode_selected](ctx, &slc)) return status;
  if (int status = ops[NSA_OP_paged_attn](ctx, &win)) return status;
  return ops[NSA_OP_nsa_gate_fwd](ctx, &gate);
}

}  // namespace nsa
