// reduce, segment_reduce, col_sum, sum_squares, fingerprint on the CPU: partial sums over fixed blocks, added in order.
#include "cpu/families.h"
#include "cpu/spans.h"
#include "nsa/fingerprint.h"

namespace nsa::cpu {
namespace {

double reduce_span(const float* x, int64_t n, int64_t kind) {
  if (kind == 0) return vec().sum(x, n);
  if (kind == 1) return vec().max(x, n);
  float low = x[0];
  for (int64_t i = 1; i < n; ++i) low = x[i] < low ? x[i] : low;
  return low;
}

// Reduces x[first, last) block by block, in order. first < last.
double reduce_range(const NsaBuf& x, int64_t first, int64_t last, int64_t kind) {
  double acc = 0;
  for (int64_t at = first; at < last; at += kBlock) {
    float tmp[kBlock];
    int64_t n = std::min(kBlock, last - at);
    double part = reduce_span(read_span(x, at, n, tmp), n, kind);
    acc = at == first ? part : kind == 0 ? acc + part : kind == 1 ? std::max(acc, part) : std::min(acc, part);
  }
  return acc;
}

void put(const NsaBuf& y, int64_t i, double v) {
  float f = float(v);
  if (y.dtype == NSA_F64)
    static_cast<double*>(y.ptr)[i] = v;
  else if (y.dtype == NSA_F32)
    static_cast<float*>(y.ptr)[i] = f;
  else
    store_span(y, i, 1, &f);
}

// Partials of f over tasks of kTaskElems elements.
template <class F>
std::vector<double> partials(void* ctx, int64_t numel, F f) {
  std::vector<double> parts(size_t((numel + kTaskElems - 1) / kTaskElems));
  pool(ctx).parallel_for(int64_t(parts.size()), [&](int64_t task) {
    parts[size_t(task)] = f(task * kTaskElems, std::min(numel, (task + 1) * kTaskElems));
  });
  return parts;
}

int reduce(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_reduce_params*>(params);
  if (p.y.numel < 1 || p.kind < 0 || p.kind > 2) return NSA_BAD_ARGUMENT;
  if (!all_float(p.x, p.y)) return reference(NSA_OP_reduce, ctx, params);
  auto parts = partials(ctx, p.x.numel, [&](int64_t first, int64_t last) { return reduce_range(p.x, first, last, p.kind); });
  double acc = parts.empty() ? 0 : parts[0];
  for (size_t i = 1; i < parts.size(); ++i)
    acc = p.kind == 0 ? acc + parts[i] : p.kind == 1 ? std::max(acc, parts[i]) : std::min(acc, parts[i]);
  put(p.y, 0, acc);
  return NSA_OK;
}

int segment_reduce(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_segment_reduce_params*>(params);
  if (p.y.numel < p.n || p.cu.numel < p.n + 1 || p.kind < 0 || p.kind > 2) return NSA_BAD_ARGUMENT;
  if (!all_float(p.x, p.y)) return reference(NSA_OP_segment_reduce, ctx, params);
  for_rows(ctx, p.n, p.x.numel / std::max<int64_t>(1, p.n), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      int64_t from = index_at(p.cu, i), to = index_at(p.cu, i + 1);
      put(p.y, i, from < to ? reduce_range(p.x, from, to, p.kind) : 0);
    }
  });
  return NSA_OK;
}

int col_sum(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_col_sum_params*>(params);
  if (p.x.numel < p.rows * p.cols || p.y.numel < p.cols) return NSA_BAD_ARGUMENT;
  if (!all_float(p.x, p.y)) return reference(NSA_OP_col_sum, ctx, params);
  constexpr int64_t width = 128;
  pool(ctx).parallel_for((p.cols + width - 1) / width, [&](int64_t task) {
    float tmp[width];
    double sum[width] = {};
    int64_t c0 = task * width, n = std::min(width, p.cols - c0);
    for (int64_t r = 0; r < p.rows; ++r) {
      const float* x = read_span(p.x, r * p.cols + c0, n, tmp);
      for (int64_t c = 0; c < n; ++c) sum[c] += x[c];
    }
    const float* y = read_span(p.y, c0, n, tmp);
    for (int64_t c = 0; c < n; ++c) put(p.y, c0 + c, sum[c] + y[c]);
  });
  return NSA_OK;
}

int sum_squares(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_sum_squares_params*>(params);
  if (!all_float(p.x) || (p.y.dtype != NSA_F64 && p.y.dtype != NSA_F32)) return reference(NSA_OP_sum_squares, ctx, params);
  auto parts = partials(ctx, p.x.numel, [&](int64_t first, int64_t last) {
    double acc = 0;
    for (int64_t at = first; at < last; at += kBlock) {
      float tmp[kBlock];
      int64_t n = std::min(kBlock, last - at);
      acc += vec().sum_squares(read_span(p.x, at, n, tmp), n);
    }
    return acc;
  });
  double total = p.y.dtype == NSA_F64 ? *static_cast<double*>(p.y.ptr) : *static_cast<float*>(p.y.ptr);
  for (double part : parts) total += part;
  put(p.y, 0, total);
  return NSA_OK;
}

int fingerprint(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_fingerprint_params*>(params);
  if (p.y.numel != 2 || p.y.dtype != NSA_I32) return NSA_BAD_ARGUMENT;
  std::vector<uint64_t> parts(size_t((p.x.numel + kTaskElems - 1) / kTaskElems));
  pool(ctx).parallel_for(int64_t(parts.size()), [&](int64_t task) {
    parts[size_t(task)] = fingerprint_range(p.x, task * kTaskElems, std::min(p.x.numel, (task + 1) * kTaskElems));
  });
  uint64_t sum = 0;
  for (uint64_t part : parts) sum += part;
  std::memcpy(p.y.ptr, &sum, sizeof sum);
  return NSA_OK;
}

}  // namespace

void register_reduce(NsaOpFn* ops) {
  ops[NSA_OP_reduce] = reduce;
  ops[NSA_OP_segment_reduce] = segment_reduce;
  ops[NSA_OP_col_sum] = col_sum;
  ops[NSA_OP_sum_squares] = sum_squares;
  ops[NSA_OP_fingerprint] = fingerprint;
}

}  // namespace nsa::cpu
