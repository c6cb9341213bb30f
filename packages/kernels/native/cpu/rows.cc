// gather_rows, scatter_rows, embedding_bwd, paged_write, page_copy on the CPU: whole rows moved by index.
#include "cpu/families.h"
#include "cpu/spans.h"

namespace nsa::cpu {
namespace {

char* at(const NsaBuf& x, int64_t i) { return static_cast<char*>(x.ptr) + i * dtype_bytes(x); }

int gather_rows(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_gather_rows_params*>(params);
  if (p.x.dtype != p.y.dtype) return reference(NSA_OP_gather_rows, ctx, params);
  if (p.idx.numel < p.rows || p.y.numel < p.rows * p.cols) return NSA_BAD_ARGUMENT;
  size_t bytes = size_t(p.cols * dtype_bytes(p.x));
  std::atomic<bool> fits{true};
  for_rows(ctx, p.rows, p.cols, [&](int64_t first, int64_t last) {
    for (int64_t m = first; m < last; ++m) {
      int64_t from = index_at(p.idx, m);
      if ((from + 1) * p.cols > p.x.numel)
        fits = false;
      else if (from < 0)
        std::memset(at(p.y, m * p.cols), 0, bytes);
      else
        std::memcpy(at(p.y, m * p.cols), at(p.x, from * p.cols), bytes);
    }
  });
  return fits ? NSA_OK : NSA_BAD_ARGUMENT;
}

int scatter_rows(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_scatter_rows_params*>(params);
  if (p.x.dtype != p.y.dtype) return reference(NSA_OP_scatter_rows, ctx, params);
  if (p.idx.numel < p.rows || p.y.numel < p.rows * p.cols || p.x.numel < p.x_rows * p.cols) return NSA_BAD_ARGUMENT;
  size_t bytes = size_t(p.cols * dtype_bytes(p.x));
  std::atomic<bool> fits{true};
  std::memset(p.x.ptr, 0, size_t(p.x_rows) * bytes);
  for_rows(ctx, p.rows, p.cols, [&](int64_t first, int64_t last) {
    for (int64_t m = first; m < last; ++m) {
      int64_t to = index_at(p.idx, m);
      if (to >= p.x_rows)
        fits = false;
      else if (to >= 0)
        std::memcpy(at(p.x, to * p.cols), at(p.y, m * p.cols), bytes);
    }
  });
  return fits ? NSA_OK : NSA_BAD_ARGUMENT;
}

// Tasks own columns, so every row of dw is summed in the order of t.
int embedding_bwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_embedding_bwd_params*>(params);
  if (!all_float(p.dy) || p.dw.dtype != NSA_F32) return reference(NSA_OP_embedding_bwd, ctx, params);
  if (p.ids.numel < p.tokens || p.dy.numel < p.tokens * p.d || p.dw.numel < p.vocab * p.d) return NSA_BAD_ARGUMENT;
  for (int64_t t = 0; t < p.tokens; ++t)
    if (index_at(p.ids, t) >= p.vocab) return NSA_BAD_ARGUMENT;
  constexpr int64_t width = 128;
  pool(ctx).parallel_for((p.d + width - 1) / width, [&](int64_t task) {
    float tmp[width];
    int64_t c0 = task * width, n = std::min(width, p.d - c0);
    for (int64_t t = 0; t < p.tokens; ++t) {
      int64_t id = index_at(p.ids, t);
      if (id < 0) continue;
      float* dw = static_cast<float*>(p.dw.ptr) + id * p.d + c0;
      vec().binary(0, dw, read_span(p.dy, t * p.d + c0, n, tmp), dw, n);
    }
  });
  return NSA_OK;
}

int paged_write(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_paged_write_params*>(params);
  if (p.x.dtype != p.cache.dtype) return reference(NSA_OP_paged_write, ctx, params);
  if (p.slot.numel < p.rows) return NSA_BAD_ARGUMENT;
  for (int64_t r = 0; r < p.rows; ++r) {
    int64_t to = index_at(p.slot, r);
    if ((to + 1) * p.cols > p.cache.numel) return NSA_BAD_ARGUMENT;
    if (to >= 0) std::memcpy(at(p.cache, to * p.cols), at(p.x, r * p.ldx), size_t(p.cols * dtype_bytes(p.x)));
  }
  return NSA_OK;
}

int page_copy(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_page_copy_params*>(params);
  if (p.src.numel < p.n || p.dst.numel < p.n) return NSA_BAD_ARGUMENT;
  for (int64_t i = 0; i < p.n; ++i)
    std::memmove(at(p.cache, index_at(p.dst, i) * p.page_elems), at(p.cache, index_at(p.src, i) * p.page_elems),
                 size_t(p.page_elems * dtype_bytes(p.cache)));
  return NSA_OK;
}

}  // namespace

void register_rows(NsaOpFn* ops) {
  ops[NSA_OP_gather_rows] = gather_rows;
  ops[NSA_OP_scatter_rows] = scatter_rows;
  ops[NSA_OP_embedding_bwd] = embedding_bwd;
  ops[NSA_OP_paged_write] = paged_write;
  ops[NSA_OP_page_copy] = page_copy;
}

}  // namespace nsa::cpu
