// VecKernels for AVX2 with FMA.
#include "cpu/vec.h"
#if defined(__x86_64__)
#include <immintrin.h>

#include <cmath>
#include <cstring>
#include <limits>
#pragma GCC target("avx2,fma")
#define NSA_ISA avx2
#define NSA_W 8
#include "cpu/vec_impl.h"
#endif
