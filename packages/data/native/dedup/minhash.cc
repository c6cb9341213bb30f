// h_k(x) = mix((x ^ c_k) · a_k) over 32 bits, a_k odd; the signature is the minimum over all shingles.
#include "dedup/minhash.h"

#include <algorithm>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define NSA_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define NSA_CLONES
#endif

namespace nsa::data {
namespace {

uint32_t finalise(uint32_t x) {
  x ^= x >> 16;
  x *= 0x85ebca6bu;
  x ^= x >> 13;
  x *= 0xc2b2ae35u;
  return x ^ (x >> 16);
}

constexpr int kBlock = 32;  // hashes whose minima stay in registers over all shingles

NSA_CLONES void minima(const uint32_t* shingles, size_t count, const uint32_t* a, const uint32_t* c, uint32_t* out) {
  uint32_t best[kBlock];
  for (int k = 0; k < kBlock; ++k) best[k] = ~0u;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t x = shingles[i];
    for (int k = 0; k < kBlock; ++k) {
      uint32_t h = (x ^ c[k]) * a[k];
      h ^= h >> 16;
      best[k] = h < best[k] ? h : best[k];
    }
  }
  for (int k = 0; k < kBlock; ++k) out[k] = best[k];
}

}  // namespace

void minhash(std::string_view text, int shingle_words, int hashes, uint32_t seed, std::vector<uint32_t>& out) {
  const int padded = (hashes + kBlock - 1) / kBlock * kBlock;
  std::vector<uint32_t> a(padded), c(padded), signature(padded);
  for (int k = 0; k < padded; ++k) {
    a[k] = finalise(seed + uint32_t(2 * k) * 0x9e3779b1u) | 1u;
    c[k] = finalise(seed + uint32_t(2 * k + 1) * 0x9e3779b1u);
  }
  std::vector<uint32_t> words, shingles;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    words.clear();
    shingles.clear();
    for (size_t i = at; i < end;) {
      uint32_t h = 2166136261u;
      const size_t from = i;
      for (; i < end && text[i] != ' '; ++i) h = (h ^ uint8_t(text[i])) * 16777619u;
      if (i > from) words.push_back(h);
      ++i;
    }
    at = end + 1;
    const size_t n = words.size();
    const size_t width = std::min(n, size_t(shingle_words));
    for (size_t i = 0; n > 0 && i + width <= n; ++i) {
      uint32_t h = 0;
      for (size_t j = 0; j < width; ++j) h = (h ^ words[i + j]) * 0x9e3779b1u + 0x7f4a7c15u;
      shingles.push_back(finalise(h));
    }
    for (int k = 0; k < padded; k += kBlock)
      minima(shingles.data(), shingles.size(), &a[k], &c[k], &signature[k]);
    out.insert(out.end(), signature.begin(), signature.begin() + hashes);
  }
}

}  // namespace nsa::data
