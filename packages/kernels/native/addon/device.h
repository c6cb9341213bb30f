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
  Pool* pool = nullptr;
  bool used = false;
};

// A captured step. What it allocated stays its own until it is destroyed, so that a replay overwrites nobody.
struct Graph {
  void* handle = nullptr;
  std::unique_ptr<Pool> pool;
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

  // Between begin and end everything is allocated from the graph's own pool. end returns the graph's index, −1 on failure.
  int capture_begin();
  int64_t capture_end();
  int graph_launch(int64_t graph);
  void graph_destroy(int64_t graph);

  // Where new memory comes from: the device's pool, or that of the step being captured.
  Pool* current() { return capturing_ ? capturing_.get() : pool.get(); }
  // Sums over the device's pool and those of its graphs.
  int64_t live_bytes() const;
  int64_t reserved_bytes() const;
  int64_t peak_bytes() const;

  const NsaBackend* backend = nullptr;
  void* ctx = nullptr;
  std::unique_ptr<Pool> pool;
  int64_t live_handles = 0;

 private:
  double take_slot(const Slot& s);
  std::vector<Slot> slots_{Slot{}};  // slot 0 is never handed out
  std::vector<uint32_t> free_slots_;
  std::unique_ptr<Pool> capturing_;
  std::vector<Graph> graphs_;
  void* library_ = nullptr;
};

}  // namespace nsa::addon
