// matmul on the CPU: blocks of C as tasks; each packs its panels of A and B and runs the register tile.
#include "cpu/matmul.h"

#include "cpu/families.h"
#include "cpu/isa.h"
#include "cpu/spans.h"

namespace nsa::cpu {
namespace {

constexpr int64_t kDepth = 256;      // 32-bit words of k in a packed panel: a panel of B fits the first-level cache
constexpr int64_t kBlockRows = 240;  // rows of C in a task; a multiple of every mr but that of AMX
constexpr int64_t kMostRows = 256;   // the same for AMX
constexpr int64_t kBlockCols = 256;  // columns of C in a task

// Whole panels of rows that lie k-major: every k is read once from end to end, since long strides fall into few cache sets.
template <int WIDTH>
void copy_panels(const float* src, int64_t ld, int64_t panels, int64_t depth, float* dst) {
  for (int64_t l = 0; l < depth; ++l)
    for (int64_t p = 0; p < panels; ++p) std::memcpy(dst + (p * depth + l) * WIDTH, src + l * ld + p * WIDTH, WIDTH * 4);
}

// Panels of `width` rows of op(X), k in [k0, k0 + depth): dst[panel][l][width], f32, zero rows past the end.
void pack(const VecKernels& v, const MatmulSide& s, int64_t row0, int64_t rows, int64_t k0, int64_t depth, int64_t width, float* dst,
          float* tmp) {
  int64_t first = 0;
  if (s.k_step != 1 && s.x.dtype == NSA_F32 && (width == 12 || width == 32)) {
    const float* src = static_cast<const float*>(s.x.ptr) + s.at + row0 * s.row_step + k0 * s.k_step;
    (width == 12 ? copy_panels<12> : copy_panels<32>)(src, s.k_step, rows / width, depth, dst);
    first = rows / width * width;
    dst += first * depth;
  }
  for (int64_t r = first; r < rows; r += width, dst += width * depth) {
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

// Rows of A with k contiguous: f32, or bf16 as it lies (pairs), 0 up to `words`; dst rows are kPackedRow words apart.
void pack_rows(const MatmulSide& s, bool pairs, int64_t row0, int64_t rows, int64_t k0, int64_t depth, float* dst, int64_t words) {
  for (int64_t r = 0; r < rows; ++r, dst += kPackedRow) {
    int64_t at = s.at + (row0 + r) * s.row_step + k0;
    if (pairs) {
      std::memset(dst + depth / 2, 0, size_t(words - depth / 2) * 4);
      std::memcpy(dst, static_cast<const uint16_t*>(s.x.ptr) + at, size_t(depth) * 2);
    } else {
      const float* from = read_span(s.x, at, depth, dst);
      if (from != dst) std::memcpy(dst, from, size_t(depth) * 4);
    }
  }
}

// The same for bf16 as pairs of k: dst[panel][pair][width] in 32-bit words, `words` pairs of which those behind the last k are 0.
void pack_pairs(const GemmKernels& g, const MatmulSide& s, int64_t row0, int64_t rows, int64_t k0, int64_t depth, int64_t width,
                float* dst, float* tmp, int64_t words) {
  int64_t pairs = (depth + 1) / 2;
  if (s.k_step != 1) {
    const auto* src = static_cast<const uint16_t*>(s.x.ptr) + s.at + row0 * s.row_step + k0 * s.k_step;
    g.bf16->pack_panels(src, s.k_step, rows, depth, reinterpret_cast<uint32_t*>(dst), width, words);
    return;
  }
  for (int64_t r = 0; r < rows; r += width, dst += width * words) {
    std::fill(dst + width * pairs, dst + width * words, 0.f);
    int64_t count = std::min(width, rows - r);
    const auto* src = static_cast<const uint16_t*>(s.x.ptr) + s.at + (row0 + r) * s.row_step + k0 * s.k_step;
    if (s.row_step % 2 == 0 && depth % 2 == 0) {
      g.vec->pack_transposed(reinterpret_cast<const float*>(src), s.row_step / 2, count, pairs, dst, width);
    } else {
      std::memset(tmp, 0, size_t(count * pairs) * 4);
      for (int64_t j = 0; j < count; ++j) std::memcpy(tmp + j * pairs, src + j * s.row_step, size_t(depth) * 2);
      g.vec->pack_transposed(tmp, pairs, count, pairs, dst, width);
    }
  }
}

// C from the finished sums of one row.
void finish_row(const MatmulOut& out, const float* sums, int64_t row, int64_t col, int64_t n) {
  const VecKernels& v = vec();
  float tmp[kBlockCols], staged[kBlockCols];
  int64_t at = out.at + row * out.ldc + col;
  float* y = write_span(out.c, at, staged);
  const float* now = sums;
  if (out.beta != 0) {
    const float* old = read_span(out.c, at, n, tmp);
    if (out.alpha == 1 && out.beta == 1) v.binary(0, old, now, y, n);
    else v.axpby(now, old, y, out.alpha, out.beta, n);
    now = y;
  } else if (out.alpha != 1) {
    v.binary_scalar(2, now, out.alpha, y, n);
    now = y;
  }
  if (out.bias.ptr) v.binary(0, now, read_span(out.bias, col, n, tmp), y, n), now = y;
  if (out.residual.ptr) v.binary(0, now, read_span(out.residual, row * out.ldc + col, n, tmp), y, n), now = y;
  if (out.c.dtype == NSA_BF16) store_span(out.c, at, n, now);
  else if (now != y) std::memcpy(y, now, size_t(n) * 4);
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

const std::vector<NamedKernels>& gemm_kernel_sets() {
  static const std::vector<NamedKernels> sets = [] {
    std::vector<NamedKernels> s{{"baseline", {&baseline::kVec, nullptr}}};
#if defined(__x86_64__)
    if (isa() >= Isa::avx2) s.push_back({"avx2", {&avx2::kVec, nullptr}});
    if (isa() >= Isa::avx512) s.push_back({"avx512", {&avx512::kVec, nullptr}});
    if (isa() >= Isa::avx512_bf16) s.push_back({"avx512-bf16", {&avx512::kVec, &avx512_bf16::kBf16}});
    if (isa() >= Isa::amx_bf16) s.push_back({"amx-bf16", {&avx512::kVec, &amx::kBf16}});
#endif
    return s;
  }();
  return sets;
}
const GemmKernels& gemm_kernels() {
  static const GemmKernels best = gemm_kernel_sets().back().kernels;
  return best;
}

int matmul(void* ctx, int64_t m, int64_t n, int64_t k, const MatmulSide& a, const MatmulSide& b, const MatmulOut& out,
           const GemmKernels& kernels) {
  const VecKernels& v = *kernels.vec;
  const Bf16Kernels* half = a.x.dtype == NSA_BF16 && b.x.dtype == NSA_BF16 ? kernels.bf16 : nullptr;
  const int64_t mr = half ? half->mr : v.mr, nr = half ? half->nr : v.nr, max_depth = half ? 2 * kDepth : kDepth;
  // Sums go straight to C when nothing is left to be done to them.
  const bool plain = k > 0 && out.c.dtype == NSA_F32 && out.alpha == 1 && out.beta == 0 && !out.bias.ptr && !out.residual.ptr;
  const bool by_rows = a.k_step == 1 || (half && half->pack_rows), rows_lie = a.k_step == 1;
  const int64_t most_rows = half && half->pack_rows ? kMostRows : kBlockRows;
  float* c_f32 = plain ? static_cast<float*>(out.c.ptr) + out.at : nullptr;
  // Narrower blocks when there are too few for the threads; the sums of an element stay the same.
  int64_t block_rows = std::min(most_rows, (m + mr - 1) / mr * mr), block_cols = kBlockCols;
  int64_t row_blocks = (m + block_rows - 1) / block_rows;
  while (block_cols > 2 * nr && row_blocks * ((n + block_cols - 1) / block_cols) < 2 * pool(ctx).size()) block_cols /= 2;
  int64_t col_blocks = (n + block_cols - 1) / block_cols;

  pool(ctx).parallel_for(row_blocks * col_blocks, [&](int64_t task) {
    thread_local Workspace w;
    w.a.resize(size_t(kMostRows * kPackedRow));
    w.b.resize(size_t(kBlockCols * kDepth));
    w.c.resize(size_t(kMostRows * kBlockCols));
    w.tmp.resize(size_t(64 * kDepth));
    if (half && half->begin) half->begin();
    int64_t row0 = task % row_blocks * block_rows, rows = std::min(block_rows, m - row0);
    int64_t col0 = task / row_blocks * block_cols, cols = std::min(block_cols, n - col0);
    for (int64_t k0 = 0; k0 < k; k0 += max_depth) {
      int64_t depth = std::min(max_depth, k - k0), words = half ? ((depth + 1) / 2 + half->step - 1) / half->step * half->step : depth;
      if (rows_lie) pack_rows(a, half, row0, rows, k0, depth, w.a.data(), words);
      else if (by_rows)
        half->pack_rows(static_cast<const uint16_t*>(a.x.ptr) + a.at + row0 * a.row_step + k0 * a.k_step, a.k_step, rows, depth,
                        reinterpret_cast<uint32_t*>(w.a.data()), words);
      else if (half) pack_pairs(kernels, a, row0, rows, k0, depth, mr, w.a.data(), w.tmp.data(), words);
      else pack(v, a, row0, rows, k0, depth, mr, w.a.data(), w.tmp.data());
      if (half) pack_pairs(kernels, b, col0, cols, k0, depth, nr, w.b.data(), w.tmp.data(), words);
      else pack(v, b, col0, cols, k0, depth, nr, w.b.data(), w.tmp.data());
      for (int64_t j = 0; j < cols; j += nr)
        for (int64_t i = 0; i < rows; i += mr) {
          const float *pa = w.a.data() + i * (by_rows ? kPackedRow : words), *pb = w.b.data() + j * words;
          bool direct = plain && j + nr <= cols;
          float* c = direct ? c_f32 + (row0 + i) * out.ldc + col0 + j : w.c.data() + i * kBlockCols + j;
          int64_t count = std::min(mr, rows - i), ldc = direct ? out.ldc : kBlockCols;
          if (half)
            half->tile(count, words, reinterpret_cast<const uint32_t*>(pa), by_rows, reinterpret_cast<const uint32_t*>(pb), c, ldc,
                       k0 > 0);
          else
            v.gemm_tile(count, words, pa, by_rows, pb, c, ldc, k0 > 0);
        }
    }
    if (half && half->end) half->end();
    if (k == 0) std::fill(w.c.begin(), w.c.end(), 0.f);
    int64_t done = plain ? cols / nr * nr : 0;
    if (done < cols)
      for (int64_t i = 0; i < rows; ++i) finish_row(out, w.c.data() + i * kBlockCols + done, row0 + i, col0 + done, cols - done);
  });
  return NSA_OK;
}

void register_matmul(NsaOpFn* ops) { ops[NSA_OP_gemm] = run; }

}  // namespace nsa::cpu
