// Table of the CUDA backend: opening a card, memory, transfers, captured steps and device time.
#include <cuda_runtime.h>
#if __has_include(<nvtx3/nvToolsExt.h>)
#include <nvtx3/nvToolsExt.h>
#define NSA_NVTX 1
#endif

#include <algorithm>
#include <cstdarg>
#include <cstring>
#include <string>

#include "cuda/context.h"
#include "cuda/cublaslt.h"
#include "cuda/families.h"
#include "cuda/nccl.h"

namespace nsa::cuda {
namespace {

// Exists to ask whether the plugin holds code for this card.
__global__ void probe() {}

void say(char* err, size_t size, const char* format, ...) {
  va_list args;
  va_start(args, format);
  std::vsnprintf(err, size, format, args);
  va_end(args);
}

constexpr size_t kPinned = size_t(8) << 20;
constexpr size_t kWorkspace = size_t(32) << 20;

void destroy(void* p) {
  auto* c = static_cast<Context*>(p);
  cudaStreamSynchronize(c->stream);
  nccl_close(c->nccl);
  cublaslt_close(c->cublaslt);
  for (auto& e : c->marks)
    if (e) cudaEventDestroy(e);
  for (auto& e : c->slot_free)
    if (e) cudaEventDestroy(e);
  for (auto& e : c->fetch_done)
    if (e) cudaEventDestroy(e);
  if (c->slots) cudaFreeHost(c->slots);
  if (c->fetched) cudaFreeHost(c->fetched);
  if (c->workspace) cudaFree(c->workspace);
  if (c->pinned) cudaFreeHost(c->pinned);
  if (c->stream) cudaStreamDestroy(c->stream);
  delete c;
}

void* create(const NsaCreateInfo* info, char* err, size_t size) {
  int driver = 0, runtime = 0, count = 0;
  cudaRuntimeGetVersion(&runtime);
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) {
    say(err, size, "there is no NVIDIA driver on this machine");
    return nullptr;
  }
  if (driver / 1000 < runtime / 1000) {
    say(err, size, "the NVIDIA driver is too old: it supports CUDA %d.%d, the plugin was built with %d.%d", driver / 1000,
        driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    return nullptr;
  }
  cudaError_t e = cudaGetDeviceCount(&count);
  if (e != cudaSuccess || count == 0) {
    say(err, size, "no CUDA device: %s", e == cudaSuccess ? "none is visible" : cudaGetErrorString(e));
    return nullptr;
  }
  if (info->ordinal < 0 || info->ordinal >= count) {
    say(err, size, "there is no GPU %d: the machine has %d", int(info->ordinal), count);
    return nullptr;
  }
  auto* c = new Context;
  c->ordinal = int(info->ordinal);
  c->scratch = info->scratch;
  cudaDeviceProp prop{};
  e = cudaSetDevice(c->ordinal);
  if (e == cudaSuccess) e = cudaGetDeviceProperties(&prop, c->ordinal);
  if (e == cudaSuccess) e = cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking);
  if (e != cudaSuccess) {
    say(err, size, "GPU %d cannot be used: %s", c->ordinal, cudaGetErrorString(e));
    delete c;
    return nullptr;
  }
  c->arch = prop.major * 10 + prop.minor;
  c->sm_count = prop.multiProcessorCount;
  c->max_smem = prop.sharedMemPerBlockOptin;
  cudaFuncAttributes attributes{};
  if (cudaFuncGetAttributes(&attributes, probe) != cudaSuccess) {
    say(err, size, "%s has compute capability %d.%d; the plugin was built for " NSA_CUDA_BUILT_FOR, prop.name, prop.major, prop.minor);
    destroy(c);
    return nullptr;
  }
  e = cudaMallocHost(&c->pinned, kPinned);
  if (e == cudaSuccess) c->pinned_bytes = kPinned;
  else c->pinned = nullptr;
  if (cudaMallocHost(reinterpret_cast<void**>(&c->slots), Context::kSlots * Context::kSlotBytes) != cudaSuccess) c->slots = nullptr;
  e = cudaMalloc(&c->workspace, kWorkspace);
  if (e != cudaSuccess) {
    size_t free_bytes = 0, total = 0;
    cudaMemGetInfo(&free_bytes, &total);
    say(err, size, "%s has %.1f of %.1f GiB free: another process may hold the rest", prop.name, double(free_bytes) / (1 << 30),
        double(total) / (1 << 30));
    destroy(c);
    return nullptr;
  }
  c->workspace_bytes = kWorkspace;
  for (auto& mark : c->marks) cudaEventCreate(&mark);
  for (auto& event : c->slot_free) cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
  for (auto& event : c->fetch_done) cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
  cudaGetLastError();
  c->cublaslt = cublaslt_open();
  return c;
}

void* alloc(void* ctx, size_t bytes) {
  void* p = nullptr;
  cudaError_t e = cudaMalloc(&p, bytes);
  if (e == cudaSuccess) return p;
  // A card that is lost has no memory either; the error that follows says so.
  if (e != cudaErrorMemoryAllocation) check(ctx, e);
  cudaGetLastError();
  return nullptr;
}
void release(void*, void* p) { cudaFree(p); }

bool recording(const Context& c) {
  auto state = cudaStreamCaptureStatusNone;
  return cudaStreamIsCapturing(c.stream, &state) == cudaSuccess && state != cudaStreamCaptureStatusNone;
}

int upload(void* ctx, void* dst, const void* src, size_t bytes) {
  Context& c = context(ctx);
  if (recording(c)) return bad_argument(ctx, "an upload inside a captured step would be replayed from memory that is gone");
  // Larger uploads than all pieces together would wait for pieces of their own.
  if (!c.slots || bytes > Context::kSlots * Context::kSlotBytes)
    return check(ctx, cudaMemcpyAsync(dst, src, bytes, cudaMemcpyHostToDevice, c.stream));
  for (size_t at = 0; at < bytes; at += Context::kSlotBytes) {
    size_t n = std::min(bytes - at, Context::kSlotBytes);
    int slot = c.next_slot;
    char* staged = c.slots + size_t(slot) * Context::kSlotBytes;
    int status = check(ctx, cudaEventSynchronize(c.slot_free[slot]));
    if (status != NSA_OK) return status;
    std::memcpy(staged, static_cast<const char*>(src) + at, n);
    status = check(ctx, cudaMemcpyAsync(static_cast<char*>(dst) + at, staged, n, cudaMemcpyHostToDevice, c.stream));
    if (status == NSA_OK) status = check(ctx, cudaEventRecord(c.slot_free[slot], c.stream));
    if (status != NSA_OK) return status;
    c.next_slot = (slot + 1) % Context::kSlots;
  }
  return NSA_OK;
}

int download(void* ctx, void* dst, const void* src, size_t bytes) {
  Context& c = context(ctx);
  if (recording(c)) return bad_argument(ctx, "a captured step cannot read back");
  if (bytes <= c.pinned_bytes) {
    int status = check(ctx, cudaMemcpyAsync(c.pinned, src, bytes, cudaMemcpyDeviceToHost, c.stream));
    if (status == NSA_OK) status = check(ctx, cudaStreamSynchronize(c.stream));
    if (status == NSA_OK) std::memcpy(dst, c.pinned, bytes);
    return status;
  }
  int status = check(ctx, cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDeviceToHost, c.stream));
  return status == NSA_OK ? check(ctx, cudaStreamSynchronize(c.stream)) : status;
}

int fetch_begin(void* ctx, int64_t slot, const void* src, size_t bytes) {
  Context& c = context(ctx);
  if (recording(c)) return bad_argument(ctx, "a captured step cannot read back");
  if (slot < 0 || slot >= Context::kFetches || bytes > Context::kFetchBytes) return bad_argument(ctx, "a fetch of this slot or size");
  int status = c.fetched ? NSA_OK : check(ctx, cudaMallocHost(&c.fetched, Context::kFetches * Context::kFetchBytes));
  if (status == NSA_OK)
    status = check(ctx, cudaMemcpyAsync(c.fetched + size_t(slot) * Context::kFetchBytes, src, bytes, cudaMemcpyDeviceToHost, c.stream));
  return status == NSA_OK ? check(ctx, cudaEventRecord(c.fetch_done[slot], c.stream)) : status;
}

int fetch_end(void* ctx, int64_t slot, void* dst, size_t bytes) {
  Context& c = context(ctx);
  if (slot < 0 || slot >= Context::kFetches || bytes > Context::kFetchBytes || !c.fetched) return bad_argument(ctx, "a fetch that was not begun");
  int status = check(ctx, cudaEventSynchronize(c.fetch_done[slot]));
  if (status == NSA_OK) std::memcpy(dst, c.fetched + size_t(slot) * Context::kFetchBytes, bytes);
  return status;
}

int sync(void* ctx) { return check(ctx, cudaStreamSynchronize(context(ctx).stream)); }

int info(void* ctx, char* json, size_t size) {
  Context& c = context(ctx);
  cudaDeviceProp prop{};
  size_t free_bytes = 0, total = 0;
  int driver = 0, runtime = 0;
  cudaGetDeviceProperties(&prop, c.ordinal);
  cudaMemGetInfo(&free_bytes, &total);
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  std::snprintf(json, size,
                "{\"device\":\"cuda\",\"name\":\"%s\",\"arch\":\"sm_%d\",\"sm_count\":%d,\"memory_bytes\":%zu,\"free_bytes\":%zu,"
                "\"driver\":%d,\"runtime\":%d,\"gemm\":\"%s\"}",
                prop.name, c.arch, c.sm_count, total, free_bytes, driver, runtime, cublaslt_describe(c.cublaslt).c_str());
  return NSA_OK;
}

const char* last_error(void* ctx) { return context(ctx).error; }

int capture_begin(void* ctx) {
  // Relaxed: the host's pool may call cudaMalloc while a step is recorded.
  return check(ctx, cudaStreamBeginCapture(context(ctx).stream, cudaStreamCaptureModeRelaxed));
}

void* capture_end(void* ctx) {
  cudaGraph_t graph = nullptr;
  if (check(ctx, cudaStreamEndCapture(context(ctx).stream, &graph)) != NSA_OK) return nullptr;
  cudaGraphExec_t exec = nullptr;
  int status = check(ctx, cudaGraphInstantiate(&exec, graph, 0));
  cudaGraphDestroy(graph);
  return status == NSA_OK ? exec : nullptr;
}

int graph_launch(void* ctx, void* graph) {
  return check(ctx, cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), context(ctx).stream));
}
void graph_destroy(void*, void* graph) { cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)); }

int mark(void* ctx, int64_t slot) {
  if (slot < 0 || slot >= 64) return bad_argument(ctx, "marks are 0 to 63");
  return check(ctx, cudaEventRecord(context(ctx).marks[slot], context(ctx).stream));
}

double elapsed_ms(void* ctx, int64_t from, int64_t to) {
  float ms = 0;
  if (from < 0 || from >= 64 || to < 0 || to >= 64) return -1;
  cudaEventSynchronize(context(ctx).marks[to]);
  if (cudaEventElapsedTime(&ms, context(ctx).marks[from], context(ctx).marks[to]) != cudaSuccess) return -1;
  return ms;
}

#if NSA_NVTX
int range(void*, const char* name) {
  if (name) nvtxRangePushA(name);
  else nvtxRangePop();
  return NSA_OK;
}
#endif

int64_t plans(void* ctx, int64_t verb, char* text, int64_t size) {
  Context& c = context(ctx);
  if (!c.cublaslt) return 0;
  if (verb == 2) {
    cublaslt_tune(c.cublaslt, c.scratch);
    return 0;
  }
  if (verb == 1) return cublaslt_read_plans(c.cublaslt, std::string(text, size_t(size))) ? 0 : -1;
  std::string lines = cublaslt_plans(c.cublaslt);
  if (int64_t(lines.size()) <= size) std::memcpy(text, lines.data(), lines.size());
  return int64_t(lines.size());
}

int said(void* ctx, const NcclResult& r) { return r.status == NSA_OK ? r.status : fail(ctx, r.status, r.why.c_str()); }

int comm_id(void* ctx, void* id) { return said(ctx, nccl_id(context(ctx).nccl, id)); }
int comm_join(void* ctx, const void* id, int64_t rank, int64_t world) { return said(ctx, nccl_join(context(ctx).nccl, id, rank, world)); }
int comm_run(void* ctx, const NsaComm* call) { return said(ctx, nccl_run(context(ctx).nccl, *call, context(ctx).stream)); }

}  // namespace

extern "C" __attribute__((visibility("default"))) const NsaBackend* nsa_backend_entry(void) {
  static const NsaBackend table = [] {
    NsaBackend b{};
    b.abi_version = NSA_ABI_VERSION;
    b.struct_size = sizeof(NsaBackend);
    b.ops_hash = nsa_ops_hash();
    b.name = "cuda";
    b.create = create;
    b.destroy = destroy;
    b.alloc = alloc;
    b.free = release;
    b.upload = upload;
    b.download = download;
    b.fetch_begin = fetch_begin;
    b.fetch_end = fetch_end;
    b.sync = sync;
    b.info = info;
    b.last_error = last_error;
    b.capture_begin = capture_begin;
    b.capture_end = capture_end;
    b.graph_launch = graph_launch;
    b.graph_destroy = graph_destroy;
    b.mark = mark;
    b.elapsed_ms = elapsed_ms;
#if NSA_NVTX
    b.range = range;
#endif
    b.plans = plans;
    b.comm_id = comm_id;
    b.comm_join = comm_join;
    b.comm_run = comm_run;
#define NSA_REGISTER(family) register_##family(b.ops);
    NSA_CUDA_FAMILIES(NSA_REGISTER)
#undef NSA_REGISTER
    return b;
  }();
  return &table;
}

}  // namespace nsa::cuda
