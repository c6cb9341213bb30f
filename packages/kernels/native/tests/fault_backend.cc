// Stands for libnsa_cuda.so in tests: the CPU backend, with the faults of a GPU that the variable NSA_FAULT names.
//
// create:<reason> refuses to open; lost:<n> fails for good after n ops, as a card that fell off the bus does;
// limit:<MiB> has no more memory than that, as a card that another process fills.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "cpu/backend.h"
#include "tests/file_world.h"
#include "nsa/abi.h"

namespace {

using nsa::cpu::backend;

std::string fault() {
  const char* text = std::getenv("NSA_FAULT");
  return text ? text : "";
}
bool starts(const std::string& text, const char* with) { return text.rfind(with, 0) == 0; }
long number_after(const std::string& text, const char* prefix) {
  return starts(text, prefix) ? std::atol(text.c_str() + std::strlen(prefix)) : -1;
}

std::atomic<long> g_ops_left{-1};  // negative: no fault to come
std::atomic<bool> g_lost{false};
size_t g_limit = 0, g_taken = 0;

void* create(const NsaCreateInfo* info, char* err, size_t size) {
  std::string f = fault();
  if (starts(f, "create:")) {
    std::snprintf(err, size, "%s", f.c_str() + std::strlen("create:"));
    return nullptr;
  }
  g_ops_left = number_after(f, "lost:");
  long mib = number_after(f, "limit:");
  g_limit = mib < 0 ? 0 : size_t(mib) << 20;
  return backend()->create(info, err, size);
}

int info(void*, char* json, size_t size) {
  std::snprintf(json, size, "{\"device\":\"cuda\",\"name\":\"a GPU of the tests\",\"gemm\":\"own kernels (cuBLASLt was not found)\"}");
  return NSA_OK;
}

void* alloc(void* ctx, size_t bytes) {
  if (g_lost || (g_limit && g_taken + bytes > g_limit)) return nullptr;
  g_taken += bytes;
  return backend()->alloc(ctx, bytes);
}

template <int Op>
int run(void* ctx, const void* params) {
  if (g_ops_left == 0) g_lost = true;
  if (g_lost) return NSA_DEVICE_ERROR;
  if (g_ops_left > 0) --g_ops_left;
  return backend()->ops[Op](ctx, params);
}

int upload(void* ctx, void* dst, const void* src, size_t bytes) {
  return g_lost ? int(NSA_DEVICE_ERROR) : backend()->upload(ctx, dst, src, bytes);
}
int download(void* ctx, void* dst, const void* src, size_t bytes) {
  return g_lost ? int(NSA_DEVICE_ERROR) : backend()->download(ctx, dst, src, bytes);
}
int sync(void* ctx) { return g_lost ? int(NSA_DEVICE_ERROR) : backend()->sync(ctx); }
const char* last_error(void*) { return g_lost ? "unspecified launch failure" : ""; }

template <size_t... Op>
void fill(NsaBackend& b, std::index_sequence<Op...>) {
  ((b.ops[Op] = backend()->ops[Op] ? run<int(Op)> : nullptr), ...);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const NsaBackend* nsa_backend_entry(void) {
  static const NsaBackend table = [] {
    NsaBackend b = *backend();
    b.name = "cuda";
    b.create = create;
    b.info = info;
    b.alloc = alloc;
    b.upload = upload;
    b.download = download;
    b.sync = sync;
    b.last_error = last_error;
    b.comm_id = file_world::id;
    b.comm_join = file_world::join;
    b.comm_run = file_world::run;
    fill(b, std::make_index_sequence<NSA_OP_COUNT>());
    return b;
  }();
  return &table;
}
