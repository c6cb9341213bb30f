// The tile registers of AMX in plain C++, by the pseudocode of Intel's manual, for machines without them: 16 rows of 16 words.
#pragma once
#include <cstdint>
#include <cstring>

namespace nsa::cpu::tiles {

inline thread_local uint32_t registers[8][16][16];
inline thread_local bool configured = false;

inline float as_float(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

inline void load(int t, const void* from, size_t bytes) {
  if (!configured) __builtin_trap();
  for (size_t r = 0; r < 16; ++r) std::memcpy(registers[t][r], static_cast<const char*>(from) + r * bytes, 64);
}
inline void store(int t, void* to, size_t bytes) {
  for (size_t r = 0; r < 16; ++r) std::memcpy(static_cast<char*>(to) + r * bytes, registers[t][r], 64);
}

// c += a·b over pairs: even and odd k have a sum each, and their sum is added to c.
inline void dp(int c, int a, int b) {
  for (int m = 0; m < 16; ++m)
    for (int n = 0; n < 16; ++n) {
      float even = 0, odd = 0;
      for (int k = 0; k < 16; ++k) {
        const uint32_t x = registers[a][m][k], y = registers[b][k][n];
        even = __builtin_fmaf(as_float(x << 16), as_float(y << 16), even);
        odd = __builtin_fmaf(as_float(x & 0xffff0000u), as_float(y & 0xffff0000u), odd);
      }
      const float sum = as_float(registers[c][m][n]) + (even + odd);
      std::memcpy(&registers[c][m][n], &sum, 4);
    }
}

}  // namespace nsa::cpu::tiles

#define TILE_ZERO(t) std::memset(nsa::cpu::tiles::registers[t], 0, sizeof nsa::cpu::tiles::registers[t])
#define TILE_LOAD(t, from, bytes) nsa::cpu::tiles::load(t, from, bytes)
#define TILE_STORE(t, to, bytes) nsa::cpu::tiles::store(t, to, bytes)
#define TILE_DP(c, a, b) nsa::cpu::tiles::dp(c, a, b)
#define TILE_CONFIGURE(config) (void)(config), nsa::cpu::tiles::configured = true
#define TILE_RELEASE() nsa::cpu::tiles::configured = false
