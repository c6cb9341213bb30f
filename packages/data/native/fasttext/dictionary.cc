// Dictionary building: counting, pruning, ordering.
#include "fasttext/dictionary.h"

#include <algorithm>
#include <numeric>

namespace nsa::data {

void Dictionary::place(int32_t id) {
  const Entry& e = entries_[id];
  size_t s = e.hash & mask_;
  while (slots_[s].id >= 0) s = (s + 1) & mask_;
  slots_[s] = {head_of(arena_.data() + e.start, e.length), e.hash, e.length, id};
}

void Dictionary::rehash(size_t capacity) {
  slots_.assign(capacity, Slot{0, 0, 0, -1});
  mask_ = capacity - 1;
  for (size_t id = 0; id < entries_.size(); ++id) place(int32_t(id));
}

int32_t Dictionary::insert(std::string_view word, uint32_t hash, int64_t count) {
  const auto id = int32_t(entries_.size());
  entries_.push_back(
      {arena_.size(), uint32_t(word.size()), hash, count, word.starts_with(kLabelPrefix)});
  arena_.append(word);
  if (entries_.size() * 2 > slots_.size())
    rehash(slots_.size() * 2);
  else
    place(id);
  return id;
}

void Dictionary::count_text(std::string_view text) {
  const uint32_t eos_hash = hash_word(kEos);
  const char* p = text.data();
  const char* end = p + text.size();
  while (p < end) {
    if (*p == '\n') {
      add(kEos, eos_hash);
      ++p;
      continue;
    }
    if (is_separator(uint8_t(*p))) {
      ++p;
      continue;
    }
    const char* from = p;
    while (p < end && !is_separator(uint8_t(*p))) ++p;
    const std::string_view word(from, size_t(p - from));
    add(word, hash_word(word));
  }
}

void Dictionary::threshold(int64_t min_count) {
  std::vector<int32_t> ids;
  for (size_t id = 0; id < entries_.size(); ++id)
    if (entries_[id].label || entries_[id].count >= min_count) ids.push_back(int32_t(id));
  std::sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) {
    const Entry &x = entries_[a], &y = entries_[b];
    if (x.label != y.label) return y.label;
    if (x.count != y.count) return x.count > y.count;
    return a < b;
  });
  const std::vector<Entry> old = std::move(entries_);
  const std::string arena = std::move(arena_);
  entries_.clear();
  arena_.clear();
  rehash(1 << 12);
  for (int32_t id : ids)
    insert(std::string_view(arena).substr(old[id].start, old[id].length), old[id].hash, old[id].count);
  finish();
}

void Dictionary::finish() {
  nlabels = int32_t(std::count_if(entries_.begin(), entries_.end(), [](const Entry& e) { return e.label; }));
  nwords = int32_t(entries_.size()) - nlabels;
  eos = find(kEos.data(), kEos.size(), hash_word(kEos));
}

}  // namespace nsa::data
