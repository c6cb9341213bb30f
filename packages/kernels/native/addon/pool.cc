// Best-fit pool; see pool.h.
#include "addon/pool.h"

#include <algorithm>
#include <iterator>

namespace nsa::addon {
namespace {
constexpr size_t kAlign = 256;
constexpr size_t kSlab = size_t(32) << 20;
}  // namespace

Pool::~Pool() {
  for (const Slab& s : slabs_)
    if (s.ptr) backend_->free(*ctx_, s.ptr);
  budget_->reserved -= reserved_;
}

char* Pool::slab(size_t bytes) {
  if (!budget_->allows(bytes)) return nullptr;
  char* p = static_cast<char*>(backend_->alloc(*ctx_, bytes));
  if (!p) return nullptr;
  slabs_.push_back({p, bytes});
  reserved_ += int64_t(bytes);
  budget_->reserved += int64_t(bytes);
  return p;
}

bool Pool::trim() {
  bool any = false;
  for (size_t i = 0; i < slabs_.size(); ++i) {
    Slab& s = slabs_[i];
    auto it = s.ptr ? blocks_.find(s.ptr) : blocks_.end();
    if (it == blocks_.end() || it->second.used || it->second.size != s.bytes) continue;
    free_.erase({s.bytes, s.ptr});
    blocks_.erase(it);
    backend_->free(*ctx_, s.ptr);
    reserved_ -= int64_t(s.bytes);
    budget_->reserved -= int64_t(s.bytes);
    s.ptr = nullptr;
    any = true;
  }
  return any;
}

void* Pool::alloc(size_t bytes) {
  size_t need = std::max<size_t>((bytes + kAlign - 1) / kAlign * kAlign, kAlign);
  auto it = free_.lower_bound({need, nullptr});
  if (it == free_.end()) {
    size_t slab_bytes = std::max(need, kSlab);
    char* p = slab(slab_bytes);
    if (!p && slab_bytes > need) p = slab(slab_bytes = need);
    if (!p) return nullptr;
    Block b{slab_bytes, slabs_.size(), false};
    blocks_[p] = b;
    it = free_.insert({slab_bytes, p}).first;
  }
  char* p = it->second;
  free_.erase(it);
  Block& b = blocks_[p];
  if (b.size > need) {
    Block rest{b.size - need, b.slab, false};
    blocks_[p + need] = rest;
    insert_free(p + need, rest);
    b.size = need;
  }
  b.used = true;
  live_ += int64_t(need);
  peak_ = std::max(peak_, live_);
  return p;
}

void Pool::free(void* ptr) {
  auto it = blocks_.find(static_cast<char*>(ptr));
  if (it == blocks_.end() || !it->second.used) return;
  it->second.used = false;
  live_ -= int64_t(it->second.size);
  auto next = std::next(it);
  if (next != blocks_.end() && !next->second.used && next->second.slab == it->second.slab) {
    free_.erase({next->second.size, next->first});
    it->second.size += next->second.size;
    blocks_.erase(next);
  }
  if (it != blocks_.begin()) {
    auto prev = std::prev(it);
    if (!prev->second.used && prev->second.slab == it->second.slab) {
      free_.erase({prev->second.size, prev->first});
      prev->second.size += it->second.size;
      blocks_.erase(it);
      it = prev;
    }
  }
  insert_free(it->first, it->second);
}

}  // namespace nsa::addon
