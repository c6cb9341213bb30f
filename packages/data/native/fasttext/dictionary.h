// Upstream fastText's dictionary: words before labels, FNV-1a hashes over signed bytes, exact spelling.
#pragma once
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace nsa::data {

inline constexpr std::string_view kEos = "</s>";
inline constexpr std::string_view kLabelPrefix = "__label__";
inline constexpr uint64_t kNgramMultiplier = 116049371;

inline uint32_t hash_word(std::string_view w) {
  uint32_t h = 2166136261u;
  for (char c : w) h = (h ^ uint32_t(int8_t(c))) * 16777619u;
  return h;
}

// space, \n, \r, \t, \v, \f, NUL
inline bool is_separator(uint8_t c) { return c <= 32 && (c == 32 || (c >= 9 && c <= 13) || c == 0); }

// n mod d for a fixed 32-bit d by one multiplication (Granlund and Montgomery, any 64-bit n).
class FastMod {
 public:
  explicit FastMod(uint64_t d) : d_(d) {
    shift_ = 0;
    while ((uint64_t(1) << shift_) < d) ++shift_;
    const auto excess = (unsigned __int128)((uint64_t(1) << shift_) - d);
    magic_ = uint64_t((excess << 64) / d) + 1;
  }
  uint64_t operator()(uint64_t n) const {
    if (d_ == 1) return 0;
    const uint64_t t = uint64_t(((unsigned __int128)magic_ * n) >> 64);
    return n - ((t + ((n - t) >> 1)) >> (shift_ - 1)) * d_;
  }

 private:
  uint64_t d_, magic_;
  int shift_;
};

class Dictionary {
 public:
  struct Entry {
    uint64_t start;
    uint32_t length;
    uint32_t hash;
    int64_t count;
    bool label;
  };

  Dictionary() { rehash(1 << 12); }

  // First eight bytes of a word, zero-padded: most words are told apart without touching their spelling.
  static uint64_t head_of(const char* p, size_t n) {
    uint64_t head = 0;
    std::memcpy(&head, p, n < 8 ? n : 8);
    return head;
  }

  int32_t find(const char* p, size_t n, uint32_t hash) const {
    const uint64_t head = head_of(p, n);
    for (size_t s = hash & mask_;; s = (s + 1) & mask_) {
      const Slot& slot = slots_[s];
      if (slot.id < 0) return -1;
      if (slot.hash == hash && slot.length == n && slot.head == head &&
          (n <= 8 || std::memcmp(arena_.data() + entries_[slot.id].start, p, n) == 0))
        return slot.id;
    }
  }

  int32_t insert(std::string_view word, uint32_t hash, int64_t count);
  void add(std::string_view word, uint32_t hash) {
    int32_t id = find(word.data(), word.size(), hash);
    if (id < 0) id = insert(word, hash, 0);
    ++entries_[id].count;
    ++ntokens;
  }
  // Counts the words of a text, `</s>` at each newline.
  void count_text(std::string_view text);
  // Drops rare words, then words before labels, frequent before rare, ties by first sight.
  void threshold(int64_t min_count);
  // Fixes nwords, nlabels and the id of `</s>` after the last insert.
  void finish();

  std::string_view word(int32_t id) const { return {arena_.data() + entries_[id].start, entries_[id].length}; }
  const std::vector<Entry>& entries() const { return entries_; }
  int32_t nwords = 0, nlabels = 0, eos = -1;
  int64_t ntokens = 0;

 private:
  struct Slot {
    uint64_t head;
    uint32_t hash, length;
    int32_t id = -1;
  };
  void rehash(size_t capacity);
  void place(int32_t id);
  std::vector<Slot> slots_;
  size_t mask_ = 0;
  std::vector<Entry> entries_;
  std::string arena_;
};

// Walks one line [p, end) without its newline as upstream's getLine does: on_row(row) for in-vocabulary words,
// `</s>` and word n-gram buckets; on_label(index) for known labels. Returns the tokens seen, `</s>` included.
template <class OnRow, class OnLabel>
int64_t walk_line(const Dictionary& dict, const FastMod& mod, int word_ngrams, uint32_t buckets, const char* p,
                  const char* end, OnRow&& on_row, OnLabel&& on_label) {
  constexpr int kMax = 16;
  uint64_t running[kMax];  // running[k]: hash of the n-gram that began k + 1 words ago
  int filled = 0;
  const int grams = buckets == 0 ? 0 : (word_ngrams - 1 < kMax ? word_ngrams - 1 : kMax);
  auto on_hash = [&](uint32_t h) {
    const uint64_t wide = uint64_t(int64_t(int32_t(h)));
    for (int k = filled - 1; k >= 0; --k) {
      const uint64_t gram = running[k] * kNgramMultiplier + wide;
      on_row(int32_t(dict.nwords + mod(gram)));
      if (k + 1 < grams) running[k + 1] = gram;
    }
    if (grams > 0) {
      running[0] = wide;
      if (filled < grams) ++filled;
    }
  };
  int64_t tokens = 1;
  while (p < end) {
    while (p < end && is_separator(uint8_t(*p))) ++p;
    if (p >= end) break;
    const char* from = p;
    uint32_t h = 2166136261u;
    for (; p < end && !is_separator(uint8_t(*p)); ++p) h = (h ^ uint32_t(int8_t(*p))) * 16777619u;
    const size_t n = size_t(p - from);
    ++tokens;
    const int32_t id = dict.find(from, n, h);
    if (id >= dict.nwords) {
      on_label(id - dict.nwords);
      continue;
    }
    if (id >= 0)
      on_row(id);
    else if (std::string_view(from, n).starts_with(kLabelPrefix))
      continue;
    on_hash(h);
  }
  if (dict.eos >= 0) on_row(dict.eos);
  on_hash(hash_word(kEos));
  return tokens;
}

}  // namespace nsa::data
