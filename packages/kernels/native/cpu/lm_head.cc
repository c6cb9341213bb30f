// lm_head_fwd, lm_head_bwd on the CPU: logits in chunks of the vocabulary, softmax statistics kept per row.
#include <cmath>
#include <limits>

#include "cpu/families.h"
#include "cpu/matmul.h"
#include "cpu/spans.h"
#include "reference/lm_head.h"

namespace nsa::cpu {
namespace {

constexpr int64_t kChunk = 1024;  // columns of z alive at a time; fixed, so that sums do not depend on the batch

NsaBuf f32_buffer(float* ptr, int64_t numel) { return {ptr, numel, NSA_F32, 0}; }

// z[n, cols] = inv_temperature·h·w[first, first + cols)ᵀ.
int chunk_logits(void* ctx, const NsaBuf& h, const NsaBuf& w, int64_t n, int64_t d, int64_t first, int64_t cols, float alpha,
                 float* z, int64_t ldz) {
  return matmul(ctx, n, cols, d, {h, 0, d, 1}, {w, first * d, d, 1}, {f32_buffer(z, n * ldz), 0, ldz, alpha, 0, {}, {}});
}

struct RowStats {
  float top = -std::numeric_limits<float>::infinity(), target = 0;
  double sum = 0, sum_z = 0;  // Σ e^(z − top), Σ (z − top)·e^(z − top)
};

void update(RowStats& s, const float* z, int64_t cols) {
  float top = std::max(s.top, vec().max(z, cols));
  double part[2], shift = double(s.top) - top, scale = s.sum > 0 ? std::exp(shift) : 0;
  vec().softmax_sums(z, top, part, cols);
  if (s.sum > 0) s.sum_z = scale * (s.sum_z + shift * s.sum);
  s.sum_z += part[1];
  s.sum = scale * s.sum + part[0];
  s.top = top;
}

int statistics(void* ctx, const Nsa_lm_head_fwd_params& p) {
  if (!all_float(p.h, p.w, p.logits) || p.logp.dtype != NSA_F32 || p.lse.dtype != NSA_F32 || p.entropy.dtype != NSA_F32)
    return reference(NSA_OP_lm_head_fwd, ctx, &p);
  if (p.h.numel < p.n * p.d || p.w.numel < p.v * p.d || p.targets.numel < p.n || p.logp.numel < p.n || p.lse.numel < p.n ||
      p.entropy.numel < p.n || (p.logits.ptr && p.logits.numel < p.n * p.v))
    return NSA_BAD_ARGUMENT;
  for (int64_t r = 0; r < p.n; ++r)
    if (index_at(p.targets, r) >= p.v) return NSA_BAD_ARGUMENT;
  bool in_place = p.logits.ptr && p.logits.dtype == NSA_F32;
  Scratch scratch(ctx, size_t(in_place ? 1 : p.n * kChunk) * 4);
  if (!scratch) return NSA_OUT_OF_MEMORY;
  std::vector<RowStats> stats(static_cast<size_t>(p.n));
  for (int64_t first = 0; first < p.v; first += kChunk) {
    int64_t cols = std::min(kChunk, p.v - first), ldz = in_place ? p.v : kChunk;
    float* z = in_place ? static_cast<float*>(p.logits.ptr) + first : scratch.as<float>();
    chunk_logits(ctx, p.h, p.w, p.n, p.d, first, cols, float(p.inv_temperature), z, ldz);
    for_rows(ctx, p.n, cols, [&](int64_t row, int64_t last) {
      for (; row < last; ++row) {
        int64_t target = index_at(p.targets, row) - first;
        update(stats[size_t(row)], z + row * ldz, cols);
        if (target >= 0 && target < cols) stats[size_t(row)].target = z[row * ldz + target];
        if (p.logits.ptr && !in_place) store_span(p.logits, row * p.v + first, cols, z + row * ldz);
      }
    });
  }
  for (int64_t r = 0; r < p.n; ++r) {
    const RowStats& s = stats[size_t(r)];
    double lse = s.top + std::log(s.sum);
    static_cast<float*>(p.lse.ptr)[r] = float(lse);
    static_cast<float*>(p.logp.ptr)[r] = index_at(p.targets, r) < 0 ? 0.f : float(s.target - lse);
    static_cast<float*>(p.entropy.ptr)[r] = float(std::log(s.sum) - s.sum_z / s.sum);
  }
  return NSA_OK;
}

int bwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_lm_head_bwd_params*>(params);
  auto f32_or_absent = [](const NsaBuf& b) { return !b.ptr || b.dtype == NSA_F32; };
  if (!all_float(p.h, p.w, p.dh, p.dw, p.logits) || p.lse.dtype != NSA_F32 || p.entropy.dtype != NSA_F32 ||
      !f32_or_absent(p.dlogp) || !f32_or_absent(p.dlse) || !f32_or_absent(p.dentropy))
    return reference(NSA_OP_lm_head_bwd, ctx, params);
  auto short_of = [](const NsaBuf& b, int64_t n) { return b.ptr && b.numel < n; };
  if (p.h.numel < p.n * p.d || p.w.numel < p.v * p.d || p.dh.numel < p.n * p.d || short_of(p.dw, p.v * p.d) ||
      p.targets.numel < p.n || p.lse.numel < p.n || p.entropy.numel < p.n || short_of(p.logits, p.n * p.v) ||
      short_of(p.dlogp, p.n) || short_of(p.dlse, p.n) || short_of(p.dentropy, p.n))
    return NSA_BAD_ARGUMENT;
  // dh is summed over the chunks in f32 even when it is stored as bf16. Between bf16 operands dz is rounded to bf16, too: its
  // two products then run on the bf16 dot product.
  bool direct = p.dh.dtype == NSA_F32;
  bool low = p.h.dtype == NSA_BF16 && p.w.dtype == NSA_BF16 && gemm_kernels().bf16;
  int64_t z_floats = low && p.logits.ptr ? 0 : p.n * kChunk, dh_floats = direct ? 0 : p.n * p.d;
  Scratch scratch(ctx, size_t(z_floats + dh_floats) * 4 + size_t(low ? p.n * kChunk * 2 : 0));
  if (!scratch) return NSA_OUT_OF_MEMORY;
  float* z = scratch.as<float>();
  auto* dz_low = reinterpret_cast<uint16_t*>(z + z_floats + dh_floats);
  NsaBuf dz = low ? NsaBuf{dz_low, p.n * kChunk, NSA_BF16, 0} : f32_buffer(z, p.n * kChunk);
  NsaBuf dh = direct ? p.dh : f32_buffer(z + z_floats, p.n * p.d);
  auto value = [](const NsaBuf& b, int64_t i) { return b.ptr ? static_cast<const float*>(b.ptr)[i] : 0.f; };
  auto scale = float(p.inv_temperature);
  for (int64_t first = 0; first < p.v; first += kChunk) {
    int64_t cols = std::min(kChunk, p.v - first);
    if (!p.logits.ptr) chunk_logits(ctx, p.h, p.w, p.n, p.d, first, cols, scale, z, kChunk);
    for_rows(ctx, p.n, cols, [&](int64_t row, int64_t last) {
      float staged[kChunk];
      for (; row < last; ++row) {
        float* zr = z_floats > 0 ? z + row * kChunk : staged;
        if (p.logits.ptr) {
          const float* kept = read_span(p.logits, row * p.v + first, cols, zr);
          if (kept != zr) std::memcpy(zr, kept, size_t(cols) * 4);
        }
        int64_t target = index_at(p.targets, row);
        float dlogp = target < 0 ? 0.f : value(p.dlogp, row);
        vec().lm_head_slope(zr, value(p.lse, row), value(p.entropy, row), value(p.dlse, row) - dlogp, value(p.dentropy, row), cols);
        if (target >= first && target < first + cols) zr[target - first] += dlogp;
        if (low) vec().to_bf16(zr, dz_low + row * kChunk, cols);
      }
    });
    // dh[n, d] += dz·w, dw[cols, d] += dzᵀ·h.
    matmul(ctx, p.n, p.d, cols, {dz, 0, kChunk, 1}, {p.w, first * p.d, 1, p.d}, {dh, 0, p.d, scale, first ? 1.f : 0.f, {}, {}});
    if (p.dw.ptr) matmul(ctx, cols, p.d, p.n, {dz, 0, 1, kChunk}, {p.h, 0, 1, p.d}, {p.dw, first * p.d, p.d, scale, 1, {}, {}});
  }
  if (!direct)
    for_blocks(ctx, p.n * p.d, [&](int64_t at, int64_t n) { store_span(p.dh, at, n, static_cast<float*>(dh.ptr) + at); });
  return NSA_OK;
}

int fwd(void* ctx, const void* params) {
  auto p = *static_cast<const Nsa_lm_head_fwd_params*>(params);
  const Nsa_lm_head_bwd_params back = lm_head_known_slope(p);
  p.dlogp = {};
  const int status = statistics(ctx, p);
  return status != NSA_OK || !back.dlogp.ptr ? status : bwd(ctx, &back);
}

}  // namespace

void register_lm_head(NsaOpFn* ops) {
  ops[NSA_OP_lm_head_fwd] = fwd;
  ops[NSA_OP_lm_head_bwd] = bwd;
}

}  // namespace nsa::cpu
