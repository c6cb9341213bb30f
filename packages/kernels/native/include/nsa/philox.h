// Philox4x32-10 (Salmon et al., 2011, Random123): the same words on every backend and in TypeScript.
#pragma once
#include <cstdint>

namespace nsa {

// First word of the counter: what the numbers are for.
enum PhiloxStream : uint32_t { kStreamSample = 3, kStreamRounding = 4 };

struct Philox {
  uint32_t word[4];
};

inline Philox philox(uint64_t key, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3) {
  uint32_t k0 = uint32_t(key), k1 = uint32_t(key >> 32);
  for (int round = 0; round < 10; ++round) {
    uint64_t a = uint64_t(0xD2511F53u) * c0, b = uint64_t(0xCD9E8D57u) * c2;
    uint32_t n0 = uint32_t(b >> 32) ^ c1 ^ k0, n2 = uint32_t(a >> 32) ^ c3 ^ k1;
    c0 = n0;
    c1 = uint32_t(b);
    c2 = n2;
    c3 = uint32_t(a);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// (0, 1), never an end.
inline double philox_uniform(uint32_t word) { return (double(word) + 0.5) * 0x1p-32; }

}  // namespace nsa
