// AttnKernels for AVX2 with FMA.
#include "cpu/attn_kernels.h"
#if defined(__x86_64__)
#include <immintrin.h>

#include <cstring>
#include <limits>
#pragma GCC target("avx2,fma")
#define NSA_ISA avx2
#define NSA_W 8
#include "cpu/attn_kernels_impl.h"
#endif
