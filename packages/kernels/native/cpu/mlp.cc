// rope, swiglu_fwd, swiglu_bwd on the CPU: rows as tasks.
#include "cpu/families.h"
#include "cpu/spans.h"

namespace nsa::cpu {
namespace {

int rope(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_rope_params*>(params);
  if (!all_float(p.x, p.y) || p.cos.dtype != NSA_F32 || p.sin.dtype != NSA_F32) return reference(NSA_OP_rope, ctx, params);
  int64_t half = p.rot_dim / 2, rotated = 2 * half;
  if (p.rot_dim > p.head_dim || p.positions.numel < p.rows || p.sin.numel < p.cos.numel ||
      !fits(p.x, p.rows, p.ldx, p.heads * p.head_dim) || !fits(p.y, p.rows, p.ldy, p.heads * p.head_dim))
    return NSA_BAD_ARGUMENT;
  for (int64_t r = 0; r < p.rows; ++r)
    if ((int64_t(index_at(p.positions, r)) + 1) * half > p.cos.numel) return NSA_BAD_ARGUMENT;
  for_rows(ctx, p.rows, p.heads * p.head_dim, [&](int64_t first, int64_t last) {
    std::vector<float> x_tmp(size_t(p.head_dim)), y_tmp(size_t(p.head_dim));
    for (int64_t r = first; r < last; ++r) {
      const float* cos = static_cast<const float*>(p.cos.ptr) + index_at(p.positions, r) * half;
      const float* sin = static_cast<const float*>(p.sin.ptr) + index_at(p.positions, r) * half;
      for (int64_t h = 0; h < p.heads; ++h) {
        int64_t to = r * p.ldy + h * p.head_dim;
        const float* x = read_span(p.x, r * p.ldx + h * p.head_dim, p.head_dim, x_tmp.data());
        float* y = write_span(p.y, to, y_tmp.data());
        vec().rotate(x, x + half, cos, sin, p.inverse ? -1.f : 1.f, y, y + half, half);
        if (x != y) std::copy(x + rotated, x + p.head_dim, y + rotated);
        store_span(p.y, to, p.head_dim, y_tmp.data());
      }
    }
  });
  return NSA_OK;
}

int swiglu_fwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_swiglu_fwd_params*>(params);
  if (!all_float(p.gu, p.y)) return reference(NSA_OP_swiglu_fwd, ctx, params);
  if (p.gu.numel < p.rows * 2 * p.cols || p.y.numel < p.rows * p.cols) return NSA_BAD_ARGUMENT;
  for_rows(ctx, p.rows, 2 * p.cols, [&](int64_t first, int64_t last) {
    std::vector<float> tmp(size_t(3 * p.cols));
    for (int64_t r = first; r < last; ++r) {
      const float* g = read_span(p.gu, r * 2 * p.cols, 2 * p.cols, tmp.data());
      vec().swiglu(g, g + p.cols, write_span(p.y, r * p.cols, tmp.data() + 2 * p.cols), p.cols);
      store_span(p.y, r * p.cols, p.cols, tmp.data() + 2 * p.cols);
    }
  });
  return NSA_OK;
}

int swiglu_bwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_swiglu_bwd_params*>(params);
  if (!all_float(p.dy, p.gu, p.dgu) || (p.y.ptr && !all_float(p.y))) return reference(NSA_OP_swiglu_bwd, ctx, params);
  if (p.gu.numel < p.rows * 2 * p.cols || p.dy.numel < p.rows * p.cols || p.dgu.numel < p.rows * 2 * p.cols ||
      (p.y.ptr && p.y.numel < p.rows * p.cols))
    return NSA_BAD_ARGUMENT;
  for_rows(ctx, p.rows, 3 * p.cols, [&](int64_t first, int64_t last) {
    std::vector<float> tmp(size_t(6 * p.cols));
    float* y = tmp.data() + 5 * p.cols;
    for (int64_t r = first; r < last; ++r) {
      const float* g = read_span(p.gu, r * 2 * p.cols, 2 * p.cols, tmp.data());
      const float* dy = read_span(p.dy, r * p.cols, p.cols, tmp.data() + 2 * p.cols);
      float* dg = write_span(p.dgu, r * 2 * p.cols, tmp.data() + 3 * p.cols);
      if (p.y.ptr) vec().swiglu(g, g + p.cols, y, p.cols);
      vec().swiglu_bwd(dy, g, g + p.cols, dg, dg + p.cols, p.cols);
      store_span(p.dgu, r * 2 * p.cols, 2 * p.cols, tmp.data() + 3 * p.cols);
      if (!p.y.ptr) continue;
      if (float* to = write_span(p.y, r * p.cols, y); to != y) std::copy_n(y, p.cols, to);
      store_span(p.y, r * p.cols, p.cols, y);
    }
  });
  return NSA_OK;
}

}  // namespace

void register_mlp(NsaOpFn* ops) {
  ops[NSA_OP_rope] = rope;
  ops[NSA_OP_swiglu_fwd] = swiglu_fwd;
  ops[NSA_OP_swiglu_bwd] = swiglu_bwd;
}

}  // namespace nsa::cpu
