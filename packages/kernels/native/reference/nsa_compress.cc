// nsa_block_gather_*, nsa_pool_*: the tokens of each compressed block, as the input of φ or pooled by weights.
#include "reference/attention.h"
#include "reference/families.h"

namespace nsa::ref {
namespace {

// Calls fn(block, first token row of the block) for every block of every document; a bucket's unused blocks lie in none.
template <class Params, class Fn>
void for_each_block(const Params& p, Fn fn) {
  for (int64_t i = 0; i < p.n_docs; ++i)
    for (int64_t b = index(p.cu_blocks, i); b < index(p.cu_blocks, i + 1); ++b) {
      int64_t start = index(p.cu_seqlens, i) + (b - index(p.cu_blocks, i)) * p.stride;
      if (start + p.block_size <= index(p.cu_seqlens, i + 1)) fn(b, start);
    }
}

int block_gather_fwd(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_block_gather_fwd_params*>(params);
  for (int64_t b = 0; b < p.nb; ++b)
    for (int64_t h = 0; h < p.hkv; ++h)
      for (int64_t j = 0; j < p.block_size; ++j)
        for (int64_t c = 0; c < p.d; ++c) {
          double x = get(p.x, (index(p.block_start, b) + j) * p.ldx + h * p.d + c);
          set(p.y, ((b * p.hkv + h) * p.block_size + j) * p.d + c, x + (p.pos.ptr ? get(p.pos, j * p.d + c) : 0));
        }
  return NSA_OK;
}

int block_gather_bwd(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_block_gather_bwd_params*>(params);
  std::vector<double> dx(p.tokens * p.ldx, 0.0), dpos(p.block_size * p.d, 0.0);
  for_each_block(p, [&](int64_t b, int64_t start) {
    for (int64_t h = 0; h < p.hkv; ++h)
      for (int64_t j = 0; j < p.block_size; ++j)
        for (int64_t c = 0; c < p.d; ++c) {
          double dy = get(p.dy, ((b * p.hkv + h) * p.block_size + j) * p.d + c);
          dx[(start + j) * p.ldx + h * p.d + c] += dy;
          dpos[j * p.d + c] += dy;
        }
  });
  store_rows(p.dx, dx, p.tokens, p.hkv * p.d, p.ldx, p.accumulate);
  if (p.dpos.ptr) store_rows(p.dpos, dpos, p.block_size, p.d, p.d, true);
  return NSA_OK;
}

int pool_fwd(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_pool_fwd_params*>(params);
  for (int64_t b = 0; b < p.nb; ++b)
    for (int64_t c = 0; c < p.hkv * p.d; ++c) {
      double sum = 0;
      for (int64_t j = 0; j < p.block_size; ++j) sum += get(p.w, j) * get(p.x, (index(p.block_start, b) + j) * p.ldx + c);
      set(p.y, b * p.hkv * p.d + c, sum);
    }
  return NSA_OK;
}

int pool_bwd(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_pool_bwd_params*>(params);
  std::vector<double> dx(p.tokens * p.ldx, 0.0), dw(p.block_size, 0.0);
  for_each_block(p, [&](int64_t b, int64_t start) {
    for (int64_t j = 0; j < p.block_size; ++j)
      for (int64_t c = 0; c < p.hkv * p.d; ++c) {
        double dy = get(p.dy, b * p.hkv * p.d + c);
        dx[(start + j) * p.ldx + c] += get(p.w, j) * dy;
        dw[j] += get(p.x, (start + j) * p.ldx + c) * dy;
      }
  });
  store_rows(p.dx, dx, p.tokens, p.hkv * p.d, p.ldx, p.accumulate);
  if (p.dw.ptr) store_rows(p.dw, dw, 1, p.block_size, p.block_size, true);
  return NSA_OK;
}

}  // namespace

void register_nsa_compress(NsaOpFn* ops) {
  ops[NSA_OP_nsa_block_gather_fwd] = block_gather_fwd;
  ops[NSA_OP_nsa_block_gather_bwd] = block_gather_bwd;
  ops[NSA_OP_nsa_pool_fwd] = pool_fwd;
  ops[NSA_OP_nsa_pool_bwd] = pool_bwd;
}

}  // namespace nsa::ref
