// AttnKernels for the compiler's default target (SSE2, NEON), and the choice between the sets.
#include "cpu/attn_kernels.h"
#define NSA_ISA baseline
#define NSA_W 4
#include "cpu/attn_kernels_impl.h"

namespace nsa::cpu {

const AttnKernels& attn_kernels() {
#if defined(__x86_64__)
  static const AttnKernels& best = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                                           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")
                                       ? avx512::kAttn
                                   : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? avx2::kAttn
                                                                                                      : baseline::kAttn;
  return best;
#else
  return baseline::kAttn;
#endif
}

}  // namespace nsa::cpu
