// rms_norm_fwd, rms_norm_bwd: y = x·rstd·w, rstd = 1/sqrt(mean(x²) + eps), per row and head.
#include <vector>

#include "reference/common.h"
#include "reference/families.h"

namespace nsa::ref {
namespace {

int fwd(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_rms_norm_fwd_params*>(params);
  for (int64_t r = 0; r < p.rows; ++r)
    for (int64_t h = 0; h < p.heads; ++h) {
      int64_t x = r * p.ldx + h * p.cols, y = r * p.ldy + h * p.cols;
      double sum = 0;
      for (int64_t c = 0; c < p.cols; ++c) sum += get(p.x, x + c) * get(p.x, x + c);
      double rstd = 1 / std::sqrt(sum / double(p.cols) + p.eps);
      set(p.rstd, r * p.heads + h, rstd);
      for (int64_t c = 0; c < p.cols; ++c) set(p.y, y + c, get(p.x, x + c) * rstd * get(p.w, c));
    }
  return NSA_OK;
}

// With x̂ = x·rstd and g = dy·w: dx = rstd·(g − x̂·mean(g·x̂)), dw = Σ dy·x̂.
int bwd(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_rms_norm_bwd_params*>(params);
  std::vector<double> dw(size_t(p.cols), 0.0);
  for (int64_t r = 0; r < p.rows; ++r)
    for (int64_t h = 0; h < p.heads; ++h) {
      int64_t x = r * p.ldx + h * p.cols, y = r * p.ldy + h * p.cols;
      double rstd = get(p.rstd, r * p.heads + h), mean = 0;
      for (int64_t c = 0; c < p.cols; ++c) {
        double dy_xhat = get(p.dy, y + c) * get(p.x, x + c) * rstd;
        mean += dy_xhat * get(p.w, c) / double(p.cols);
        dw[size_t(c)] += dy_xhat;
      }
      for (int64_t c = 0; c < p.cols; ++c) {
        double dx = rstd * (get(p.dy, y + c) * get(p.w, c) - get(p.x, x + c) * rstd * mean);
        set(p.dx, x + c, p.accumulate ? get(p.dx, x + c) + dx : dx);
      }
    }
  for (int64_t c = 0; c < p.cols; ++c) accumulate(p.dw, c, dw[size_t(c)]);
  return NSA_OK;
}

}  // namespace

void register_norm(NsaOpFn* ops) {
  ops[NSA_OP_rms_norm_fwd] = fwd;
  ops[NSA_OP_rms_norm_bwd] = bwd;
}

}  // namespace nsa::ref
