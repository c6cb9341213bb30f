// reduce, segment_reduce, segment_broadcast, col_sum, sum_squares, fingerprint.
#include <algorithm>

#include "nsa/fingerprint.h"
#include "reference/common.h"
#include "reference/families.h"

namespace nsa::ref {
namespace {

// Sum, max or min of x[first, last); 0 when empty.
double reduce_range(const NsaBuf& x, int64_t first, int64_t last, int64_t kind) {
  if (first >= last) return 0;
  double acc = get(x, first);
  for (int64_t i = first + 1; i < last; ++i) {
    double v = get(x, i);
    acc = kind == 0 ? acc + v : kind == 1 ? std::max(acc, v) : std::min(acc, v);
  }
  return acc;
}

int reduce(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_reduce_params*>(params);
  if (p.y.numel < 1 || p.kind < 0 || p.kind > 2) return NSA_BAD_ARGUMENT;
  set(p.y, 0, reduce_range(p.x, 0, p.x.numel, p.kind));
  return NSA_OK;
}

int segment_reduce(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_segment_reduce_params*>(params);
  if (p.y.numel < p.n || p.cu.numel < p.n + 1 || p.kind < 0 || p.kind > 2) return NSA_BAD_ARGUMENT;
  for (int64_t i = 0; i < p.n; ++i) set(p.y, i, reduce_range(p.x, index(p.cu, i), index(p.cu, i + 1), p.kind));
  return NSA_OK;
}

int segment_broadcast(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_segment_broadcast_params*>(params);
  if (p.y.numel < p.n || p.cu.numel < p.n + 1) return NSA_BAD_ARGUMENT;
  for (int64_t i = 0; i < p.n; ++i)
    for (int64_t t = index(p.cu, i); t < index(p.cu, i + 1); ++t) set(p.x, t, get(p.y, i));
  return NSA_OK;
}

int col_sum(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_col_sum_params*>(params);
  if (p.x.numel < p.rows * p.cols || p.y.numel < p.cols) return NSA_BAD_ARGUMENT;
  for (int64_t c = 0; c < p.cols; ++c) {
    double sum = 0;
    for (int64_t r = 0; r < p.rows; ++r) sum += get(p.x, r * p.cols + c);
    accumulate(p.y, c, sum);
  }
  return NSA_OK;
}

int sum_squares(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_sum_squares_params*>(params);
  double sum = 0;
  for (int64_t i = 0; i < p.x.numel; ++i) sum += get(p.x, i) * get(p.x, i);
  accumulate(p.y, 0, sum);
  return NSA_OK;
}

int fingerprint(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_fingerprint_params*>(params);
  if (p.y.numel != 2 || p.y.dtype != NSA_I32) return NSA_BAD_ARGUMENT;
  uint64_t sum = fingerprint_range(p.x, 0, p.x.numel);
  std::memcpy(p.y.ptr, &sum, sizeof sum);
  return NSA_OK;
}

}  // namespace

void register_reduce(NsaOpFn* ops) {
  ops[NSA_OP_reduce] = reduce;
  ops[NSA_OP_segment_reduce] = segment_reduce;
  ops[NSA_OP_segment_broadcast] = segment_broadcast;
  ops[NSA_OP_col_sum] = col_sum;
  ops[NSA_OP_sum_squares] = sum_squares;
  ops[NSA_OP_fingerprint] = fingerprint;
}

}  // namespace nsa::ref
