// The C ABI between the addon and a backend: buffers, parameter structs, and one versioned table of functions.
//
// Rules: every op gets a struct whose fields are buffers, int64 and double only, generated from nsa/ops.h.
// Buffers are contiguous spans; strides are explicit fields. All index and size arithmetic is 64-bit.
// Memory contract: gradients of parameters are accumulated (+=), everything else is overwritten (=).
// Ops may run asynchronously in stream order; download and sync wait.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "nsa/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NSA_ABI_VERSION 4

enum NsaDtype { NSA_F32 = 0, NSA_BF16 = 1, NSA_I32 = 2, NSA_F64 = 3, NSA_I64 = 4, NSA_U8 = 5 };

enum NsaStatus {
  NSA_OK = 0,
  NSA_UNSUPPORTED = 1,   // this backend does not have the op for these dtypes or sizes
  NSA_BAD_ARGUMENT = 2,  // a caller's bug: sizes do not fit
  NSA_OUT_OF_MEMORY = 3,
  NSA_DEVICE_ERROR = 4,
};

// A resolved buffer. ptr is null for an absent optional buffer.
typedef struct NsaBuf {
  void* ptr;
  int64_t numel;
  int32_t dtype;
  int32_t reserved;
} NsaBuf;

// One struct per op: Nsa_<op>_params.
#define NSA_FIELD_BUF(name) NsaBuf name;
#define NSA_FIELD_INT(name) int64_t name;
#define NSA_FIELD_FLT(name) double name;
#define NSA_DECLARE_PARAMS(op) \
  typedef struct Nsa_##op##_params { \
    NSA_FIELDS_##op(NSA_FIELD_BUF, NSA_FIELD_BUF, NSA_FIELD_INT, NSA_FIELD_FLT) \
  } Nsa_##op##_params;
NSA_OP_LIST(NSA_DECLARE_PARAMS)
#undef NSA_DECLARE_PARAMS

enum NsaOp {
#define NSA_OP_ENUM(op) NSA_OP_##op,
  NSA_OP_LIST(NSA_OP_ENUM)
#undef NSA_OP_ENUM
      NSA_OP_COUNT
};

// The host's pool, lent to the backend for scratch inside an op; stream-ordered: memory freed here may be
// handed to the next op at once.
typedef struct NsaScratch {
  void* owner;
  void* (*alloc)(void* owner, size_t bytes);  // 256-byte aligned; null when out of memory
  void (*free)(void* owner, void* ptr);
} NsaScratch;

typedef struct NsaCreateInfo {
  int64_t threads;  // CPU: size of the pool, 0 = all cores
  int64_t ordinal;  // GPU: device index
  NsaScratch scratch;
} NsaCreateInfo;

typedef int (*NsaOpFn)(void* ctx, const void* params);

// An operation of all ranks of a world, in stream order. ALL_REDUCE: to = Σ from. REDUCE_SCATTER: to = this rank's part of Σ from.
// ALL_GATHER: to = the parts `from` of all ranks behind one another. BROADCAST: to = from of rank `root`. from and to may be the same in
// ALL_REDUCE and BROADCAST, and are of one dtype. lengths: the elements of each rank's part, in order of ranks.
// Those between BEGIN and END are one transfer, which starts when the device has done its work so far and may run beside what it is
// given next; what follows SETTLE waits for them. These three have no tensors, and may be captured.
enum NsaCommVerb {
  NSA_ALL_REDUCE = 0,
  NSA_REDUCE_SCATTER = 1,
  NSA_ALL_GATHER = 2,
  NSA_BROADCAST = 3,
  NSA_COMM_BEGIN = 4,
  NSA_COMM_END = 5,
  NSA_COMM_SETTLE = 6
};
#define NSA_COMM_ID 128
typedef struct NsaComm {
  int64_t verb;
  NsaBuf from, to;
  const int64_t* lengths;
  int64_t ranks;  // how many lengths there are: those of the world
  int64_t root;
} NsaComm;

typedef struct NsaBackend {
  uint32_t abi_version;
  uint32_t struct_size;
  uint64_t ops_hash;  // nsa_ops_hash(): addon and backend were built from the same ops.h
  const char* name;
  // Returns a context, or null with the reason in err.
  void* (*create)(const NsaCreateInfo* info, char* err, size_t err_size);
  void (*destroy)(void* ctx);
  // Raw memory of the device, called rarely: the addon sub-allocates. Null when out of memory.
  void* (*alloc)(void* ctx, size_t bytes);
  void (*free)(void* ctx, void* ptr);
  int (*upload)(void* ctx, void* dst, const void* src, size_t bytes);
  int (*download)(void* ctx, void* dst, const void* src, size_t bytes);
  // A download in two halves: begin puts it behind the work so far and returns at once, end waits for it alone; slot 0–7, at most
  // 64 KiB each. Null where a download waits for nothing.
  int (*fetch_begin)(void* ctx, int64_t slot, const void* src, size_t bytes);
  int (*fetch_end)(void* ctx, int64_t slot, void* dst, size_t bytes);
  int (*sync)(void* ctx);
  // One JSON object: {device, isa, threads, memory_bytes, free_bytes, ...}.
  int (*info)(void* ctx, char* json, size_t size);
  // The message of the last non-zero status.
  const char* (*last_error)(void* ctx);
  // Captured steps; null where the backend has none. end returns an opaque graph.
  int (*capture_begin)(void* ctx);
  void* (*capture_end)(void* ctx);
  int (*graph_launch)(void* ctx, void* graph);
  void (*graph_destroy)(void* ctx, void* graph);
  // Device time in milliseconds between two marks (0 <= slot < 64); null where absent.
  int (*mark)(void* ctx, int64_t slot);
  double (*elapsed_ms)(void* ctx, int64_t from, int64_t to);
  // A named range for an outside profiler; a null name ends the innermost. Null where absent.
  int (*range)(void* ctx, const char* name);
  // How matmuls are done, as lines of text. verb 0: writes those in use, returns the bytes needed; 1: reads lines, which
  // later shapes take; 2: from now on new shapes are timed and the fastest way taken. Negative: an error. Null where absent.
  int64_t (*plans)(void* ctx, int64_t verb, char* text, int64_t size);
  // Worlds of ranks, a process with a device each; null where absent. id: NSA_COMM_ID bytes that name a new world, which one rank makes
  // and all join; join returns when all have.
  int (*comm_id)(void* ctx, void* id);
  int (*comm_join)(void* ctx, const void* id, int64_t rank, int64_t world);
  int (*comm_run)(void* ctx, const NsaComm* call);
  NsaOpFn ops[NSA_OP_COUNT];  // null = unsupported
} NsaBackend;

// Every plugin exports this symbol.
typedef const NsaBackend* (*NsaBackendEntry)(void);
#define NSA_BACKEND_ENTRY "nsa_backend_entry"

#ifdef __cplusplus
}  // extern "C"

// FNV-1a over the text of the op list, so that a plugin built from another ops.h is refused.
constexpr uint64_t nsa_fnv1a(const char* s, uint64_t h) { return *s ? nsa_fnv1a(s + 1, (h ^ (uint8_t)*s) * 1099511628211ull) : h; }
#define NSA_TEXT_FIELD_T(name) "T" #name
#define NSA_TEXT_FIELD_O(name) "O" #name
#define NSA_TEXT_FIELD_I(name) "I" #name
#define NSA_TEXT_FIELD_F(name) "F" #name
inline uint64_t nsa_ops_hash() {
  uint64_t h = 14695981039346656037ull;
#define NSA_HASH_OP(op) h = nsa_fnv1a(#op ":" NSA_FIELDS_##op(NSA_TEXT_FIELD_T, NSA_TEXT_FIELD_O, NSA_TEXT_FIELD_I, NSA_TEXT_FIELD_F) ";", h);
  NSA_OP_LIST(NSA_HASH_OP)
#undef NSA_HASH_OP
  return h;
}
#endif
