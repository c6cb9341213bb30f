// VecKernels for the compiler's default target (SSE2, NEON), and the choice between the sets.
#include "cpu/vec.h"

#include <cmath>
#include <cstring>
#include <limits>
#define NSA_ISA baseline
#define NSA_W 4
#include "cpu/vec_impl.h"

namespace nsa::cpu {

const VecKernels& vec() {
#if defined(__x86_64__)
  static const VecKernels& best = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                                          __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")
                                      ? avx512::kVec
                                  : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? avx2::kVec
                                                                                                     : baseline::kVec;
  return best;
#else
  return baseline::kVec;
#endif
}

}  // namespace nsa::cpu
