// Stream-ordered memory of one device: best fit over slabs taken from the backend, coalescing, with counters.
//
// The addresses handed out depend only on the sequence of calls, so equal runs see equal memory.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <unordered_map>
#include <vector>

#include "nsa/abi.h"

namespace nsa::addon {

// What all pools of a device may take together.
struct Budget {
  int64_t limit = 0, reserved = 0;
  bool allows(size_t bytes) const { return limit == 0 || reserved + int64_t(bytes) <= limit; }
};

class Pool {
 public:
  Pool(const NsaBackend* backend, void** ctx, Budget* budget) : backend_(backend), ctx_(ctx), budget_(budget) {}
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Null when the device has no memory left. Sizes are rounded up to 256 bytes.
  void* alloc(size_t bytes);
  void free(void* ptr);

  int64_t live_bytes() const { return live_; }
  int64_t peak_bytes() const { return peak_; }
  int64_t reserved_bytes() const { return reserved_; }
  void reset_peak() { peak_ = live_; }
  // Gives slabs back in which nothing lives; false when there were none.
  bool trim();

 private:
  struct Block {
    size_t size;
    size_t slab;
    bool used;
  };
  void insert_free(char* p, const Block& b) { free_.insert({b.size, p}); }

  char* slab(size_t bytes);

  const NsaBackend* backend_;
  void** ctx_;
  Budget* budget_;
  std::map<char*, Block> blocks_;             // by address
  std::set<std::pair<size_t, char*>> free_;   // by size, then address
  struct Slab {
    char* ptr;  // null once given back
    size_t bytes;
  };
  std::vector<Slab> slabs_;
  int64_t live_ = 0, peak_ = 0, reserved_ = 0;
};

}  // namespace nsa::addon
