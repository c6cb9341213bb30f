// VecKernels for the compiler's default target (SSE2, NEON), and the choice between the sets.
#include "cpu/vec.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "cpu/isa.h"
#define NSA_ISA baseline
#define NSA_W 4
#include "cpu/vec_impl.h"

namespace nsa::cpu {

const VecKernels& vec() {
#if defined(__x86_64__)
  return isa() >= Isa::avx512 ? avx512::kVec : isa() == Isa::avx2 ? avx2::kVec : baseline::kVec;
#else
  return baseline::kVec;
#endif
}

}  // namespace nsa::cpu
