// What every CPU op receives: the thread pool and the host's scratch memory.
#pragma once
#include <thread>

#include "cpu/threads.h"
#include "nsa/abi.h"

namespace nsa::cpu {

struct Context {
  Context(int threads, const NsaScratch& s) : pool(threads), scratch(s) {}
  ThreadPool pool;
  NsaScratch scratch;
};

// Scratch memory for the length of one op.
class Scratch {
 public:
  Scratch(void* ctx, size_t bytes)
      : scratch_(static_cast<Context*>(ctx)->scratch), ptr_(scratch_.alloc(scratch_.owner, bytes)) {}
  ~Scratch() {
    if (ptr_) scratch_.free(scratch_.owner, ptr_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  explicit operator bool() const { return ptr_ != nullptr; }
  template <class T>
  T* as() const {
    return static_cast<T*>(ptr_);
  }

 private:
  NsaScratch scratch_;
  void* ptr_;
};

inline ThreadPool& pool(void* ctx) { return static_cast<Context*>(ctx)->pool; }

}  // namespace nsa::cpu
