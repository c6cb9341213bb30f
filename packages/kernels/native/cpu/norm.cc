// rms_norm_fwd, rms_norm_bwd on the CPU: rows as tasks; dw from partial sums of fixed blocks of rows.
#include <cmath>

#include "cpu/families.h"
#include "cpu/spans.h"

namespace nsa::cpu {
namespace {

int fwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_rms_norm_fwd_params*>(params);
  if (!all_float(p.x, p.w, p.y) || p.rstd.dtype != NSA_F32) return reference(NSA_OP_rms_norm_fwd, ctx, params);
  if (p.w.numel < p.cols || p.rstd.numel < p.rows * p.heads || !fits(p.x, p.rows, p.ldx, p.heads * p.cols) ||
      !fits(p.y, p.rows, p.ldy, p.heads * p.cols))
    return NSA_BAD_ARGUMENT;
  std::vector<float> w_tmp(size_t(p.cols));
  const float* w = read_span(p.w, 0, p.cols, w_tmp.data());
  for_rows(ctx, p.rows, p.heads * p.cols, [&](int64_t first, int64_t last) {
    std::vector<float> x_tmp(size_t(p.cols)), y_tmp(size_t(p.cols));
    for (int64_t r = first; r < last; ++r)
      for (int64_t h = 0; h < p.heads; ++h) {
        int64_t at = r * p.ldy + h * p.cols;
        const float* x = read_span(p.x, r * p.ldx + h * p.cols, p.cols, x_tmp.data());
        auto rstd = float(1 / std::sqrt(vec().sum_squares(x, p.cols) / double(p.cols) + p.eps));
        static_cast<float*>(p.rstd.ptr)[r * p.heads + h] = rstd;
        vec().scale_mul(x, rstd, w, write_span(p.y, at, y_tmp.data()), p.cols);
        store_span(p.y, at, p.cols, y_tmp.data());
      }
  });
  return NSA_OK;
}

int bwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_rms_norm_bwd_params*>(params);
  if (!all_float(p.dy, p.x, p.w, p.dx, p.dw) || p.rstd.dtype != NSA_F32) return reference(NSA_OP_rms_norm_bwd, ctx, params);
  if (p.w.numel < p.cols || p.dw.numel < p.cols || p.rstd.numel < p.rows * p.heads || !fits(p.x, p.rows, p.ldx, p.heads * p.cols) ||
      !fits(p.dx, p.rows, p.ldx, p.heads * p.cols) || !fits(p.dy, p.rows, p.ldy, p.heads * p.cols))
    return NSA_BAD_ARGUMENT;
  std::vector<float> w_tmp(size_t(p.cols));
  const float* w = read_span(p.w, 0, p.cols, w_tmp.data());
  int64_t step = std::max<int64_t>(1, kTaskElems / std::max<int64_t>(1, p.heads * p.cols)), tasks = (p.rows + step - 1) / step;
  std::vector<float> parts(size_t(tasks * p.cols), 0.f);
  pool(ctx).parallel_for(tasks, [&](int64_t task) {
    std::vector<float> x_tmp(size_t(p.cols)), dy_tmp(size_t(p.cols)), dx_tmp(size_t(p.cols));
    for (int64_t r = task * step; r < std::min(p.rows, (task + 1) * step); ++r)
      for (int64_t h = 0; h < p.heads; ++h) {
        int64_t at = r * p.ldx + h * p.cols;
        const float* x = read_span(p.x, at, p.cols, x_tmp.data());
        const float* dy = read_span(p.dy, r * p.ldy + h * p.cols, p.cols, dy_tmp.data());
        float rstd = static_cast<const float*>(p.rstd.ptr)[r * p.heads + h];
        float mean = vec().dot3(dy, w, x, p.cols) * rstd / float(p.cols);
        float* dx = write_span(p.dx, at, dx_tmp.data());
        if (p.accumulate && p.dx.dtype == NSA_BF16) read_span(p.dx, at, p.cols, dx_tmp.data());
        vec().norm_bwd(dy, x, w, rstd, mean, p.accumulate != 0, dx, parts.data() + task * p.cols, p.cols);
        store_span(p.dx, at, p.cols, dx_tmp.data());
      }
  });
  std::vector<float> dw_tmp(size_t(p.cols));
  const float* before = read_span(p.dw, 0, p.cols, dw_tmp.data());
  float* dw = write_span(p.dw, 0, dw_tmp.data());
  for (int64_t c = 0; c < p.cols; ++c) {
    double sum = 0;
    for (int64_t task = 0; task < tasks; ++task) sum += parts[size_t(task * p.cols + c)];
    dw[c] = float(before[c] + sum);
  }
  store_span(p.dw, 0, p.cols, dw_tmp.data());
  return NSA_OK;
}

}  // namespace

void register_norm(NsaOpFn* ops) {
  ops[NSA_OP_rms_norm_fwd] = fwd;
  ops[NSA_OP_rms_norm_bwd] = bwd;
}

}  // namespace nsa::cpu
