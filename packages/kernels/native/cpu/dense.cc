// Norm, SwiGLU, elementwise, row moves, lm head and AdamW for f32; other dtypes go to the reference.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/dense_kernels.h"
#include "cpu/families.h"
#include "cpu/gemm.h"
#include "reference/backend.h"

namespace nsa::cpu {
namespace {

const NsaOpFn* reference() {
  static NsaOpFn ops[NSA_OP_COUNT];
  static const bool once = (ref::register_all(ops), true);
  (void)once;
  return ops;
}

bool f32(std::initializer_list<const NsaBuf*> bufs) {
  for (const NsaBuf* b : bufs)
    if (b->ptr && b->dtype != NSA_F32) return false;
  return true;
}
float* ptr(const NsaBuf& b) { return static_cast<float*>(b.ptr); }
const int32_t* ids(const NsaBuf& b) { return static_cast<const int32_t*>(b.ptr); }

// Splits n items into chunks whose borders do not depend on the number of threads.
template <class Fn>
void chunks(void* ctx, int64_t n, int64_t size, Fn fn) {
  int64_t tasks = (n + size - 1) / size;
  if (tasks <= 1) {
    if (n > 0) fn(int64_t(0), n);
    return;
  }
  pool(ctx).parallel_for(tasks, [&](int64_t i) { fn(i * size, std::min(n, (i + 1) * size)); });
}

constexpr int64_t kElements = 1 << 15;
int64_t row_chunk(int64_t cols) { return std::max<int64_t>(1, kElements / std::max<int64_t>(cols, 1)); }

int fill(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_fill_params*>(params);
  if (!f32({&p.x})) return reference()[NSA_OP_fill](ctx, params);
  std::fill(ptr(p.x), ptr(p.x) + p.x.numel, float(p.value));
  return NSA_OK;
}

int copy(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_copy_params*>(params);
  if (p.x.dtype != p.y.dtype || p.x.numel != p.y.numel) return reference()[NSA_OP_copy](ctx, params);
  size_t bytes[] = {4, 2, 4, 8, 8, 1};
  std::memcpy(p.y.ptr, p.x.ptr, size_t(p.x.numel) * bytes[p.x.dtype]);
  return NSA_OK;
}

int add(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_add_params*>(params);
  if (!f32({&p.a, &p.b, &p.y})) return reference()[NSA_OP_add](ctx, params);
  if (p.a.numel != p.y.numel || p.b.numel != p.y.numel) return NSA_BAD_ARGUMENT;
  chunks(ctx, p.y.numel, kElements, [&](int64_t i, int64_t e) {
    dense_kernels().axpby(float(p.alpha), ptr(p.a) + i, float(p.beta), ptr(p.b) + i, ptr(p.y) + i, e - i);
  });
  return NSA_OK;
}

int gather_rows(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_gather_rows_params*>(params);
  if (!f32({&p.x, &p.y})) return reference()[NSA_OP_gather_rows](ctx, params);
  if (p.y.numel < p.rows * p.cols || p.idx.numel < p.rows) return NSA_BAD_ARGUMENT;
  for (int64_t m = 0; m < p.rows; ++m)
    if ((int64_t(ids(p.idx)[m]) + 1) * p.cols > p.x.numel) return NSA_BAD_ARGUMENT;
  chunks(ctx, p.rows, row_chunk(p.cols), [&](int64_t i, int64_t e) {
    for (; i < e; ++i) {
      int64_t r = ids(p.idx)[i];
      float* y = ptr(p.y) + i * p.cols;
      if (r < 0) std::fill(y, y + p.cols, 0.0f);
      else std::copy(ptr(p.x) + r * p.cols, ptr(p.x) + (r + 1) * p.cols, y);
    }
  });
  return NSA_OK;
}

int scatter_rows(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_scatter_rows_params*>(params);
  if (!f32({&p.x, &p.y})) return reference()[NSA_OP_scatter_rows](ctx, params);
  std::fill(ptr(p.x), ptr(p.x) + p.x_rows * p.cols, 0.0f);
  for (int64_t m = 0; m < p.rows; ++m) {
    int64_t r = ids(p.idx)[m];
    if (r >= p.x_rows) return NSA_BAD_ARGUMENT;
    if (r >= 0) std::copy(ptr(p.y) + m * p.cols, ptr(p.y) + (m + 1) * p.cols, ptr(p.x) + r * p.cols);
  }
  return NSA_OK;
}

int embedding_bwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_embedding_bwd_params*>(params);
  if (!f32({&p.dy, &p.dw})) return reference()[NSA_OP_embedding_bwd](ctx, params);
  for (int64_t t = 0; t < p.tokens; ++t)
    if (ids(p.ids)[t] >= p.vocab) return NSA_BAD_ARGUMENT;
  // Threads own columns, so every sum runs in order of t.
  chunks(ctx, p.d, 64, [&](int64_t c, int64_t e) {
    for (int64_t t = 0; t < p.tokens; ++t) {
      int64_t id = ids(p.ids)[t];
      if (id < 0) continue;
      float* w = ptr(p.dw) + id * p.d;
      const float* g = ptr(p.dy) + t * p.d;
      for (int64_t j = c; j < e; ++j) w[j] += g[j];
    }
  });
  return NSA_OK;
}

int rms_norm_fwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_rms_norm_fwd_params*>(params);
  if (!f32({&p.x, &p.w, &p.y, &p.rstd})) return reference()[NSA_OP_rms_norm_fwd](ctx, params);
  const DenseKernels& k = dense_kernels();
  chunks(ctx, p.rows, row_chunk(p.cols * p.heads), [&](int64_t r, int64_t e) {
    for (; r < e; ++r)
      for (int64_t h = 0; h < p.heads; ++h) {
        const float* x = ptr(p.x) + r * p.ldx + h * p.cols;
        float rstd = 1.0f / std::sqrt(k.dot(x, x, p.cols) / float(p.cols) + float(p.eps));
        ptr(p.rstd)[r * p.heads + h] = rstd;
        k.norm_scale(x, ptr(p.w), rstd, ptr(p.y) + r * p.ldy + h * p.cols, p.cols);
      }
  });
  return NSA_OK;
}

int rms_norm_bwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_rms_norm_bwd_params*>(params);
  if (!f32({&p.dy, &p.x, &p.w, &p.rstd, &p.dx, &p.dw})) return reference()[NSA_OP_rms_norm_bwd](ctx, params);
  const DenseKernels& k = dense_kernels();
  // Each block of rows sums its share of dw; the shares are added in order.
  int64_t block = 64, blocks = (p.rows + block - 1) / block;
  Scratch part(ctx, size_t(std::max<int64_t>(blocks, 1) * p.cols) * 4);
  if (!part) return NSA_OUT_OF_MEMORY;
  pool(ctx).parallel_for(blocks, [&](int64_t b) {
    float* dw = part.as<float>() + b * p.cols;
    std::fill(dw, dw + p.cols, 0.0f);
    const float* w = ptr(p.w);
    for (int64_t r = b * block; r < std::min(p.rows, (b + 1) * block); ++r)
      for (int64_t h = 0; h < p.heads; ++h) {
        const float* x = ptr(p.x) + r * p.ldx + h * p.cols;
        const float* dy = ptr(p.dy) + r * p.ldy + h * p.cols;
        float* dx = ptr(p.dx) + r * p.ldx + h * p.cols;
        float rstd = ptr(p.rstd)[r * p.heads + h], lane[16] = {};
        int64_t c = 0;
        for (; c + 16 <= p.cols; c += 16)
          for (int j = 0; j < 16; ++j) lane[j] += dy[c + j] * w[c + j] * x[c + j];
        for (int j = 0; c < p.cols; ++c, ++j) lane[j] += dy[c] * w[c] * x[c];
        float mean = k.sum(lane, 16) * rstd * rstd * rstd / float(p.cols);
        for (c = 0; c < p.cols; ++c) {
          float g = dy[c], xc = x[c];
          dw[c] += g * xc * rstd;
          float v = rstd * g * w[c] - xc * mean;
          dx[c] = p.accumulate ? dx[c] + v : v;
        }
      }
  });
  for (int64_t b = 0; b < blocks; ++b) {
    const float* dw = part.as<float>() + b * p.cols;
    for (int64_t c = 0; c < p.cols; ++c) ptr(p.dw)[c] += dw[c];
  }
  return NSA_OK;
}

int rope(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_rope_params*>(params);
  if (!f32({&p.x, &p.y, &p.cos, &p.sin})) return reference()[NSA_OP_rope](ctx, params);
  int64_t half = p.rot_dim / 2;
  for (int64_t r = 0; r < p.rows; ++r)
    if (ids(p.positions)[r] < 0 || (int64_t(ids(p.positions)[r]) + 1) * half > p.cos.numel) return NSA_BAD_ARGUMENT;
  chunks(ctx, p.rows, row_chunk(p.heads * p.head_dim), [&](int64_t r, int64_t e) {
    for (; r < e; ++r) {
      const float* c = ptr(p.cos) + ids(p.positions)[r] * half;
      const float* s = ptr(p.sin) + ids(p.positions)[r] * half;
      float sign = p.inverse ? -1.0f : 1.0f;
      for (int64_t h = 0; h < p.heads; ++h) {
        const float* x = ptr(p.x) + r * p.ldx + h * p.head_dim;
        float* y = ptr(p.y) + r * p.ldy + h * p.head_dim;
        for (int64_t j = 0; j < half; ++j) {
          float a = x[j], b = x[j + half], sj = sign * s[j];
          y[j] = a * c[j] - b * sj;
          y[j + half] = b * c[j] + a * sj;
        }
        for (int64_t j = p.rot_dim; j < p.head_dim; ++j) y[j] = x[j];
      }
    }
  });
  return NSA_OK;
}

int swiglu_fwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_swiglu_fwd_params*>(params);
  if (!f32({&p.gu, &p.y})) return reference()[NSA_OP_swiglu_fwd](ctx, params);
  chunks(ctx, p.rows, row_chunk(p.cols), [&](int64_t r, int64_t e) {
    for (; r < e; ++r) {
      const float* g = ptr(p.gu) + r * 2 * p.cols;
      dense_kernels().swiglu_fwd(g, g + p.cols, ptr(p.y) + r * p.cols, p.cols);
    }
  });
  return NSA_OK;
}

int swiglu_bwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_swiglu_bwd_params*>(params);
  if (!f32({&p.dy, &p.gu, &p.dgu}) || (p.y.ptr && !f32({&p.y}))) return reference()[NSA_OP_swiglu_bwd](ctx, params);
  chunks(ctx, p.rows, row_chunk(p.cols), [&](int64_t r, int64_t e) {
    std::vector<float> y(size_t(p.y.ptr ? p.cols : 0));
    for (; r < e; ++r) {
      const float* g = ptr(p.gu) + r * 2 * p.cols;
      if (p.y.ptr) dense_kernels().swiglu_fwd(g, g + p.cols, y.data(), p.cols);
      float* dg = ptr(p.dgu) + r * 2 * p.cols;
      dense_kernels().swiglu_bwd(ptr(p.dy) + r * p.cols, g, g + p.cols, dg, dg + p.cols, p.cols);
      if (p.y.ptr) std::copy(y.begin(), y.end(), ptr(p.y) + r * p.cols);
    }
  });
  return NSA_OK;
}

// Rows of logits handled at once: bounded scratch, whole rows so that statistics need one pass.
int64_t logit_rows(int64_t v) { return std::max<int64_t>(96, (int64_t(4) << 20) / v); }

int lm_head_fwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_lm_head_fwd_params*>(params);
  if (!f32({&p.h, &p.w, &p.logp, &p.lse, &p.entropy, &p.logits})) return reference()[NSA_OP_lm_head_fwd](ctx, params);
  int64_t step = logit_rows(p.v);
  Scratch scratch(ctx, p.logits.ptr ? 256 : size_t(std::min(step, p.n) * p.v) * 4);
  if (!scratch) return NSA_OUT_OF_MEMORY;
  for (int64_t n = 0; n < p.n; ++n)
    if (ids(p.targets)[n] >= p.v) return NSA_BAD_ARGUMENT;
  for (int64_t i0 = 0; i0 < p.n; i0 += step) {
    int64_t rows = std::min(step, p.n - i0);
    float* z = p.logits.ptr ? ptr(p.logits) + i0 * p.v : scratch.as<float>();
    GemmArgs g{rows, p.v, p.d, ptr(p.h) + i0 * p.d, NSA_F32, p.d, false, p.w.ptr, NSA_F32, p.d, true, z, NSA_F32, p.v};
    if (int status = gemm(ctx, g)) return status;
    chunks(ctx, rows, row_chunk(p.v), [&](int64_t r, int64_t e) {
      for (; r < e; ++r) {
        float top, sum, weighted, *row = z + r * p.v;
        dense_kernels().softmax_stats(row, float(p.inv_temperature), p.v, &top, &sum, &weighted);
        float log_sum = std::log(sum), lse = top + log_sum;
        int64_t y = ids(p.targets)[i0 + r];
        ptr(p.lse)[i0 + r] = lse;
        ptr(p.logp)[i0 + r] = y < 0 ? 0.0f : (row[y] - top) - log_sum;
        ptr(p.entropy)[i0 + r] = log_sum - weighted / sum;
      }
    });
  }
  return NSA_OK;
}

int lm_head_bwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_lm_head_bwd_params*>(params);
  if (!f32({&p.h, &p.w, &p.lse, &p.entropy, &p.logits, &p.dlogp, &p.dlse, &p.dentropy, &p.dh, &p.dw}))
    return reference()[NSA_OP_lm_head_bwd](ctx, params);
  int64_t step = logit_rows(p.v);
  Scratch scratch(ctx, p.logits.ptr ? 256 : size_t(std::min(step, p.n) * p.v) * 4);
  if (!scratch) return NSA_OUT_OF_MEMORY;
  auto scale = float(p.inv_temperature);
  for (int64_t i0 = 0; i0 < p.n; i0 += step) {
    int64_t rows = std::min(step, p.n - i0);
    float* z = p.logits.ptr ? ptr(p.logits) + i0 * p.v : scratch.as<float>();
    const float* h = ptr(p.h) + i0 * p.d;
    if (!p.logits.ptr) {
      GemmArgs g{rows, p.v, p.d, h, NSA_F32, p.d, false, p.w.ptr, NSA_F32, p.d, true, z, NSA_F32, p.v};
      g.alpha = scale;
      if (int status = gemm(ctx, g)) return status;
    }
    chunks(ctx, rows, row_chunk(p.v), [&](int64_t r, int64_t e) {
      for (; r < e; ++r) {
        int64_t i = i0 + r, y = ids(p.targets)[i];
        float dlogp = p.dlogp.ptr && y >= 0 ? ptr(p.dlogp)[i] : 0.0f;
        float dlse = p.dlse.ptr ? ptr(p.dlse)[i] : 0.0f, dent = p.dentropy.ptr ? ptr(p.dentropy)[i] : 0.0f;
        dense_kernels().softmax_grad(z + r * p.v, ptr(p.lse)[i], ptr(p.entropy)[i], dlogp, dlse, dent, scale, p.v);
        if (y >= 0) z[r * p.v + y] += scale * dlogp;
      }
    });
    GemmArgs dh{rows, p.d, p.v, z, NSA_F32, p.v, false, p.w.ptr, NSA_F32, p.d, false, ptr(p.dh) + i0 * p.d, NSA_F32, p.d};
    if (int status = gemm(ctx, dh)) return status;
    GemmArgs dw{p.v, p.d, rows, z, NSA_F32, p.v, true, h, NSA_F32, p.d, false, p.dw.ptr, NSA_F32, p.d};
    dw.beta = 1;
    if (int status = gemm(ctx, dw)) return status;
  }
  return NSA_OK;
}

int sum_squares(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_sum_squares_params*>(params);
  if (!f32({&p.x})) return reference()[NSA_OP_sum_squares](ctx, params);
  double total = 0;
  for (int64_t i = 0; i < p.x.numel; i += 4096) {
    const float* x = ptr(p.x) + i;
    total += double(dense_kernels().dot(x, x, std::min<int64_t>(4096, p.x.numel - i)));
  }
  if (p.y.dtype == NSA_F64) *static_cast<double*>(p.y.ptr) += total;
  else *ptr(p.y) += float(total);
  return NSA_OK;
}

int adamw(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_adamw_params*>(params);
  if (!f32({&p.p, &p.g, &p.m, &p.v, &p.state, &p.p_low})) return reference()[NSA_OP_adamw](ctx, params);
  const float* s = ptr(p.state);
  if (s[3] != 0) return NSA_OK;
  double c1 = 1 - std::pow(p.beta1, double(s[1])), c2 = 1 - std::pow(p.beta2, double(s[1]));
  chunks(ctx, p.p.numel, kElements, [&](int64_t i, int64_t e) {
    dense_kernels().adamw(ptr(p.p) + i, ptr(p.g) + i, ptr(p.m) + i, ptr(p.v) + i, e - i, float(double(s[0]) * p.lr_mult), s[2],
                          float(p.beta1), float(p.beta2), float(1 / c1), float(1 / c2), float(p.eps), float(p.weight_decay));
  });
  return NSA_OK;
}

int paged_write(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_paged_write_params*>(params);
  if (!f32({&p.x, &p.cache})) return reference()[NSA_OP_paged_write](ctx, params);
  for (int64_t r = 0; r < p.rows; ++r) {
    int64_t slot = ids(p.slot)[r];
    if ((slot + 1) * p.cols > p.cache.numel) return NSA_BAD_ARGUMENT;
    if (slot >= 0) std::copy(ptr(p.x) + r * p.ldx, ptr(p.x) + r * p.ldx + p.cols, ptr(p.cache) + slot * p.cols);
  }
  return NSA_OK;
}

}  // namespace

void register_dense(NsaOpFn* ops) {
  ops[NSA_OP_fill] = fill;
  ops[NSA_OP_copy] = copy;
  ops[NSA_OP_add] = add;
  ops[NSA_OP_gather_rows] = gather_rows;
  ops[NSA_OP_scatter_rows] = scatter_rows;
  ops[NSA_OP_embedding_bwd] = embedding_bwd;
  ops[NSA_OP_rms_norm_fwd] = rms_norm_fwd;
  ops[NSA_OP_rms_norm_bwd] = rms_norm_bwd;
  ops[NSA_OP_rope] = rope;
  ops[NSA_OP_swiglu_fwd] = swiglu_fwd;
  ops[NSA_OP_swiglu_bwd] = swiglu_bwd;
  ops[NSA_OP_lm_head_fwd] = lm_head_fwd;
  ops[NSA_OP_lm_head_bwd] = lm_head_bwd;
  ops[NSA_OP_sum_squares] = sum_squares;
  ops[NSA_OP_adamw] = adamw;
  ops[NSA_OP_paged_write] = paged_write;
}

}  // namespace nsa::cpu
