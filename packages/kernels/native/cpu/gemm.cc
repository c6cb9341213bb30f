// Packed, register-blocked matrix product; see gemm.h. B is packed once into panels, A per block of rows.
#include "cpu/gemm.h"

#include <algorithm>
#include <vector>

#include "cpu/dense_kernels.h"
#include "cpu/families.h"
#include "reference/backend.h"
#include "reference/common.h"

namespace nsa::cpu {
namespace {

constexpr int64_t kBlockK = 512, kStrips = 8, kPanels = 8;

inline float at(const void* p, int32_t dtype, int64_t i) {
  return dtype == NSA_F32 ? static_cast<const float*>(p)[i] : ref::bf16_to_float(static_cast<const uint16_t*>(p)[i]);
}

// out[k][width] = element(k, first + j); rows past `count` are zero.
template <class T, class Get>
void pack(const T* x, int64_t ld, bool k_major, int64_t first, int64_t count, int64_t k0, int64_t kn, int64_t width, float* out,
          Get get) {
  if (k_major) {
    for (int64_t k = 0; k < kn; ++k) {
      const T* row = x + (k0 + k) * ld + first;
      float* o = out + k * width;
      for (int64_t j = 0; j < count; ++j) o[j] = get(row[j]);
      for (int64_t j = count; j < width; ++j) o[j] = 0;
    }
    return;
  }
  for (int64_t kb = 0; kb < kn; kb += 16) {
    int64_t ke = std::min(kn, kb + 16);
    for (int64_t j = 0; j < count; ++j) {
      const T* row = x + (first + j) * ld + k0;
      for (int64_t k = kb; k < ke; ++k) out[k * width + j] = get(row[k]);
    }
    for (int64_t j = count; j < width; ++j)
      for (int64_t k = kb; k < ke; ++k) out[k * width + j] = 0;
  }
}

void pack_any(const void* x, int32_t dtype, int64_t ld, bool k_major, int64_t first, int64_t count, int64_t k0, int64_t kn,
              int64_t width, float* out) {
  if (dtype == NSA_F32)
    pack(static_cast<const float*>(x), ld, k_major, first, count, k0, kn, width, out, [](float v) { return v; });
  else
    pack(static_cast<const uint16_t*>(x), ld, k_major, first, count, k0, kn, width, out,
         [](uint16_t v) { return ref::bf16_to_float(v); });
}

// Writes rows [i0, i1) and columns [j0, j1) of C from the accumulated tile.
void finish(const GemmArgs& g, const float* tile, int64_t ld, int64_t i0, int64_t i1, int64_t j0, int64_t j1) {
  bool f32 = g.c_dtype == NSA_F32;
  for (int64_t i = i0; i < i1; ++i) {
    const float* s = tile + (i - i0) * ld - j0;
    int64_t row = i * g.ldc;
    if (f32 && g.alpha == 1 && !g.bias.ptr && !g.residual.ptr && (g.beta == 0 || g.beta == 1)) {
      float* c = static_cast<float*>(g.c) + row;
      if (g.beta == 0) std::copy(s + j0, s + j1, c + j0);
      else
        for (int64_t j = j0; j < j1; ++j) c[j] += s[j];
      continue;
    }
    for (int64_t j = j0; j < j1; ++j) {
      float v = g.alpha * s[j];
      if (g.beta != 0) v += g.beta * at(g.c, g.c_dtype, row + j);
      if (g.bias.ptr) v += at(g.bias.ptr, g.bias.dtype, j);
      if (g.residual.ptr) v += at(g.residual.ptr, g.residual.dtype, row + j);
      if (f32) static_cast<float*>(g.c)[row + j] = v;
      else static_cast<uint16_t*>(g.c)[row + j] = ref::float_to_bf16(v);
    }
  }
}

bool fast_float(int32_t dtype) { return dtype == NSA_F32 || dtype == NSA_BF16; }

int gemm_op(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_gemm_params*>(params);
  static const NsaOpFn fallback = [] {
    NsaOpFn ops[NSA_OP_COUNT] = {};
    ref::register_all(ops);
    return ops[NSA_OP_gemm];
  }();
  if (!fast_float(p.a.dtype) || !fast_float(p.b.dtype) || !fast_float(p.c.dtype)) return fallback(ctx, params);
  int64_t a_last = p.trans_a ? (p.k - 1) * p.lda + p.m : (p.m - 1) * p.lda + p.k;
  int64_t b_last = p.trans_b ? (p.n - 1) * p.ldb + p.k : (p.k - 1) * p.ldb + p.n;
  if (p.m <= 0 || p.n <= 0) return NSA_OK;
  if (p.k <= 0 || a_last > p.a.numel || b_last > p.b.numel || (p.m - 1) * p.ldc + p.n > p.c.numel) return NSA_BAD_ARGUMENT;
  GemmArgs g{p.m, p.n, p.k, p.a.ptr, p.a.dtype, p.lda, p.trans_a != 0, p.b.ptr, p.b.dtype, p.ldb, p.trans_b != 0,
             p.c.ptr, p.c.dtype, p.ldc, float(p.alpha), float(p.beta), p.bias, p.residual};
  return gemm(ctx, g);
}

}  // namespace

int gemm(void* ctx, const GemmArgs& g) {
  const DenseKernels& kern = dense_kernels();
  int64_t panels = (g.n + kern.nr - 1) / kern.nr, rows = kern.mr * kStrips;
  Scratch packed_b(ctx, size_t(panels * kern.nr * g.k) * 4);
  int64_t m_blocks = (g.m + rows - 1) / rows, n_blocks = (panels + kPanels - 1) / kPanels;
  int64_t width = kPanels * kern.nr, task_floats = rows * kBlockK + rows * width;
  auto threads = int64_t(pool(ctx).size());
  // One task per slot at most, so that scratch stays small: task s walks the tiles s, s + slots, ...
  int64_t tiles = m_blocks * n_blocks, slots = std::min(tiles, threads);
  Scratch work(ctx, size_t(slots * task_floats) * 4);
  if (!packed_b || !work) return NSA_OUT_OF_MEMORY;
  auto* pb = packed_b.as<float>();
  bool parallel = g.m * g.n * g.k > (int64_t(1) << 16);
  auto each = [&](int64_t n, const std::function<void(int64_t)>& fn) {
    if (parallel) pool(ctx).parallel_for(n, fn);
    else
      for (int64_t i = 0; i < n; ++i) fn(i);
  };
  each(panels, [&](int64_t j) {
    int64_t first = j * kern.nr;
    pack_any(g.b, g.b_dtype, g.ldb, !g.trans_b, first, std::min(kern.nr, g.n - first), 0, g.k, kern.nr,
             pb + first * g.k);
  });
  each(slots, [&](int64_t slot) {
    float* pa = work.as<float>() + slot * task_floats;
    float* c = pa + rows * kBlockK;
    for (int64_t tile = slot; tile < tiles; tile += slots) {
      int64_t i0 = tile / n_blocks * rows, i1 = std::min(g.m, i0 + rows);
      int64_t p0 = tile % n_blocks * kPanels, p1 = std::min(panels, p0 + kPanels);
      for (int64_t k0 = 0; k0 < g.k; k0 += kBlockK) {
        int64_t kn = std::min(kBlockK, g.k - k0);
        for (int64_t i = i0; i < i1; i += kern.mr)
          pack_any(g.a, g.a_dtype, g.lda, g.trans_a, i, std::min(kern.mr, i1 - i), k0, kn, kern.mr, pa + (i - i0) * kn);
        for (int64_t p = p0; p < p1; ++p)
          for (int64_t i = i0; i < i1; i += kern.mr)
            kern.tile(kn, pa + (i - i0) * kn, pb + p * kern.nr * g.k + k0 * kern.nr, c + (i - i0) * width + (p - p0) * kern.nr,
                      width, k0 == 0);
      }
      finish(g, c, width, i0, i1, p0 * kern.nr, std::min(g.n, p1 * kern.nr));
    }
  });
  return NSA_OK;
}

void register_gemm(NsaOpFn* ops) { ops[NSA_OP_gemm] = gemm_op; }

}  // namespace nsa::cpu
