// The terms of `fingerprint`: every element's bits mixed with its place, so that a sum of them sees each bit and each exchange.
#pragma once
#include <stdint.h>

#include "nsa/abi.h"

#ifdef __CUDACC__
#define NSA_HOST_DEVICE __host__ __device__
#else
#define NSA_HOST_DEVICE
#endif

namespace nsa {

// SplitMix64 (Steele, Lea, Flood 2014) of the element's bits at place i.
NSA_HOST_DEVICE inline uint64_t fingerprint_term(uint64_t bits, int64_t i) {
  uint64_t z = bits + (uint64_t(i) + 1) * 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

// Bits of element i, zero-extended.
NSA_HOST_DEVICE inline uint64_t bits_at(const void* x, int32_t dtype, int64_t i) {
  switch (dtype) {
    case NSA_F64:
    case NSA_I64: return static_cast<const uint64_t*>(x)[i];
    case NSA_BF16: return static_cast<const uint16_t*>(x)[i];
    case NSA_U8: return static_cast<const uint8_t*>(x)[i];
    default: return static_cast<const uint32_t*>(x)[i];
  }
}

// Σ of the terms of elements first … last − 1.
inline uint64_t fingerprint_range(const NsaBuf& x, int64_t first, int64_t last) {
  uint64_t sum = 0;
  for (int64_t i = first; i < last; ++i) sum += fingerprint_term(bits_at(x.ptr, x.dtype, i), i);
  return sum;
}

}  // namespace nsa
