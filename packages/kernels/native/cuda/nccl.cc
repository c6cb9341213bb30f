// Loading NCCL, joining a world, and its four operations; see nccl.h.
#include "cuda/nccl.h"

#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <vector>

#include "cuda/library.h"
#include "cuda/transfer_trace.h"

namespace nsa::cuda {
namespace {

// Values of nccl.h (2.x), the ones used here.
constexpr int kInt32 = 2, kInt64 = 4, kUint8 = 1, kFloat32 = 7, kFloat64 = 8, kBfloat16 = 9, kSum = 0;
// ncclCommInitRank and the rest have been as they are here since 2.10, which brought bfloat16.
constexpr int kOldest = 21000;

struct UniqueId {
  char bytes[NSA_COMM_ID];
};
using Comm = void*;

// -1 where NCCL has no such type.
int type_of(int32_t dtype) {
  switch (dtype) {
    case NSA_F32: return kFloat32;
    case NSA_F64: return kFloat64;
    case NSA_BF16: return kBfloat16;
    case NSA_I32: return kInt32;
    case NSA_I64: return kInt64;
    case NSA_U8: return kUint8;
    default: return -1;
  }
}
size_t bytes_of(int32_t dtype) {
  switch (dtype) {
    case NSA_F64: case NSA_I64: return 8;
    case NSA_BF16: return 2;
    case NSA_U8: return 1;
    default: return 4;
  }
}

std::string version_text(int v) {
  return std::to_string(v / 10000) + "." + std::to_string(v / 100 % 100) + "." + std::to_string(v % 100);
}

}  // namespace

struct Nccl {
  void* library = nullptr;
  std::string path;
  Comm comm = nullptr;
  int rank = 0, world = 0;
  bool failed = false;
  // Transfers have a stream of their own, which takes turns with the device's by events.
  cudaStream_t side = nullptr;
  cudaEvent_t forked = nullptr, joined = nullptr;
  bool section = false;
  TransferTrace trace;

  int (*get_version)(int*);
  int (*get_id)(UniqueId*);
  int (*init_rank)(Comm*, int, UniqueId, int);
  int (*destroy)(Comm);
  int (*abort)(Comm);
  int (*all_reduce)(const void*, void*, size_t, int, int, Comm, cudaStream_t);
  int (*reduce)(const void*, void*, size_t, int, int, int, Comm, cudaStream_t);
  int (*reduce_scatter)(const void*, void*, size_t, int, int, Comm, cudaStream_t);
  int (*all_gather)(const void*, void*, size_t, int, Comm, cudaStream_t);
  int (*broadcast)(const void*, void*, size_t, int, int, Comm, cudaStream_t);
  int (*group_start)();
  int (*group_end)();
  const char* (*error_string)(int);

  bool resolve() {
    auto get = [this](auto& f, const char* name) { return (f = reinterpret_cast<std::decay_t<decltype(f)>>(dlsym(library, name))) != nullptr; };
    return get(get_version, "ncclGetVersion") && get(get_id, "ncclGetUniqueId") && get(init_rank, "ncclCommInitRank") &&
           get(destroy, "ncclCommDestroy") && get(abort, "ncclCommAbort") && get(all_reduce, "ncclAllReduce") && get(reduce, "ncclReduce") &&
           get(reduce_scatter, "ncclReduceScatter") && get(all_gather, "ncclAllGather") && get(broadcast, "ncclBroadcast") &&
           get(group_start, "ncclGroupStart") && get(group_end, "ncclGroupEnd") && get(error_string, "ncclGetErrorString");
  }

  NcclResult explain(const char* what, int status) {
    if (status == 0) return {};
    failed = true;
    return {NSA_DEVICE_ERROR, std::string("NCCL (") + path + "), " + what + ": " + error_string(status)};
  }

  // The parts of all ranks behind one another: `move(rank, first element, elements)` for each that is not empty, in one group.
  template <class F>
  int each_part(const int64_t* lengths, F move) {
    int status = group_start();
    int64_t at = 0;
    for (int r = 0; r < world && status == 0; at += lengths[r++])
      if (lengths[r] > 0) status = move(r, size_t(at), size_t(lengths[r]));
    const int end = group_end();
    return status == 0 ? end : status;
  }

  static bool equal(const int64_t* lengths, int n) {
    for (int i = 1; i < n; ++i)
      if (lengths[i] != lengths[0]) return false;
    return true;
  }

  cudaError_t follow(cudaStream_t later, cudaStream_t earlier, cudaEvent_t at) {
    const cudaError_t e = cudaEventRecord(at, earlier);
    return e == cudaSuccess ? cudaStreamWaitEvent(later, at, 0) : e;
  }

  // What is given to the transfers' stream waits for the device's work so far.
  NcclResult fork(cudaStream_t stream) { return told(follow(side, stream, forked)); }
  // The device's later work waits for the transfers so far.
  NcclResult join(cudaStream_t stream) { return told(follow(stream, side, joined)); }
  NcclResult told(cudaError_t e) { return e == cudaSuccess ? NcclResult{} : NcclResult{NSA_DEVICE_ERROR, cudaGetErrorString(e)}; }

  // Beginning and end of transfers that run beside the device's work, and the wait for them.
  NcclResult mark(int64_t verb, cudaStream_t stream) {
    if (verb == NSA_COMM_BEGIN) {
      section = true;
      const NcclResult forked_ = fork(stream);
      trace.begin(side);
      return forked_.status == NSA_OK ? explain("ncclGroupStart", group_start()) : forked_;
    }
    if (verb == NSA_COMM_END) {
      section = false;
      const NcclResult ended = explain("ncclGroupEnd", group_end());
      trace.end(side);
      return ended;
    }
    trace.settle(stream);
    return join(stream);
  }

  int run(const NsaComm& call, int type, cudaStream_t stream) {
    const size_t width = bytes_of(call.from.dtype);
    const auto* from = static_cast<const char*>(call.from.ptr);
    auto* to = static_cast<char*>(call.to.ptr);
    switch (call.verb) {
      case NSA_ALL_REDUCE: return all_reduce(from, to, size_t(call.from.numel), type, kSum, comm, stream);
      case NSA_BROADCAST: return broadcast(from, to, size_t(call.from.numel), type, int(call.root), comm, stream);
      case NSA_REDUCE_SCATTER:
        if (equal(call.lengths, world)) return reduce_scatter(from, to, size_t(call.lengths[0]), type, kSum, comm, stream);
        return each_part(call.lengths, [&](int r, size_t at, size_t n) { return reduce(from + at * width, to, n, type, kSum, r, comm, stream); });
      case NSA_ALL_GATHER:
        if (equal(call.lengths, world)) return all_gather(from, to, size_t(call.lengths[0]), type, comm, stream);
        return each_part(call.lengths, [&](int r, size_t at, size_t n) {
          char* place = to + at * width;
          return broadcast(r == rank ? from : place, place, n, type, r, comm, stream);
        });
      default: return 4;  // ncclInvalidArgument
    }
  }
};

namespace {

NcclResult open(Nccl*& nccl) {
  if (nccl) return {};
  static const LibraryNames names = {"NSA_NCCL", {"libnccl.so.2", "libnccl.so", nullptr}, "libnccl.so.2*", {"nccl", "cu13", nullptr}};
  auto made = new Nccl;
  made->library = open_library(names, &made->path);
  std::string why;
  int version = 0;
  if (!made->library) why = "NCCL was not found: libnccl.so.2 is in none of NSA_NCCL, the loader's path, the CUDA folder and Python's packages";
  else if (!made->resolve()) why = made->path + " lacks functions of NCCL 2.10 or later";
  else if (made->get_version(&version) != 0 || version < kOldest)
    why = made->path + " is NCCL " + version_text(version) + ", and " + version_text(kOldest) + " is the oldest that serves";
  if (!why.empty()) {
    delete made;
    return {NSA_UNSUPPORTED, why};
  }
  nccl = made;
  return {};
}

}  // namespace

NcclResult nccl_id(Nccl*& nccl, void* id) {
  const NcclResult opened = open(nccl);
  return opened.status == NSA_OK ? nccl->explain("ncclGetUniqueId", nccl->get_id(static_cast<UniqueId*>(id))) : opened;
}

NcclResult nccl_join(Nccl*& nccl, const void* id, int64_t rank, int64_t world) {
  const NcclResult opened = open(nccl);
  if (opened.status != NSA_OK) return opened;
  if (nccl->comm) return {NSA_BAD_ARGUMENT, "this device is in a world of ranks already"};
  // Multicast over NVLink needs more of the machine than containers grant.
  setenv("NCCL_NVLS_ENABLE", "0", 0);
  // Ranks record their steps at different times: a transfer must be the same inside a recorded step and outside.
  setenv("NCCL_GRAPH_REGISTER", "0", 0);
  for (cudaEvent_t* e : {&nccl->forked, &nccl->joined})
    if (cudaEventCreateWithFlags(e, cudaEventDisableTiming) != cudaSuccess) return {NSA_DEVICE_ERROR, "no event for transfers"};
  if (cudaStreamCreateWithFlags(&nccl->side, cudaStreamNonBlocking) != cudaSuccess) return {NSA_DEVICE_ERROR, "no stream for transfers"};
  UniqueId own;
  std::memcpy(own.bytes, id, sizeof own.bytes);
  nccl->rank = int(rank);
  nccl->world = int(world);
  return nccl->explain("ncclCommInitRank", nccl->init_rank(&nccl->comm, int(world), own, int(rank)));
}

NcclResult nccl_run(Nccl* nccl, const NsaComm& call, cudaStream_t stream) {
  static const char* const kNames[] = {"all-reduce", "reduce-scatter", "all-gather", "broadcast"};
  if (!nccl || !nccl->comm) return {NSA_BAD_ARGUMENT, "this device is in no world of ranks"};
  if (call.verb >= NSA_COMM_BEGIN && call.verb <= NSA_COMM_SETTLE) return nccl->mark(call.verb, stream);
  if (call.ranks != nccl->world) return {NSA_BAD_ARGUMENT, "lengths of other ranks than those of the world"};
  const int type = type_of(call.from.dtype);
  if (type < 0 || call.from.dtype != call.to.dtype || call.verb < 0 || call.verb > NSA_BROADCAST)
    return {NSA_BAD_ARGUMENT, "no such operation for this dtype"};
  const bool alone = !nccl->section;
  if (alone)
    if (NcclResult forked = nccl->fork(stream); forked.status != NSA_OK) return forked;
  NcclResult done = nccl->explain(kNames[call.verb], nccl->run(call, type, nccl->side));
  return alone && done.status == NSA_OK ? nccl->join(stream) : done;
}

void nccl_close(Nccl* nccl) {
  if (!nccl) return;
  // After an error the others may never answer.
  if (nccl->side && !nccl->failed) cudaStreamSynchronize(nccl->side);
  nccl->trace.write(nccl->rank);
  if (nccl->comm) (nccl->failed ? nccl->abort : nccl->destroy)(nccl->comm);
  for (cudaEvent_t e : {nccl->forked, nccl->joined})
    if (e) cudaEventDestroy(e);
  if (nccl->side) cudaStreamDestroy(nccl->side);
  delete nccl;
}

}  // namespace nsa::cuda
