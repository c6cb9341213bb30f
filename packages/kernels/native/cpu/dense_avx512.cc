// DenseKernels for AVX-512.
#include "cpu/dense_kernels.h"
#if defined(__x86_64__)
#include <immintrin.h>

#include <cstring>
#pragma GCC target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")
#define NSA_ISA avx512
#define NSA_W 16
#include "cpu/dense_kernels_impl.h"
#endif
