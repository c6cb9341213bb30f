// What every CUDA op receives: the stream, the card's limits, the host's scratch memory, and where an error is said.
#pragma once
#include <cuda_runtime.h>

#include <cstdio>

#include "nsa/abi.h"

namespace nsa::cuda {

struct CublasLt;
struct Nccl;

struct Context {
  cudaStream_t stream = nullptr;
  int ordinal = 0;
  int sm_count = 0;
  int arch = 0;          // 10·major + minor
  size_t max_smem = 0;   // bytes a block may have
  NsaScratch scratch{};
  char error[512] = "";
  CublasLt* cublaslt = nullptr;  // owned; null when the library is absent
  Nccl* nccl = nullptr;          // owned; null before the first collective
  void* workspace = nullptr;     // of cuBLASLt
  size_t workspace_bytes = 0;
  cudaEvent_t marks[64] = {};
  void* pinned = nullptr;        // staging of downloads
  size_t pinned_bytes = 0;
  // Staging of uploads, so that they do not wait for the stream: kSlots pieces used in turn, each free again at its event.
  static constexpr int kSlots = 16;
  static constexpr size_t kSlotBytes = size_t(1) << 20;
  char* slots = nullptr;
  cudaEvent_t slot_free[kSlots] = {};
  int next_slot = 0;
  // Downloads in two halves: pinned pieces and the events after which they are filled.
  static constexpr int kFetches = 8;
  static constexpr size_t kFetchBytes = size_t(64) << 10;
  char* fetched = nullptr;
  cudaEvent_t fetch_done[kFetches] = {};
};

inline Context& context(void* ctx) { return *static_cast<Context*>(ctx); }

inline int fail(void* ctx, int status, const char* why) {
  std::snprintf(context(ctx).error, sizeof Context::error, "%s", why);
  return status;
}
inline int unsupported(void* ctx, const char* why) { return fail(ctx, NSA_UNSUPPORTED, why); }
inline int bad_argument(void* ctx, const char* why) { return fail(ctx, NSA_BAD_ARGUMENT, why); }
inline int out_of_memory(void* ctx) { return fail(ctx, NSA_OUT_OF_MEMORY, "no scratch memory left"); }
inline int check(void* ctx, cudaError_t e) {
  if (e == cudaSuccess) return NSA_OK;
  cudaGetLastError();  // so that the next op is not blamed
  return fail(ctx, NSA_DEVICE_ERROR, cudaGetErrorString(e));
}
// After the last launch of an op.
inline int launched(void* ctx) { return check(ctx, cudaGetLastError()); }

// Scratch memory for the length of one op; stream-ordered, so it may be given back while kernels still run.
class Scratch {
 public:
  Scratch(void* ctx, size_t bytes)
      : scratch_(context(ctx).scratch), ptr_(bytes ? scratch_.alloc(scratch_.owner, bytes) : nullptr), empty_(bytes == 0) {}
  ~Scratch() {
    if (ptr_) scratch_.free(scratch_.owner, ptr_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  explicit operator bool() const { return ptr_ != nullptr || empty_; }
  template <class T>
  T* as() const {
    return static_cast<T*>(ptr_);
  }

 private:
  NsaScratch scratch_;
  void* ptr_;
  bool empty_;
};

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace nsa::cuda
