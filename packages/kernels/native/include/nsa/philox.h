// Philox4x32-10 (Salmon et al., 2011, Random123): the same words on every backend and in TypeScript.
#pragma once
#include <cstdint>

namespace nsa {

// First word of the counter: what the numbers are for.
enum PhiloxStream : uint32_t { kStreamSample = 3, kStreamRounding = 4 };

struct Philox {
  uint32_t word[4];
};

constexpr Philox philox(uint64_t key, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3) {
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
constexpr double philox_uniform(uint32_t word) { return (double(word) + 0.5) * 0x1p-32; }

// Random123's known answers.
constexpr bool philox_gives(Philox p, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  return p.word[0] == a && p.word[1] == b && p.word[2] == c && p.word[3] == d;
}
static_assert(philox_gives(philox(0, 0, 0, 0, 0), 0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u));
static_assert(philox_gives(philox(~0ull, ~0u, ~0u, ~0u, ~0u), 0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu));
static_assert(philox_gives(philox(0x299f31d0a4093822ull, 0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u), 0xd16cfe09u,
                           0x94fdccebu, 0x5001e420u, 0x24126ea1u));

}  // namespace nsa
