// MinHash signatures of normalised text (words separated by single spaces), bit-equal to the TypeScript twin.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

namespace nsa::data {

// Appends `hashes` values for each newline-ended document: the least of each hash over its shingles of
// `shingle_words` words (all words, when there are fewer). A document without words gets all ones.
void minhash(std::string_view text, int shingle_words, int hashes, uint32_t seed, std::vector<uint32_t>& out);

}  // namespace nsa::data
