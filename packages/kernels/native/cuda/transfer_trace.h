// Times of the last step's transfers beside the backward, for NSA_COMM_TRACE=<folder>: rank-<n>.json, written when the device is closed.
#pragma once
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace nsa::cuda {

class TransferTrace {
 public:
  TransferTrace() {
    if (const char* folder = std::getenv("NSA_COMM_TRACE")) folder_ = folder;
  }

  void begin(cudaStream_t side) {
    if (folder_.empty()) return;
    if (settled_) sets_[now_].used = 0;
    settled_ = false;
    record(pair().began, side);
  }
  void end(cudaStream_t side) {
    if (folder_.empty()) return;
    record(pair().ended, side);
    ++sets_[now_].used;
  }
  // The device's stream has done all else that the step gave it, and waits for the transfers.
  void settle(cudaStream_t stream) {
    if (folder_.empty() || settled_) return;
    settled_ = true;
    if (sets_[now_].used < 2) return;  // weights after the update
    record(sets_[now_].compute_done, stream);
    backward_ = now_;
    now_ = 1 - now_;
  }

  void write(int rank) {
    if (folder_.empty() || backward_ < 0) return;
    const Set& set = sets_[backward_];
    std::FILE* file = std::fopen((folder_ + "/rank-" + std::to_string(rank) + ".json").c_str(), "w");
    if (!file) return;
    const cudaEvent_t zero = set.pairs[0].began;
    std::fprintf(file, "{\"backward_done_ms\":%.3f,\"transfers_ms\":[", ms(zero, set.compute_done));
    for (size_t i = 0; i < set.used; ++i)
      std::fprintf(file, "%s[%.3f,%.3f]", i ? "," : "", ms(zero, set.pairs[i].began), ms(zero, set.pairs[i].ended));
    std::fprintf(file, "]}\n");
    std::fclose(file);
  }

 private:
  struct Pair {
    cudaEvent_t began = nullptr, ended = nullptr;
  };
  // Two in turn: recorded steps hold on to the events of the one they were recorded with.
  struct Set {
    std::vector<Pair> pairs;
    size_t used = 0;
    cudaEvent_t compute_done = nullptr;
  };

  static float ms(cudaEvent_t from, cudaEvent_t to) {
    float out = -1;
    return cudaEventElapsedTime(&out, from, to) == cudaSuccess ? out : -1;
  }
  Pair& pair() {
    Set& set = sets_[now_];
    if (set.pairs.size() <= set.used) set.pairs.resize(set.used + 1);
    return set.pairs[set.used];
  }
  // External: a recorded step notes the time at each of its runs.
  static void record(cudaEvent_t& e, cudaStream_t stream) {
    if (!e) cudaEventCreate(&e);
    cudaStreamCaptureStatus state = cudaStreamCaptureStatusNone;
    cudaStreamIsCapturing(stream, &state);
    cudaEventRecordWithFlags(e, stream, state == cudaStreamCaptureStatusNone ? cudaEventRecordDefault : cudaEventRecordExternal);
  }

  std::string folder_;
  Set sets_[2];
  int now_ = 0, backward_ = -1;
  bool settled_ = true;
};

}  // namespace nsa::cuda
