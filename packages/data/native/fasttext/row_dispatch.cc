// Chooses the row kernels for the processor at hand.
#include "fasttext/row_kernels.h"

namespace nsa::data {

extern const RowKernels kRowKernels_baseline;
#if defined(__x86_64__)
extern const RowKernels kRowKernels_avx2;
extern const RowKernels kRowKernels_avx512;
#endif

const RowKernels& row_kernels() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
    return kRowKernels_avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return kRowKernels_avx2;
#endif
  return kRowKernels_baseline;
}

}  // namespace nsa::data
