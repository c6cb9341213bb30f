// rope, swiglu_fwd, swiglu_bwd.
#include "reference/common.h"
#include "reference/families.h"

namespace nsa::ref {
namespace {

int rope(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_rope_params*>(params);
  int64_t half = p.rot_dim / 2;
  if (p.rot_dim > p.head_dim || p.positions.numel < p.rows) return NSA_BAD_ARGUMENT;
  for (int64_t r = 0; r < p.rows; ++r)
    for (int64_t h = 0; h < p.heads; ++h) {
      int64_t x = r * p.ldx + h * p.head_dim, y = r * p.ldy + h * p.head_dim;
      int64_t angles = int64_t(index(p.positions, r)) * half;
      for (int64_t j = 0; j < half; ++j) {
        double cos = get(p.cos, angles + j), sin = get(p.sin, angles + j) * (p.inverse ? -1 : 1);
        double a = get(p.x, x + j), b = get(p.x, x + j + half);
        set(p.y, y + j, a * cos - b * sin);
        set(p.y, y + j + half, b * cos + a * sin);
      }
      for (int64_t c = 2 * half; c < p.head_dim; ++c) set(p.y, y + c, get(p.x, x + c));
    }
  return NSA_OK;
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

int swiglu_fwd(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_swiglu_fwd_params*>(params);
  for (int64_t r = 0; r < p.rows; ++r)
    for (int64_t c = 0; c < p.cols; ++c) {
      double g = get(p.gu, r * 2 * p.cols + c), u = get(p.gu, r * 2 * p.cols + p.cols + c);
      set(p.y, r * p.cols + c, g * sigmoid(g) * u);
    }
  return NSA_OK;
}

int swiglu_bwd(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_swiglu_bwd_params*>(params);
  for (int64_t r = 0; r < p.rows; ++r)
    for (int64_t c = 0; c < p.cols; ++c) {
      int64_t at = r * 2 * p.cols + c;
      double g = get(p.gu, at), u = get(p.gu, at + p.cols), dy = get(p.dy, r * p.cols + c), s = sigmoid(g);
      set(p.dgu, at, dy * u * s * (1 + g * (1 - s)));
      set(p.dgu, at + p.cols, dy * g * s);
      if (p.y.ptr) set(p.y, r * p.cols + c, g * s * u);
    }
  return NSA_OK;
}

}  // namespace

void register_mlp(NsaOpFn* ops) {
  ops[NSA_OP_rope] = rope;
  ops[NSA_OP_swiglu_fwd] = swiglu_fwd;
  ops[NSA_OP_swiglu_bwd] = swiglu_bwd;
}

}  // namespace nsa::ref
