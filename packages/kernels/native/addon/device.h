// An open backend: its context, its pool, and the table of handles with generations.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "addon/pool.h"
#include "nsa/abi.h"

namespace nsa::addon {

// A slot of the handle table. A view shares its parent's memory and dies with the parent's generation.
struct Slot {
  char* ptr = nullptr;
  int64_t numel = 0;
  int32_t dtype = 0;
  uint32_t generation = 0;
  double parent = 0;  // handle of the owner, 0 for owners
  bool used = false;
};

size_t dtype_size(int32_t dtype);

class Device {
 public:
  // Null with the reason in error when the backend cannot be opened.
  static std::unique_ptr<Device> open(const std::string& name, const std::string& plugin, int64_t threads, int64_t ordinal,
                                      std::string& error);
  ~Device();

  // Handles are slot + generation·2^24, never 0. 0 when out of memory.
  double alloc(int64_t numel, int32_t dtype);
  double view(double handle, int64_t offset, int64_t numel);
  bool free(double handle);
  // Null when the handle is stale.
  Slot* resolve(double handle);

  const NsaBackend* backend = nullptr;
  void* ctx = nullptr;
  std::unique_ptr<Pool> pool;
  int64_t live_handles = 0;

 private:
  double take_slot(const Slot& s);
  std::vector<Slot> slots_{Slot{}};  // slot 0 is never handed out
  std::vector<uint32_t> free_slots_;
  void* library_ = nullptr;
};

}  // namespace nsa::addon
