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
  int32_t first_op = -1;  // the op that first took it: what it is for
  bool used = false;
};

// An op written down by a device that records instead of having graphs of its own.
struct RecordedOp {
  int64_t op;
  std::vector<char> params;
};

// A captured step. Its memory is that of the arena it was recorded in, or its own until it is destroyed.
struct Graph {
  bool used = false;
  void* handle = nullptr;
  std::unique_ptr<Pool> pool;
  std::vector<RecordedOp> recorded;
};

size_t dtype_size(int32_t dtype);

class Device {
 public:
  static constexpr int kFetches = 8;
  // Downloads begun on a backend that finishes them at once.
  std::vector<char> fetched[kFetches];

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

  // Between begin and end everything is allocated from the arena entered, or else from the graph's own pool, and ops are
  // put down, not run. end returns the graph's index, −1 on failure.
  bool can_capture() const { return backend->capture_begin || records_; }
  int capture_begin();
  int64_t capture_end();
  int graph_launch(int64_t graph);
  void graph_destroy(int64_t graph);
  // A backend without graphs writes down ops and runs them again: captured steps can be tested on it.
  void record_ops() { records_ = true; }
  bool recording() const { return recording_; }
  void record(int64_t op, const char* params, size_t bytes) { recorded_.push_back({op, std::vector<char>(params, params + bytes)}); }

  // An arena is memory apart: steps that are repeated, run or replayed, use it in turn and nothing else does.
  int64_t arena_make();
  int arena_enter(int64_t arena);
  int arena_leave();
  void arena_free(int64_t arena);

  // Bytes that may be taken from the backend; 0 = all there are.
  void set_limit(int64_t bytes) { budget_.limit = bytes; }
  // From where new memory comes now. When it is full, what the common pool holds unused is given back first.
  void* take(size_t bytes);
  Pool* current() { return capturing_ ? capturing_.get() : arena_ ? arena_ : pool.get(); }
  // Sums over all pools.
  int64_t live_bytes() const { return total(&Pool::live_bytes); }
  int64_t reserved_bytes() const { return total(&Pool::reserved_bytes); }
  int64_t peak_bytes() const { return total(&Pool::peak_bytes); }
  void reset_peak();
  const std::vector<Slot>& slots() const { return slots_; }
  static double handle_of(uint32_t index, const Slot& s);

  const NsaBackend* backend = nullptr;
  void* ctx = nullptr;
  std::unique_ptr<Pool> pool;
  int64_t live_handles = 0;

 private:
  double take_slot(const Slot& s);
  int64_t total(int64_t (Pool::*count)() const) const;
  void forget_slots(const Pool* gone);
  Budget budget_;
  std::vector<Slot> slots_{Slot{}};  // slot 0 is never handed out
  std::vector<uint32_t> free_slots_;
  std::vector<std::unique_ptr<Pool>> arenas_;
  Pool* arena_ = nullptr;            // the arena entered
  std::unique_ptr<Pool> capturing_;  // of a step recorded outside arenas
  std::vector<RecordedOp> recorded_;
  bool records_ = false, recording_ = false, captures_ = false;
  std::vector<Graph> graphs_;
  void* library_ = nullptr;
};

}  // namespace nsa::addon
