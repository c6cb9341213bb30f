// Row-times-row products of the plain NSA kernels: a row of floats in shared memory with a row of f32 or bf16 in global memory.
#pragma once
#include "cuda/convert.h"

namespace nsa::cuda {

// Σ x[c]·y[c]; WIDE: n is a multiple of kVec<T> and both addresses are 16-byte aligned.
template <bool WIDE, class T>
__device__ inline float dot_row(const float* x, const T* y, int n) {
  float sum = 0;
  if constexpr (WIDE) {
    for (int c = 0; c < n; c += kVec<T>) {
      float e[kVec<T>];
      load_vec(e, y + c);
#pragma unroll
      for (int j = 0; j < kVec<T>; j += 4) {
        float4 a = *reinterpret_cast<const float4*>(x + c + j);
        sum = fmaf(a.x, e[j], sum), sum = fmaf(a.y, e[j + 1], sum), sum = fmaf(a.z, e[j + 2], sum), sum = fmaf(a.w, e[j + 3], sum);
      }
    }
  } else {
    for (int c = 0; c < n; ++c) sum = fmaf(x[c], to_float(y[c]), sum);
  }
  return sum;
}

}  // namespace nsa::cuda
