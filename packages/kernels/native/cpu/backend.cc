// Table of the CPU backend and its memory functions.
#include "cpu/backend.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cpu/context.h"
#include "cpu/cores.h"
#include "cpu/families.h"
#include "cpu/isa.h"
#include "reference/backend.h"

namespace nsa::cpu {
namespace {

void* create(const NsaCreateInfo* info, char* error, size_t size) {
  if (*isa_error()) {
    std::snprintf(error, size, "%s", isa_error());
    return nullptr;
  }
  return new Context(info->threads > 0 ? int(info->threads) : usable_cores(), info->scratch);
}
void destroy(void* ctx) { delete static_cast<Context*>(ctx); }
void* alloc(void*, size_t bytes) { return std::aligned_alloc(256, (bytes + 255) / 256 * 256); }
void release(void*, void* ptr) { std::free(ptr); }
int transfer(void*, void* dst, const void* src, size_t bytes) {
  std::memcpy(dst, src, bytes);
  return NSA_OK;
}
int sync(void*) { return NSA_OK; }
int info(void* ctx, char* json, size_t size) {
  std::snprintf(json, size, "{\"device\":\"cpu\",\"isa\":\"%s\",\"threads\":%d}", isa_name(isa()), pool(ctx).size());
  return NSA_OK;
}
const char* last_error(void*) { return ""; }

}  // namespace

const NsaBackend* backend() {
  static const NsaBackend table = [] {
    NsaBackend b{};
    b.abi_version = NSA_ABI_VERSION;
    b.struct_size = sizeof(NsaBackend);
    b.ops_hash = nsa_ops_hash();
    b.name = "cpu";
    b.create = create;
    b.destroy = destroy;
    b.alloc = alloc;
    b.free = release;
    b.upload = transfer;
    b.download = transfer;
    b.sync = sync;
    b.info = info;
    b.last_error = last_error;
    ref::register_all(b.ops);
#define NSA_REGISTER(family) register_##family(b.ops);
    NSA_CPU_FAMILIES(NSA_REGISTER)
#undef NSA_REGISTER
    return b;
  }();
  return &table;
}

}  // namespace nsa::cpu
