// Row kernels in GNU vector extensions; compiled once per instruction set with NSA_ISA set to its name.
#include "fasttext/row_kernels.h"

#include <cstring>

#define NSA_CAT2(a, b) a##b
#define NSA_CAT(a, b) NSA_CAT2(a, b)
#define NSA_STR2(a) #a
#define NSA_STR(a) NSA_STR2(a)

namespace nsa::data {
namespace NSA_CAT(rows_, NSA_ISA) {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
constexpr int kUnroll = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
constexpr int kUnroll = 8;
#else
constexpr int kLanes = 4;
constexpr int kUnroll = 8;
#endif
typedef float Vec __attribute__((vector_size(kLanes * 4)));
constexpr size_t kChunk = size_t(kLanes) * kUnroll;
constexpr size_t kAhead = 6;  // rows; covers a memory access at the speed the adds run

inline Vec load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline void store(float* p, Vec v) { std::memcpy(p, &v, sizeof v); }

template <bool kWrite>
inline void prefetch(const float* p, size_t floats) {
  for (size_t i = 0; i < floats; i += 16) __builtin_prefetch(p + i, kWrite, 3);
}

// A chunk of the columns at a time, its sums held in registers over all rows.
void mean_rows(const float* matrix, const int32_t* rows, size_t count, size_t dim, float* hidden) {
  const float scale = 1.0f / float(count);
  size_t k = 0;
  for (; k + kChunk <= dim; k += kChunk) {
    Vec acc[kUnroll] = {};
    for (size_t r = 0; r < count; ++r) {
      if (r + kAhead < count) prefetch<false>(matrix + size_t(rows[r + kAhead]) * dim + k, kChunk);
      const float* row = matrix + size_t(rows[r]) * dim + k;
      for (int u = 0; u < kUnroll; ++u) acc[u] += load(row + u * kLanes);
    }
    for (int u = 0; u < kUnroll; ++u) store(hidden + k + u * kLanes, acc[u] * scale);
  }
  for (; k + kLanes <= dim; k += kLanes) {
    Vec acc = {};
    for (size_t r = 0; r < count; ++r) acc += load(matrix + size_t(rows[r]) * dim + k);
    store(hidden + k, acc * scale);
  }
  for (; k < dim; ++k) {
    float acc = 0;
    for (size_t r = 0; r < count; ++r) acc += matrix[size_t(rows[r]) * dim + k];
    hidden[k] = acc * scale;
  }
}

void add_to_rows(float* matrix, const int32_t* rows, size_t count, size_t dim, const float* grad) {
  size_t k = 0;
  for (; k + kChunk <= dim; k += kChunk) {
    Vec g[kUnroll];
    for (int u = 0; u < kUnroll; ++u) g[u] = load(grad + k + u * kLanes);
    for (size_t r = 0; r < count; ++r) {
      if (r + kAhead < count) prefetch<true>(matrix + size_t(rows[r + kAhead]) * dim + k, kChunk);
      float* row = matrix + size_t(rows[r]) * dim + k;
      for (int u = 0; u < kUnroll; ++u) store(row + u * kLanes, load(row + u * kLanes) + g[u]);
    }
  }
  for (; k + kLanes <= dim; k += kLanes) {
    const Vec g = load(grad + k);
    for (size_t r = 0; r < count; ++r) {
      float* row = matrix + size_t(rows[r]) * dim + k;
      store(row, load(row) + g);
    }
  }
  for (; k < dim; ++k)
    for (size_t r = 0; r < count; ++r) matrix[size_t(rows[r]) * dim + k] += grad[k];
}

float dot(const float* a, const float* b, size_t dim) {
  Vec acc[4] = {};
  size_t k = 0;
  for (; k + 4 * kLanes <= dim; k += 4 * kLanes)
    for (int u = 0; u < 4; ++u) acc[u] += load(a + k + u * kLanes) * load(b + k + u * kLanes);
  for (; k + kLanes <= dim; k += kLanes) acc[0] += load(a + k) * load(b + k);
  const Vec v = (acc[0] + acc[1]) + (acc[2] + acc[3]);
  double sum = 0;
  for (int i = 0; i < kLanes; ++i) sum += v[i];
  for (; k < dim; ++k) sum += a[k] * b[k];
  return float(sum);
}

void axpy(float* y, const float* x, float alpha, size_t dim) {
  size_t k = 0;
  for (; k + kLanes <= dim; k += kLanes) store(y + k, load(y + k) + load(x + k) * alpha);
  for (; k < dim; ++k) y[k] += alpha * x[k];
}

}  // namespace NSA_CAT(rows_, NSA_ISA)

extern const RowKernels NSA_CAT(kRowKernels_, NSA_ISA);
const RowKernels NSA_CAT(kRowKernels_, NSA_ISA) = {
    NSA_STR(NSA_ISA),
    NSA_CAT(rows_, NSA_ISA)::mean_rows,
    NSA_CAT(rows_, NSA_ISA)::add_to_rows,
    NSA_CAT(rows_, NSA_ISA)::dot,
    NSA_CAT(rows_, NSA_ISA)::axpy,
};

}  // namespace nsa::data
