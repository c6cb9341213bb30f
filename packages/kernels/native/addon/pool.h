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

class Pool {
 public:
  Pool(const NsaBackend* backend, void** ctx) : backend_(backend), ctx_(ctx) {}
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

 private:
  struct Block {
    size_t size;
    size_t slab;
    bool used;
  };
  void insert_free(char* p, const Block& b) { free_.insert({b.size, p}); }

  const NsaBackend* backend_;
  void** ctx_;
  std::map<char*, Block> blocks_;             // by address
  std::set<std::pair<size_t, char*>> free_;   // by size, then address
  std::vector<char*> slabs_;
  int64_t live_ = 0, peak_ = 0, reserved_ = 0;
};

}  // namespace nsa::addon
