// matmul on the CPU: blocks of C as tasks; each packs its panels of A and B as f32 and runs the register tile.
#include "cpu/matmul.h"

#include "cpu/families.h"
#include "cpu/spans.h"

namespace nsa::cpu {
namespace {

constexpr int64_t kDepth = 256;     // k of a packed panel: a panel of B fits the first-level cache
constexpr int64_t kBlockRows = 240;  // rows of C in a task; a multiple of every mr
constexpr int64_t kBlockCols = 256;  // columns of C in a task

// Panels of `width` rows of op(X), k in [k0, k0 + depth): dst[panel][l][width], f32, zero rows past the end.
void pack(const MatmulSide& s, int64_t row0, int64_t rows, int64_t k0, int64_t depth, int64_t width, float* dst, float* tmp) {
  const VecKernels& v = vec();
  for (int64_t r = 0; r < rows; r += width, dst += width * depth) {
    int64_t count = std::min(width, rows - r), at = s.at + (row0 + r) * s.row_step + k0 * s.k_step;
    if (s.k_step == 1) {
      const float* src = static_cast<const float*>(s.x.ptr) + at;
      int64_t ld = s.row_step;
      if (s.x.dtype == NSA_BF16) {
        for (int64_t j = 0; j < count; ++j) read_span(s.x, at + j * s.row_step, depth, tmp + j * depth);
        src = tmp;
        ld = depth;
      }
      v.pack_transposed(src, ld, count, depth, dst, width);
    } else {
      for (int64_t l = 0; l < depth; ++l) {
        float* to = dst + l * width;
        const float* from = read_span(s.x, at + l * s.k_step, count, to);
        if (from != to) std::memcpy(to, from, size_t(count) * 4);
        for (int64_t j = count; j < width; ++j) to[j] = 0;
      }
    }
  }
}

// C from the finished sums of one row.
void finish_row(const MatmulOut& out, const float* sums, int64_t row, int64_t col, int64_t n) {
  const VecKernels& v = vec();
  float tmp[kBlockCols], y[kBlockCols];
  int64_t at = out.at + row * out.ldc + col;
  if (out.beta != 0) {
    v.axpby(sums, read_span(out.c, at, n, tmp), y, out.alpha, out.beta, n);
  } else {
    v.binary_scalar(2, sums, out.alpha, y, n);
  }
  if (out.bias.ptr) v.binary(0, y, read_span(out.bias, col, n, tmp), y, n);
  if (out.residual.ptr) v.binary(0, y, read_span(out.residual, row * out.ldc + col, n, tmp), y, n);
  if (out.c.dtype == NSA_F32)
    std::memcpy(static_cast<float*>(out.c.ptr) + at, y, size_t(n) * 4);
  else
    store_span(out.c, at, n, y);
}

struct Workspace {
  std::vector<float> a, b, c, tmp;
};

int run(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_gemm_params*>(params);
  if (!all_float(p.a, p.b, p.c, p.bias, p.residual)) return reference(NSA_OP_gemm, ctx, params);
  if (p.c.numel < (p.m - 1) * p.ldc + p.n || (p.bias.ptr && p.bias.numel < p.n)) return NSA_BAD_ARGUMENT;
  auto extent = [](int64_t rows, int64_t cols, int64_t ld) { return rows && cols ? (rows - 1) * ld + cols : 0; };
  if (p.a.numel < (p.trans_a ? extent(p.k, p.m, p.lda) : extent(p.m, p.k, p.lda))) return NSA_BAD_ARGUMENT;
  if (p.b.numel < (p.trans_b ? extent(p.n, p.k, p.ldb) : extent(p.k, p.n, p.ldb))) return NSA_BAD_ARGUMENT;
  MatmulSide a{p.a, 0, p.trans_a ? 1 : p.lda, p.trans_a ? p.lda : 1};
  MatmulSide b{p.b, 0, p.trans_b ? p.ldb : 1, p.trans_b ? 1 : p.ldb};
  return matmul(ctx, p.m, p.n, p.k, a, b, {p.c, 0, p.ldc, float(p.alpha), float(p.beta), p.bias, p.residual});
}

}  // namespace

int matmul(void* ctx, int64_t m, int64_t n, int64_t k, const MatmulSide& a, const MatmulSide& b, const MatmulOut& out) {
  const VecKernels& v = vec();
  // Narrower blocks when there are too few for the threads; the sums of an element stay the same.
  int64_t block_rows = std::min(kBlockRows, (m + v.mr - 1) / v.mr * v.mr), block_cols = kBlockCols;
  int64_t row_blocks = (m + block_rows - 1) / block_rows;
  while (block_cols > 2 * v.nr && row_blocks * ((n + block_cols - 1) / block_cols) < 2 * pool(ctx).size()) block_cols /= 2;
  int64_t col_blocks = (n + block_cols - 1) / block_cols;

  pool(ctx).parallel_for(row_blocks * col_blocks, [&](int64_t task) {
    thread_local Workspace w;
    w.a.resize(size_t(kBlockRows * kDepth));
    w.b.resize(size_t(kBlockCols * kDepth));
    w.c.resize(size_t(kBlockRows * kBlockCols));
    w.tmp.resize(size_t(64 * kDepth));
    int64_t row0 = task % row_blocks * block_rows, rows = std::min(block_rows, m - row0);
    int64_t col0 = task / row_blocks * block_cols, cols = std::min(block_cols, n - col0);
    for (int64_t k0 = 0; k0 < k; k0 += kDepth) {
      int64_t depth = std::min(kDepth, k - k0);
      pack(a, row0, rows, k0, depth, v.mr, w.a.data(), w.tmp.data());
      pack(b, col0, cols, k0, depth, v.nr, w.b.data(), w.tmp.data());
      for (int64_t j = 0; j < cols; j += v.nr)
        for (int64_t i = 0; i < rows; i += v.mr)
          v.gemm_tile(std::min(v.mr, rows - i), depth, w.a.data() + i * depth, w.b.data() + j * depth,
                      w.c.data() + i * kBlockCols + j, kBlockCols, k0 > 0);
    }
    if (k == 0) std::fill(w.c.begin(), w.c.end(), 0.f);
    for (int64_t i = 0; i < rows; ++i) finish_row(out, w.c.data() + i * kBlockCols, row0 + i, col0, cols);
  });
  return NSA_OK;
}

void register_matmul(NsaOpFn* ops) { ops[NSA_OP_gemm] = run; }

}  // namespace nsa::cpu
