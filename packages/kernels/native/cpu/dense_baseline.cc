// DenseKernels for any machine, and the choice of the best set.
#include "cpu/dense_kernels.h"

#include <cstring>
#define NSA_ISA baseline
#define NSA_W 4
#include "cpu/dense_kernels_impl.h"

namespace nsa::cpu {

const DenseKernels& dense_kernels() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")) return avx512::kDense;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2::kDense;
#endif
  return baseline::kDense;
}

}  // namespace nsa::cpu
