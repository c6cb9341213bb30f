// Table of the reference backend and its memory functions (plain host memory, one thread).
#include "reference/backend.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "reference/families.h"

namespace nsa::ref {
namespace {

struct Context {
  NsaScratch scratch;
};

void* create(const NsaCreateInfo* info, char*, size_t) { return new Context{info->scratch}; }
void destroy(void* ctx) { delete static_cast<Context*>(ctx); }
void* alloc(void*, size_t bytes) { return std::aligned_alloc(256, (bytes + 255) / 256 * 256); }
void release(void*, void* ptr) { std::free(ptr); }
int transfer(void*, void* dst, const void* src, size_t bytes) {
  std::memcpy(dst, src, bytes);
  return NSA_OK;
}
int sync(void*) { return NSA_OK; }
int info(void*, char* json, size_t size) {
  std::snprintf(json, size, "{\"device\":\"reference\",\"isa\":\"scalar double\",\"threads\":1}");
  return NSA_OK;
}
const char* last_error(void*) { return ""; }

}  // namespace

void register_all(NsaOpFn* ops) {
#define NSA_REGISTER(family) register_##family(ops);
  NSA_REFERENCE_FAMILIES(NSA_REGISTER)
#undef NSA_REGISTER
}

const NsaBackend* backend() {
  static const NsaBackend table = [] {
    NsaBackend b{};
    b.abi_version = NSA_ABI_VERSION;
    b.struct_size = sizeof(NsaBackend);
    b.ops_hash = nsa_ops_hash();
    b.name = "reference";
    b.create = create;
    b.destroy = destroy;
    b.alloc = alloc;
    b.free = release;
    b.upload = transfer;
    b.download = transfer;
    b.sync = sync;
    b.info = info;
    b.last_error = last_error;
    register_all(b.ops);
    return b;
  }();
  return &table;
}

}  // namespace nsa::ref
