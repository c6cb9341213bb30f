// paged_block_gather, nsa_decode_selected: NSA's steps for one new token of each sequence over the paged cache.
#include <type_traits>

#include "cuda/convert.h"
#include "cuda/families.h"
#include "cuda/launch.h"
#include "cuda/nsa_attend.h"

namespace nsa::cuda {
namespace {

const int32_t* i32(const NsaBuf& b) { return static_cast<const int32_t*>(b.ptr); }

template <class T>
__global__ void gather_kernel(const T* cache, const void* pos, bool pos_low, const int32_t* table, const int32_t* lens, T* y, int64_t b, int64_t hkv, int64_t d,
                              int64_t block_size, int64_t page, int64_t max_pages) {
  NSA_GRID_STRIDE(i, b * hkv * block_size * d) {
    int64_t c = i % d, j = i / d % block_size, h = i / d / block_size % hkv, s = i / d / block_size / hkv, token = lens[s] - block_size + j;
    float x = 0;
    if (lens[s] >= block_size) {
      int64_t row = int64_t(table[s * max_pages + token / page]) * page + token % page;
      x = to_float(cache[(row * hkv + h) * d + c]);
      if (pos) x += pos_low ? to_float(static_cast<const bf16*>(pos)[j * d + c]) : static_cast<const float*>(pos)[j * d + c];
    }
    from_float(x, y[i]);
  }
}

int gather(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_paged_block_gather_params*>(params);
  int64_t n = p.b * p.hkv * p.block_size * p.d;
  if (n == 0) return NSA_OK;
  if (p.y.numel < n || p.seq_lens.numel < p.b || p.block_table.numel < p.b * p.max_pages || (p.pos.ptr && p.pos.numel < p.block_size * p.d))
    return bad_argument(ctx, "paged_block_gather: a tensor is too short");
  if (p.cache.dtype != p.y.dtype) return unsupported(ctx, "paged_block_gather of mixed dtypes");
  bool ok = with_float_type(p.y.dtype, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    gather_kernel<T><<<grid_for(ctx, n), kThreads, 0, context(ctx).stream>>>(static_cast<const T*>(p.cache.ptr), p.pos.ptr, p.pos.dtype == NSA_BF16,
                                                                             i32(p.block_table), i32(p.seq_lens), static_cast<T*>(p.y.ptr), p.b, p.hkv, p.d,
                                                                             p.block_size, p.page_size, p.max_pages);
  });
  return ok ? launched(ctx) : unsupported(ctx, "paged_block_gather takes f32 and bf16");
}

int selected(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_decode_selected_params*>(params);
  if (p.b == 0 || p.hq == 0) return NSA_OK;
  if (p.hkv < 1 || p.hq % p.hkv || p.dim_k > kSelectedDim || p.dim_v > kSelectedDim || p.q.numel < (p.b - 1) * p.ldq + p.hq * p.dim_k ||
      p.o.numel < (p.b - 1) * p.ldo + p.hq * p.dim_v || p.idx.numel < p.b * p.hkv * p.num_selected || p.seq_lens.numel < p.b ||
      p.block_table.numel < p.b * p.max_pages)
    return bad_argument(ctx, "nsa_decode_selected: sizes");
  if (p.q.dtype != p.k_cache.dtype || p.q.dtype != p.v_cache.dtype || p.q.dtype != p.o.dtype) return unsupported(ctx, "nsa_decode_selected of mixed dtypes");
  SelectedArgs a{};
  a.q = p.q.ptr, a.k = p.k_cache.ptr, a.v = p.v_cache.ptr, a.out = p.o.ptr, a.idx = i32(p.idx), a.table = i32(p.block_table), a.lens = i32(p.seq_lens);
  a.rows = p.b, a.hq = p.hq, a.hkv = p.hkv, a.dim_k = p.dim_k, a.dim_v = p.dim_v, a.ldq = p.ldq, a.ldo = p.ldo;
  a.ldk = p.hkv * p.dim_k, a.ldv = p.hkv * p.dim_v, a.block = p.selection_block_size, a.num_selected = p.num_selected;
  a.page = p.page_size, a.max_pages = p.max_pages, a.scale = float(p.scale);
  auto blocks = unsigned(p.b * p.hq);
  bool ok = with_float_type(p.q.dtype, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    auto stream = context(ctx).stream;
    if (a.dim_k % kVec<T> == 0 && aligned16(a.k)) selected_plain_kernel<T, true, true, kSelectedWarps><<<blocks, kSelectedWarps * 32, 0, stream>>>(a);
    else selected_plain_kernel<T, true, false, kSelectedWarps><<<blocks, kSelectedWarps * 32, 0, stream>>>(a);
  });
  return ok ? launched(ctx) : unsupported(ctx, "nsa_decode_selected takes f32 and bf16");
}

}  // namespace

void register_decode(NsaOpFn* ops) {
  ops[NSA_OP_paged_block_gather] = gather;
  ops[NSA_OP_nsa_decode_selected] = selected;
}

}  // namespace nsa::cuda
