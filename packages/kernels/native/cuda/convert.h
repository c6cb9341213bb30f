// Loads and stores of f32 and bf16 as f32, 16 bytes at a time where the address allows, and reductions in a fixed order.
#pragma once
#include <cuda_bf16.h>
#include <stdint.h>

#include "nsa/abi.h"

namespace nsa::cuda {

using bf16 = __nv_bfloat16;

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(bf16 x) { return __bfloat162float(x); }
__device__ inline void from_float(float x, float& y) { y = x; }
__device__ inline void from_float(float x, bf16& y) { y = __float2bfloat16_rn(x); }

// Elements of T in 16 bytes.
template <class T>
constexpr int kVec = 16 / int(sizeof(T));

// 16 bytes as floats; the address is 16-byte aligned.
template <class T>
__device__ inline void load_vec(float (&x)[kVec<T>], const T* p) {
  uint4 raw = *reinterpret_cast<const uint4*>(p);
  const T* e = reinterpret_cast<const T*>(&raw);
#pragma unroll
  for (int i = 0; i < kVec<T>; ++i) x[i] = to_float(e[i]);
}
template <class T>
__device__ inline void store_vec(T* p, const float (&x)[kVec<T>]) {
  uint4 raw;
  T* e = reinterpret_cast<T*>(&raw);
#pragma unroll
  for (int i = 0; i < kVec<T>; ++i) from_float(x[i], e[i]);
  *reinterpret_cast<uint4*>(p) = raw;
}

inline size_t dtype_bytes(int32_t dtype) {
  static const size_t bytes[] = {4, 2, 4, 8, 8, 1};
  return bytes[dtype];
}

inline bool aligned16(const void* p) { return (reinterpret_cast<uintptr_t>(p) & 15) == 0; }

__device__ inline float warp_sum(float x) {
#pragma unroll
  for (int m = 16; m > 0; m >>= 1) x += __shfl_xor_sync(~0u, x, m);
  return x;
}
__device__ inline float warp_max(float x) {
#pragma unroll
  for (int m = 16; m > 0; m >>= 1) x = fmaxf(x, __shfl_xor_sync(~0u, x, m));
  return x;
}

// Sum over a block of THREADS, the same in every thread. `shared` holds one value per warp; a barrier precedes its reuse.
template <int THREADS, class Op>
__device__ inline float block_reduce(float x, float* shared, float identity, Op op) {
#pragma unroll
  for (int m = 16; m > 0; m >>= 1) x = op(x, __shfl_xor_sync(~0u, x, m));
  if constexpr (THREADS == 32) return x;
  __syncthreads();
  if ((threadIdx.x & 31) == 0) shared[threadIdx.x >> 5] = x;
  __syncthreads();
  x = (threadIdx.x & 31) < THREADS / 32 ? shared[threadIdx.x & 31] : identity;
#pragma unroll
  for (int m = 16; m > 0; m >>= 1) x = op(x, __shfl_xor_sync(~0u, x, m));
  return x;
}
template <int THREADS>
__device__ inline float block_sum(float x, float* shared) {
  return block_reduce<THREADS>(x, shared, 0.f, [](float a, float b) { return a + b; });
}
template <int THREADS>
__device__ inline float block_max(float x, float* shared) {
  return block_reduce<THREADS>(x, shared, -INFINITY, [](float a, float b) { return fmaxf(a, b); });
}

// Calls body with a null pointer of the element type (float or bf16); false for any other dtype.
template <class Body>
bool with_float_type(int32_t dtype, Body&& body) {
  if (dtype == NSA_F32) return body(static_cast<float*>(nullptr)), true;
  if (dtype == NSA_BF16) return body(static_cast<bf16*>(nullptr)), true;
  return false;
}

}  // namespace nsa::cuda
