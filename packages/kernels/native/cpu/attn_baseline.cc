// AttnKernels for the compiler's default target (SSE2, NEON), and the choice between the sets.
#include "cpu/attn_kernels.h"
#include "cpu/isa.h"
#define NSA_ISA baseline
#define NSA_W 4
#include "cpu/attn_kernels_impl.h"

namespace nsa::cpu {

const AttnKernels& attn_kernels() {
#if defined(__x86_64__)
  return isa() >= Isa::avx512 ? avx512::kAttn : isa() == Isa::avx2 ? avx2::kAttn : baseline::kAttn;
#else
  return baseline::kAttn;
#endif
}

}  // namespace nsa::cpu
