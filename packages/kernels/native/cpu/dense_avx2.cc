// DenseKernels for AVX2 with FMA.
#include "cpu/dense_kernels.h"
#if defined(__x86_64__)
#include <immintrin.h>

#include <cstring>
#pragma GCC target("avx2,fma")
#define NSA_ISA avx2
#define NSA_W 8
#include "cpu/dense_kernels_impl.h"
#endif
