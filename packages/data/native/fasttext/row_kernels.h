// Vector work on matrix rows, one table of functions per instruction set. All add element by element in the same
// order; only dot products differ in their partial sums between instruction sets.
#pragma once
#include <cstddef>
#include <cstdint>

namespace nsa::data {

struct RowKernels {
  const char* isa;
  // hidden[dim] = mean of the rows.
  void (*mean_rows)(const float* matrix, const int32_t* rows, size_t count, size_t dim, float* hidden);
  // each row += grad[dim].
  void (*add_to_rows)(float* matrix, const int32_t* rows, size_t count, size_t dim, const float* grad);
  float (*dot)(const float* a, const float* b, size_t dim);
  // y += alpha * x
  void (*axpy)(float* y, const float* x, float alpha, size_t dim);
};

// The fastest table that this processor runs.
const RowKernels& row_kernels();

}  // namespace nsa::data
