// Helpers of the reference backend: buffers read and written as double whatever their dtype.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "nsa/abi.h"

namespace nsa::ref {

inline float bf16_to_float(uint16_t b) {
  uint32_t u = uint32_t(b) << 16;
  float f;
  std::memcpy(&f, &u, 4);
  return f;
}

// Round to nearest even; NaN stays NaN.
inline uint16_t float_to_bf16(float f) {
  uint32_t u;
  std::memcpy(&u, &f, 4);
  if ((u & 0x7fffffffu) > 0x7f800000u) return uint16_t((u >> 16) | 0x40);
  return uint16_t((u + 0x7fffu + ((u >> 16) & 1)) >> 16);
}

inline double get(const NsaBuf& b, int64_t i) {
  switch (b.dtype) {
    case NSA_F64: return static_cast<const double*>(b.ptr)[i];
    case NSA_F32: return static_cast<const float*>(b.ptr)[i];
    case NSA_BF16: return bf16_to_float(static_cast<const uint16_t*>(b.ptr)[i]);
    case NSA_I32: return static_cast<const int32_t*>(b.ptr)[i];
    case NSA_I64: return double(static_cast<const int64_t*>(b.ptr)[i]);
    default: return static_cast<const uint8_t*>(b.ptr)[i];
  }
}

inline void set(const NsaBuf& b, int64_t i, double v) {
  switch (b.dtype) {
    case NSA_F64: static_cast<double*>(b.ptr)[i] = v; break;
    case NSA_F32: static_cast<float*>(b.ptr)[i] = float(v); break;
    case NSA_BF16: static_cast<uint16_t*>(b.ptr)[i] = float_to_bf16(float(v)); break;
    case NSA_I32: static_cast<int32_t*>(b.ptr)[i] = int32_t(v); break;
    case NSA_I64: static_cast<int64_t*>(b.ptr)[i] = int64_t(v); break;
    default: static_cast<uint8_t*>(b.ptr)[i] = uint8_t(v); break;
  }
}

inline void accumulate(const NsaBuf& b, int64_t i, double v) { set(b, i, get(b, i) + v); }

inline int32_t index(const NsaBuf& b, int64_t i) { return static_cast<const int32_t*>(b.ptr)[i]; }

}  // namespace nsa::ref
