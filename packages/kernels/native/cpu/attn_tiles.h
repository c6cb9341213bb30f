// Shared parts of the CPU attention ops: f32 tiles from f32 or bf16 tensors, packed keys and values, tasks with own scratch.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "cpu/attn_kernels.h"
#include "cpu/context.h"

namespace nsa::cpu {

constexpr int64_t kTileRows = 96;  // query rows of a tile: a multiple of the 6 rows of a register block
constexpr float kLog2e = 1.4426950408889634f, kLn2 = 0.6931471805599453f;
constexpr float kMinusInf = -std::numeric_limits<float>::infinity();

inline int64_t padded(int64_t n) { return (n + 15) / 16 * 16; }
inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline const int32_t* i32(const NsaBuf& b) { return static_cast<const int32_t*>(b.ptr); }
inline float* f32(const NsaBuf& b) { return static_cast<float*>(b.ptr); }

// Keys (dense tokens or compressed blocks) that end at or before local token t.
inline int64_t visible_keys(int64_t t, int64_t block_size, int64_t stride) {
  return t + 1 < block_size ? 0 : (t + 1 - block_size) / stride + 1;
}

inline float from_bf16(uint16_t b) {
  uint32_t u = uint32_t(b) << 16;
  float f;
  std::memcpy(&f, &u, 4);
  return f;
}
inline uint16_t to_bf16(float f) {
  uint32_t u;
  std::memcpy(&u, &f, 4);
  if ((u & 0x7fffffffu) > 0x7f800000u) return uint16_t((u >> 16) | 0x40);
  return uint16_t((u + 0x7fffu + ((u >> 16) & 1)) >> 16);
}

inline bool is_fast(const NsaBuf& b) { return b.ptr == nullptr || b.dtype == NSA_F32 || b.dtype == NSA_BF16; }
template <class... Bufs>
bool all_fast(const Bufs&... bufs) {
  return (is_fast(bufs) && ...);
}

// dst[c] = factor·src[at + c].
inline void load_row(const NsaBuf& src, int64_t at, float* dst, int64_t cols, float factor) {
  if (src.dtype == NSA_F32) {
    const float* x = static_cast<const float*>(src.ptr) + at;
    for (int64_t c = 0; c < cols; ++c) dst[c] = factor * x[c];
  } else {
    const uint16_t* x = static_cast<const uint16_t*>(src.ptr) + at;
    for (int64_t c = 0; c < cols; ++c) dst[c] = factor * from_bf16(x[c]);
  }
}

// dst[at + c] (+)= factor·src[c].
inline void store_row(const NsaBuf& dst, int64_t at, const float* src, int64_t cols, float factor, bool add) {
  if (dst.dtype == NSA_F32) {
    float* y = static_cast<float*>(dst.ptr) + at;
    if (add)
      for (int64_t c = 0; c < cols; ++c) y[c] += factor * src[c];
    else
      for (int64_t c = 0; c < cols; ++c) y[c] = factor * src[c];
  } else {
    uint16_t* y = static_cast<uint16_t*>(dst.ptr) + at;
    for (int64_t c = 0; c < cols; ++c) y[c] = to_bf16(factor * src[c] + (add ? from_bf16(y[c]) : 0.f));
  }
}

// Rows first .. first+rows of head `head`, padded with zero columns to cols_padded.
inline void load_rows(const NsaBuf& src, int64_t first, int64_t rows, int64_t ld, int64_t head, int64_t cols, float* dst,
                      int64_t cols_padded, float factor = 1.f) {
  for (int64_t r = 0; r < rows; ++r) {
    load_row(src, (first + r) * ld + head * cols, dst + r * cols_padded, cols, factor);
    std::fill(dst + r * cols_padded + cols, dst + (r + 1) * cols_padded, 0.f);
  }
}

// f(task, worker) for every task; a worker runs one task at a time, so scratch can be kept per worker.
template <class F>
void for_tasks(ThreadPool& pool, int64_t tasks, F f) {
  std::atomic<int64_t> next{0};
  pool.parallel_for(std::min<int64_t>(pool.size(), tasks), [&](int64_t worker) {
    for (int64_t task; (task = next.fetch_add(1)) < tasks;) f(task, worker);
  });
}

// Cuts one allocation into parts of f32.
class Arena {
 public:
  explicit Arena(float* base) : at_(base) {}
  float* take(int64_t n) {
    float* p = at_;
    at_ += padded(n);
    return p;
  }

 private:
  float* at_;
};

// Blocks of `width` keys of the documents, each document starting its own; the last one of a document may be partial.
struct KeyBlocks {
  KeyBlocks(const int32_t* cu, int64_t n_docs, int64_t width) : width(width), width_padded(padded(width)), first(n_docs + 1, 0) {
    for (int64_t i = 0; i < n_docs; ++i) first[i + 1] = first[i] + ceil_div(cu[i + 1] - cu[i], width);
  }
  int64_t total() const { return first.back(); }
  int64_t width, width_padded;
  std::vector<int64_t> first;  // first block of each document
};

// x as blocks of one head after the other, f32: by row [width_padded][cols_padded] and transposed [cols_padded][width_padded].
// Absent keys are zero.
struct PackedKeys {
  int64_t cols_padded, block_elems, blocks;
  float *by_row, *transposed;

  static int64_t floats(const KeyBlocks& kb, int64_t heads, int64_t cols, bool by_row, bool transposed) {
    return kb.total() * heads * padded(cols) * kb.width_padded * (int64_t(by_row) + int64_t(transposed));
  }
  const float* rows(int64_t head, int64_t block) const { return by_row + (head * blocks + block) * block_elems; }
  const float* columns(int64_t head, int64_t block) const { return transposed + (head * blocks + block) * block_elems; }
};

inline PackedKeys pack_keys(void* ctx, Arena& arena, const NsaBuf& x, int64_t ld, const int32_t* cu, int64_t n_docs,
                            const KeyBlocks& kb, int64_t heads, int64_t cols, bool by_row, bool transposed) {
  PackedKeys p{padded(cols), padded(cols) * kb.width_padded, kb.total(), nullptr, nullptr};
  if (by_row) p.by_row = arena.take(p.blocks * heads * p.block_elems);
  if (transposed) p.transposed = arena.take(p.blocks * heads * p.block_elems);
  std::vector<int64_t> doc_of(kb.total());
  for (int64_t i = 0; i < n_docs; ++i)
    for (int64_t b = kb.first[i]; b < kb.first[i + 1]; ++b) doc_of[b] = i;
  pool(ctx).parallel_for(kb.total() * heads, [&](int64_t task) {
    int64_t b = task / heads, h = task % heads, i = doc_of[b];
    int64_t start = cu[i] + (b - kb.first[i]) * kb.width, n = std::min<int64_t>(kb.width, cu[i + 1] - start);
    std::vector<float> own(by_row ? 0 : p.block_elems);
    float* rows = by_row ? p.by_row + (h * p.blocks + b) * p.block_elems : own.data();
    load_rows(x, start, n, ld, h, cols, rows, p.cols_padded);
    std::fill(rows + n * p.cols_padded, rows + p.block_elems, 0.f);
    if (!transposed) return;
    float* out = p.transposed + (h * p.blocks + b) * p.block_elems;
    for (int64_t r0 = 0; r0 < kb.width_padded; r0 += 16)
      for (int64_t c = 0; c < p.cols_padded; ++c)
        for (int64_t r = r0; r < r0 + 16; ++r) out[c * kb.width_padded + r] = rows[r * p.cols_padded + c];
  });
  return p;
}

}  // namespace nsa::cpu
