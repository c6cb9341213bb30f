// gather_rows, scatter_rows, embedding_bwd, paged_write, page_copy: whole rows moved by index.
#include "reference/common.h"
#include "reference/families.h"

namespace nsa::ref {
namespace {

int gather_rows(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_gather_rows_params*>(params);
  int64_t x_rows = p.cols ? p.x.numel / p.cols : 0;
  if (p.idx.numel < p.rows || p.y.numel < p.rows * p.cols) return NSA_BAD_ARGUMENT;
  for (int64_t m = 0; m < p.rows; ++m) {
    int64_t from = index(p.idx, m);
    if (from >= x_rows) return NSA_BAD_ARGUMENT;
    for (int64_t c = 0; c < p.cols; ++c) set(p.y, m * p.cols + c, from < 0 ? 0 : get(p.x, from * p.cols + c));
  }
  return NSA_OK;
}

int scatter_rows(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_scatter_rows_params*>(params);
  if (p.idx.numel < p.rows || p.y.numel < p.rows * p.cols || p.x.numel < p.x_rows * p.cols) return NSA_BAD_ARGUMENT;
  for (int64_t i = 0; i < p.x_rows * p.cols; ++i) set(p.x, i, 0);
  for (int64_t m = 0; m < p.rows; ++m) {
    int64_t to = index(p.idx, m);
    if (to >= p.x_rows) return NSA_BAD_ARGUMENT;
    for (int64_t c = 0; to >= 0 && c < p.cols; ++c) set(p.x, to * p.cols + c, get(p.y, m * p.cols + c));
  }
  return NSA_OK;
}

int embedding_bwd(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_embedding_bwd_params*>(params);
  if (p.ids.numel < p.tokens || p.dy.numel < p.tokens * p.d || p.dw.numel < p.vocab * p.d) return NSA_BAD_ARGUMENT;
  for (int64_t t = 0; t < p.tokens; ++t) {
    int64_t id = index(p.ids, t);
    if (id >= p.vocab) return NSA_BAD_ARGUMENT;
    for (int64_t c = 0; id >= 0 && c < p.d; ++c) accumulate(p.dw, id * p.d + c, get(p.dy, t * p.d + c));
  }
  return NSA_OK;
}

int paged_write(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_paged_write_params*>(params);
  if (p.slot.numel < p.rows) return NSA_BAD_ARGUMENT;
  for (int64_t r = 0; r < p.rows; ++r) {
    int64_t to = index(p.slot, r);
    if ((to + 1) * p.cols > p.cache.numel) return NSA_BAD_ARGUMENT;
    for (int64_t c = 0; to >= 0 && c < p.cols; ++c) set(p.cache, to * p.cols + c, get(p.x, r * p.ldx + c));
  }
  return NSA_OK;
}

int page_copy(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_page_copy_params*>(params);
  if (p.src.numel < p.n || p.dst.numel < p.n) return NSA_BAD_ARGUMENT;
  for (int64_t i = 0; i < p.n; ++i) {
    int64_t from = index(p.src, i), to = index(p.dst, i);
    for (int64_t c = 0; c < p.page_elems; ++c) set(p.cache, to * p.page_elems + c, get(p.cache, from * p.page_elems + c));
  }
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

}  // namespace nsa::ref
