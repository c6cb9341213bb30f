// VecKernels for AVX-512F.
#include "cpu/vec.h"
#if defined(__x86_64__)
#include <immintrin.h>

#include <cmath>
#include <cstring>
#include <limits>
#pragma GCC target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,prefer-vector-width=512")
#define NSA_ISA avx512
#define NSA_W 16
#include "cpu/vec_impl.h"
#endif
