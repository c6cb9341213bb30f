// gather_rows, scatter_rows, embedding_bwd, paged_write, page_copy: whole rows moved by index, 16 bytes at a time.
//
// embedding_bwd sorts (id, t) by a stable radix sort, sums runs of equal ids in chunks of 32 entries, then joins the runs
// that cross chunks: no atomics on floats, linear memory, the order of t for every id.
#include <type_traits>

#include "cuda/convert.h"
#include "cuda/families.h"
#include "cuda/launch.h"
#include "cuda/rows.h"
#include "cuda/sort.h"

namespace nsa::cuda {
namespace {

// to[dst(r)] = from[src(r)], rows of `units` U each; an index −1 (or outside) of src gives zeros, of dst skips.
template <class U>
__global__ void move_rows_kernel(const U* from, U* to, const int32_t* src, const int32_t* dst, int64_t rows, int64_t units, int64_t ld_from,
                                 int64_t ld_to, int64_t from_rows, int64_t to_rows) {
  NSA_GRID_STRIDE(i, rows * units) {
    int64_t r = i / units, c = i % units;
    int64_t s = src ? src[r] : r, d = dst ? dst[r] : r;
    if (d < 0 || d >= to_rows) continue;
    to[d * ld_to + c] = s >= 0 && s < from_rows ? from[s * ld_from + c] : U{};
  }
}

// Sizes in elements of `dtype`.
int move_rows(void* ctx, const void* from, void* to, int32_t dtype, const int32_t* src, const int32_t* dst, int64_t rows, int64_t cols,
              int64_t ld_from, int64_t ld_to, int64_t from_rows, int64_t to_rows) {
  if (rows == 0 || cols == 0) return NSA_OK;
  auto stream = context(ctx).stream;
  auto size = int64_t(dtype_bytes(dtype));
  auto go = [&](auto unit) {
    using U = decltype(unit);
    auto per = int64_t(sizeof(U)) / size;
    move_rows_kernel<U><<<grid_for(ctx, rows * cols / per), kThreads, 0, stream>>>(static_cast<const U*>(from), static_cast<U*>(to), src, dst, rows,
                                                                                   cols / per, ld_from / per, ld_to / per, from_rows, to_rows);
  };
  int64_t wide = 16 / size;
  if (size < 16 && aligned16(from) && aligned16(to) && cols % wide == 0 && ld_from % wide == 0 && ld_to % wide == 0) go(uint4{});
  else if (size == 1) go(uint8_t{});
  else if (size == 2) go(uint16_t{});
  else if (size == 4) go(uint32_t{});
  else go(uint64_t{});
  return launched(ctx);
}

const int32_t* i32(const NsaBuf& b) { return static_cast<const int32_t*>(b.ptr); }

int gather_rows(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_gather_rows_params*>(params);
  if (p.idx.numel < p.rows || p.y.numel < p.rows * p.cols) return bad_argument(ctx, "gather_rows: sizes");
  if (p.x.dtype != p.y.dtype) return unsupported(ctx, "gather_rows of mixed dtypes");
  int64_t x_rows = p.cols ? p.x.numel / p.cols : 0;
  return move_rows(ctx, p.x.ptr, p.y.ptr, p.x.dtype, i32(p.idx), nullptr, p.rows, p.cols, p.cols, p.cols, x_rows, p.rows);
}

int scatter_rows(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_scatter_rows_params*>(params);
  if (p.idx.numel < p.rows || p.y.numel < p.rows * p.cols || p.x.numel < p.x_rows * p.cols) return bad_argument(ctx, "scatter_rows: sizes");
  if (p.x.dtype != p.y.dtype) return unsupported(ctx, "scatter_rows of mixed dtypes");
  size_t bytes = size_t(p.x_rows * p.cols) * dtype_bytes(p.x.dtype);
  int status = check(ctx, cudaMemsetAsync(p.x.ptr, 0, bytes, context(ctx).stream));
  if (status != NSA_OK) return status;
  return move_rows(ctx, p.y.ptr, p.x.ptr, p.x.dtype, nullptr, i32(p.idx), p.rows, p.cols, p.cols, p.cols, p.rows, p.x_rows);
}

}  // namespace

int paged_write(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_paged_write_params*>(params);
  if (p.slot.numel < p.rows) return bad_argument(ctx, "paged_write: sizes");
  if (p.x.dtype != p.cache.dtype) return unsupported(ctx, "paged_write of mixed dtypes");
  return move_rows(ctx, p.x.ptr, p.cache.ptr, p.x.dtype, nullptr, i32(p.slot), p.rows, p.cols, p.ldx, p.cols, p.rows, p.cols ? p.cache.numel / p.cols : 0);
}

namespace {

int page_copy(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_page_copy_params*>(params);
  if (p.src.numel < p.n || p.dst.numel < p.n) return bad_argument(ctx, "page_copy: sizes");
  int64_t pages = p.page_elems ? p.cache.numel / p.page_elems : 0;
  return move_rows(ctx, p.cache.ptr, p.cache.ptr, p.cache.dtype, i32(p.src), i32(p.dst), p.n, p.page_elems, p.page_elems, p.page_elems, pages, pages);
}

// ---- embedding_bwd --------------------------------------------------------------------------------------------------
constexpr int kChunk = 32;

__global__ void entries_kernel(const int32_t* ids, int2* out, int64_t n, int64_t vocab) {
  // Skipped tokens sort last: behind every id.
  NSA_GRID_STRIDE(t, n) {
    int32_t id = ids[t];
    out[t] = make_int2(id < 0 || id >= vocab ? int(vocab) : id, int(t));
  }
}

// Sums of the runs of one chunk. A run inside the chunk goes straight to dw; the first and last runs, where they reach over
// the chunk's borders, go to partial[chunk][0] (begins before) and partial[chunk][1] (begins here).
template <class T>
__global__ void runs_kernel(const int2* sorted, int64_t n, int64_t vocab, const T* dy, float* dw, float* partial, int64_t d) {
  __shared__ int2 entries[kChunk + 2];
  int64_t from = int64_t(blockIdx.x) * kChunk;
  int here = int(min(int64_t(kChunk), n - from));
  for (int i = threadIdx.x; i < here + 2; i += blockDim.x) {
    int64_t at = from - 1 + i;
    entries[i] = at >= 0 && at < n ? sorted[at] : make_int2(-1, 0);
  }
  __syncthreads();
  for (int64_t c = threadIdx.x; c < d; c += blockDim.x) {
    float acc = 0;
    bool before = entries[1].x == entries[0].x;
    for (int i = 1; i <= here; ++i) {
      int id = entries[i].x;
      if (id >= vocab) break;
      acc += to_float(dy[entries[i].y * d + c]);
      bool goes_on = entries[i + 1].x == id;
      if (goes_on && i < here) continue;
      if (before) partial[(blockIdx.x * 2ll) * d + c] = acc;
      else if (goes_on) partial[(blockIdx.x * 2ll + 1) * d + c] = acc;
      else dw[id * d + c] += acc;
      acc = 0;
      before = false;
    }
  }
}

// A run that begins in this chunk and reaches over its end: its parts are added in order.
__global__ void join_kernel(const int2* sorted, int64_t n, int64_t vocab, float* dw, const float* partial, int64_t d) {
  int64_t chunk = blockIdx.x, last = (chunk + 1) * kChunk - 1;
  if (last + 1 >= n) return;
  int id = sorted[last].x;
  if (id >= vocab || sorted[last + 1].x != id) return;
  // A run that fills the chunk and began earlier belongs to the chunk where it began.
  if (chunk > 0 && sorted[chunk * kChunk].x == id && sorted[chunk * kChunk - 1].x == id) return;
  for (int64_t c = threadIdx.x; c < d; c += blockDim.x) {
    float acc = partial[(chunk * 2 + 1) * d + c];
    for (int64_t next = chunk + 1;; ++next) {
      acc += partial[next * 2 * d + c];
      int64_t end = (next + 1) * kChunk;
      if (end >= n || sorted[end].x != id || sorted[end - 1].x != id) break;
    }
    dw[id * d + c] += acc;
  }
}

int embedding_bwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_embedding_bwd_params*>(params);
  if (p.ids.numel < p.tokens || p.dy.numel < p.tokens * p.d || p.dw.numel < p.vocab * p.d) return bad_argument(ctx, "embedding_bwd: sizes");
  if (p.dw.dtype != NSA_F32) return unsupported(ctx, "embedding_bwd accumulates in f32");
  if (p.tokens == 0 || p.d == 0) return NSA_OK;
  int64_t n = p.tokens, chunks = ceil_div(n, kChunk);
  Scratch first(ctx, size_t(n) * 8), second(ctx, size_t(n) * 8), count(ctx, sort_bytes(n)), partial(ctx, size_t(chunks * 2 * p.d) * 4);
  if (!first || !second || !count || !partial) return out_of_memory(ctx);
  auto stream = context(ctx).stream;
  entries_kernel<<<grid_for(ctx, n), kThreads, 0, stream>>>(i32(p.ids), first.as<int2>(), n, p.vocab);
  const int2* from = sort_entries(ctx, first.as<int2>(), second.as<int2>(), count.as<int32_t>(), n, p.vocab);
  auto* dw = static_cast<float*>(p.dw.ptr);
  bool ok = with_float_type(p.dy.dtype, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    runs_kernel<T><<<unsigned(chunks), 128, 0, stream>>>(from, n, p.vocab, static_cast<const T*>(p.dy.ptr), dw, partial.as<float>(), p.d);
  });
  if (!ok) return unsupported(ctx, "embedding_bwd takes f32 and bf16");
  join_kernel<<<unsigned(chunks), 128, 0, stream>>>(from, n, p.vocab, dw, partial.as<float>(), p.d);
  return launched(ctx);
}

}  // namespace

void register_rows(NsaOpFn* ops) {
  ops[NSA_OP_gather_rows] = gather_rows;
  ops[NSA_OP_scatter_rows] = scatter_rows;
  ops[NSA_OP_embedding_bwd] = embedding_bwd;
  ops[NSA_OP_paged_write] = paged_write;
  ops[NSA_OP_page_copy] = page_copy;
}

}  // namespace nsa::cuda
