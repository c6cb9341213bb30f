// f32 views of spans of f32 or bf16 tensors, and loops over fixed blocks of elements or rows on the pool.
#pragma once
#include <algorithm>
#include <cstring>
#include <vector>

#include "cpu/context.h"
#include "cpu/vec.h"
#include "reference/backend.h"

namespace nsa::cpu {

constexpr int64_t kBlock = 4096;        // elements staged at a time
constexpr int64_t kTaskElems = 32768;   // about what a task should handle to be worth a wake-up

inline bool is_float(const NsaBuf& b) { return b.ptr == nullptr || b.dtype == NSA_F32 || b.dtype == NSA_BF16; }
template <class... Bufs>
bool all_float(const Bufs&... bufs) {
  return (is_float(bufs) && ...);
}

// The same op on the reference backend: for dtypes that have no fast version.
inline int reference(NsaOp op, void* ctx, const void* params) { return ref::backend()->ops[op](ctx, params); }

// x[at, at + n) as f32: in place when it is f32, else converted into tmp.
inline const float* read_span(const NsaBuf& x, int64_t at, int64_t n, float* tmp) {
  if (x.dtype == NSA_F32) return static_cast<const float*>(x.ptr) + at;
  vec().from_bf16(static_cast<const uint16_t*>(x.ptr) + at, tmp, n);
  return tmp;
}
// Where to write y[at, ...): in place or into tmp, which store_span then converts.
inline float* write_span(const NsaBuf& y, int64_t at, float* tmp) {
  return y.dtype == NSA_F32 ? static_cast<float*>(y.ptr) + at : tmp;
}
inline void store_span(const NsaBuf& y, int64_t at, int64_t n, const float* tmp) {
  if (y.dtype == NSA_BF16) vec().to_bf16(tmp, static_cast<uint16_t*>(y.ptr) + at, n);
}

// f(first, n) over blocks of kBlock elements; tasks of several blocks.
template <class F>
void for_blocks(void* ctx, int64_t numel, F f) {
  pool(ctx).parallel_for((numel + kTaskElems - 1) / kTaskElems, [&](int64_t task) {
    int64_t end = std::min(numel, (task + 1) * kTaskElems);
    for (int64_t at = task * kTaskElems; at < end; at += kBlock) f(at, std::min(kBlock, end - at));
  });
}

// Rows of `cols` elements in tasks: f(first row, last row).
template <class F>
void for_rows(void* ctx, int64_t rows, int64_t cols, F f) {
  int64_t step = std::max<int64_t>(1, kTaskElems / std::max<int64_t>(1, cols));
  pool(ctx).parallel_for((rows + step - 1) / step, [&](int64_t task) { f(task * step, std::min(rows, (task + 1) * step)); });
}

// A tensor's sub-range as a buffer.
inline NsaBuf slice(const NsaBuf& x, int64_t at, int64_t n) {
  static constexpr int64_t bytes[] = {4, 2, 4, 8, 8, 1};
  NsaBuf y = x;
  y.ptr = static_cast<char*>(x.ptr) + at * bytes[x.dtype];
  y.numel = n;
  return y;
}
inline int64_t dtype_bytes(const NsaBuf& x) { return x.dtype == NSA_BF16 ? 2 : x.dtype == NSA_U8 ? 1 : x.dtype == NSA_F64 || x.dtype == NSA_I64 ? 8 : 4; }
// Whether `rows` rows of `cols` elements, ld apart, lie inside x.
inline bool fits(const NsaBuf& x, int64_t rows, int64_t ld, int64_t cols) { return rows == 0 || (rows - 1) * ld + cols <= x.numel; }
inline int32_t index_at(const NsaBuf& x, int64_t i) { return static_cast<const int32_t*>(x.ptr)[i]; }

}  // namespace nsa::cpu
