// One query a sequence against paged keys on tensor cores: the warps' walk that the fused decoding of NSA is made of.
//
// A block of threads takes a stretch of the entries of one (sequence, KV head, 16 query heads). Heads are the rows of mma.m16n8k16, so a key is
// read once for all of them. Each warp has its own ring of tiles of 16 keys and values, filled by cp.async, and waits for no other.
// Sums (o, max, sum) of a stretch go to memory; whoever reads them joins the stretches in order. Maxima are of base-2 exponents.
#pragma once
#include "cuda/convert.h"
#include "cuda/mma.h"

namespace nsa::cuda::decode {

constexpr int kWarps = 4, kHeads = 16, kKeys = 16, kStages = 3;
constexpr float kLog2e = 1.4426950408889634f, kLn2 = 0.6931471805599453f;

// A cache and what of it a query sees: entries as of paged_attn or, with `idx`, the keys of the selected blocks.
struct Branch {
  const bf16 *k, *v;
  const int32_t* idx;  // [b, hkv, selected] blocks of `per` keys; null: entries
  int64_t page, window, block, stride, selected, per;
  int splits, first_split;  // its stretches and their place among all of a head
  int page_shift, per_shift;  // log2 of page and per, or −1
};

// x / by and what is left, by a shift where by = 2^shift.
struct Parts {
  int whole, rest;
  __device__ Parts(int x, int64_t by, int shift) {
    whole = shift >= 0 ? x >> shift : x / int(by);
    rest = x - whole * int(by);
  }
};

// Waits until all that the launches before have written is there, and lets the next launch begin: its own wait orders the two.
__device__ inline void follow() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;\ngriddepcontrol.wait;" ::: "memory");
#endif
}

struct Args {
  const bf16* q;
  const int32_t *table, *lens;
  float *part;    // [b, hq, splits, dim + 2]
  float* scores;  // [b, hq, score_ld] base-2 exponents of the first branch; null: not asked for
  int64_t b, hq, hkv, ldq, max_pages, score_ld;
  int splits;  // of all branches
  float scale;
};

template <int D>
struct Shape {
  static constexpr uint32_t tile = kKeys * D * 2, stage = 2 * tile, warp = kStages * stage;
  static constexpr int width = D + 2;
  static constexpr size_t smem = kWarps * (warp > kHeads * width * 4 ? warp : kHeads * width * 4) + 128;
};

__device__ inline int entries_of(const Branch& w, int64_t tokens) {
  return int(tokens < w.block ? 0 : (tokens - w.block) / w.stride + 1);
}

// Split x of the branch, for KV head `kv` and heads head0.. of its group, of sequence s, by a block of threads.
template <int D>
__device__ __forceinline__ void attend(const Args& a, const Branch& w, int x, int64_t s, int kv, int head0, bool keep_scores) {
  using S = Shape<D>;
  constexpr int chunks = D / 8, rows = 32 / chunks;  // rows of one access of a warp
  extern __shared__ char raw[];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, g = lane >> 2, quad = lane & 3;
  const int group = int(a.hq / a.hkv), here = min(kHeads, group - head0), tokens = a.lens[s];
  const int64_t head = int64_t(kv) * group + head0;
  const int32_t *table = a.table + s * a.max_pages, *idx = w.idx ? w.idx + (s * a.hkv + kv) * w.selected : nullptr;
  int first = 0, end = idx ? int(w.selected * w.per) : entries_of(w, tokens);
  if (w.window > 0 && end > w.window) first = end - int(w.window);
  const int tiles = (end - first + kKeys - 1) / kKeys, each = (tiles + w.splits - 1) / w.splits;
  const int from = x * each + warp, to = min(tiles, (x + 1) * each);
  // Cache row of an entry, −1 where the query does not see it.
  auto row_of = [&](int e) -> int64_t {
    if (e >= end) return -1;
    if (idx) {
      const Parts at(e, w.per, w.per_shift);
      const int chosen = idx[at.whole];
      e = chosen * int(w.per) + at.rest;
      if (chosen < 0 || e >= tokens) return -1;
    }
    const Parts at(e, w.page, w.page_shift);
    return int64_t(table[at.whole]) * w.page + at.rest;
  };
  auto row_in = [&](int tile) { return tile < to ? row_of(first + tile * kKeys + (lane & 15)) : -1; };
  int64_t rows_ahead[kStages - 1];
#pragma unroll
  for (int i = 0; i < kStages - 1; ++i) rows_ahead[i] = row_in(from + i * kWarps);
  int64_t rows_next = row_in(from + (kStages - 1) * kWarps);
  uint32_t q[D / 16][4];
  const bf16* query = a.q + s * a.ldq + head * D + quad * 2;
#pragma unroll
  for (int kk = 0; kk < D / 16; ++kk)
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int h = g + (i & 1) * 8;
      q[kk][i] = h < here ? *reinterpret_cast<const uint32_t*>(query + h * D + kk * 16 + (i >> 1) * 8) : 0;
    }
  const uint32_t ring = ((smem_address(raw) + 127) & ~127u) + warp * S::warp;
  const bf16 *keys = w.k + int64_t(kv) * D, *values = w.v + int64_t(kv) * D;
  const int64_t ld = a.hkv * D;
  unsigned seen[kStages] = {};  // which of a stage's keys
  auto load = [&](int64_t row, int slot, unsigned& mask) {
    mask = __ballot_sync(~0u, row >= 0);
    const uint32_t at = ring + slot * S::stage;
#pragma unroll
    for (int i = 0; i < kKeys / rows; ++i) {
      const int r = i * rows + lane / chunks, col = lane % chunks * 8;
      const int64_t source = __shfl_sync(~0u, row, r);
      const uint32_t place = tile_offset(kKeys, r, col);
      copy_async(at + place, source >= 0 ? keys + source * ld + col : keys, source >= 0);
      copy_async(at + S::tile + place, source >= 0 ? values + source * ld + col : values, source >= 0);
    }
  };
  float o[D / 8][4] = {}, top[2] = {-INFINITY, -INFINITY}, sum[2] = {};
#pragma unroll
  for (int i = 0; i < kStages - 1; ++i) {
    if (from + i * kWarps < to) load(rows_ahead[i], i, seen[i]);
    copy_commit();
  }
  const float scale = a.scale * kLog2e;
  for (int base = from; base < to; base += kStages * kWarps) {
#pragma unroll
    for (int slot = 0; slot < kStages; ++slot) {
      const int tile = base + slot * kWarps;
      if (tile >= to) break;
      copy_wait<kStages - 2>();
      __syncwarp();
      // The rows of the tile after the one that is copied are looked up while this one is computed.
      constexpr int ahead = kStages - 1;
      if (tile + ahead * kWarps < to) load(rows_next, (slot + ahead) % kStages, seen[(slot + ahead) % kStages]);
      copy_commit();
      rows_next = row_in(tile + (ahead + 1) * kWarps);
      const uint32_t at = ring + slot * S::stage, k_base = b_base(at), v_base = b_trans_base(at + S::tile);
      float p[2][4] = {};
#pragma unroll
      for (int kk = 0; kk < D / 16; ++kk) {
        uint32_t b[4];
        load_b_at(b, k_base, kKeys, 0, kk * 16);
        mma_bf16(p[0], q[kk], b[0], b[1]);
        mma_bf16(p[1], q[kk], b[2], b[3]);
      }
#pragma unroll
      for (int n = 0; n < 2; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) p[n][i] = seen[slot] >> (n * 8 + quad * 2 + (i & 1)) & 1 ? p[n][i] * scale : -INFINITY;
      if (keep_scores) {
        const int e = first + tile * kKeys + quad * 2;
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          if (g + h * 8 >= here) continue;
          float* out = a.scores + (s * a.hq + head + g + h * 8) * a.score_ld + e;
#pragma unroll
          for (int n = 0; n < 2; ++n)
            if (e + n * 8 < a.score_ld) *reinterpret_cast<float2*>(out + n * 8) = make_float2(p[n][h * 2], p[n][h * 2 + 1]);
        }
      }
      float shrink[2];
      bool grown = false;
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        float high = fmaxf(fmaxf(p[0][h * 2], p[0][h * 2 + 1]), fmaxf(p[1][h * 2], p[1][h * 2 + 1]));
        high = fmaxf(high, __shfl_xor_sync(~0u, high, 1));
        high = fmaxf(high, __shfl_xor_sync(~0u, high, 2));
        high = fmaxf(high, top[h]);
        const float subtract = high == -INFINITY ? 0.f : high;
        shrink[h] = exp2_fast(top[h] - subtract);
        grown |= high != top[h];
        top[h] = high;
        float total = 0;
#pragma unroll
        for (int n = 0; n < 2; ++n)
#pragma unroll
          for (int e = 0; e < 2; ++e) total += p[n][h * 2 + e] = exp2_fast(p[n][h * 2 + e] - subtract);
        sum[h] = fmaf(sum[h], shrink[h], total);
      }
      if (__any_sync(~0u, grown)) {
#pragma unroll
        for (int n = 0; n < D / 8; ++n)
#pragma unroll
          for (int i = 0; i < 4; ++i) o[n][i] *= shrink[i >> 1];
      }
      const uint32_t weights[4] = {pack_bf16(p[0][0], p[0][1]), pack_bf16(p[0][2], p[0][3]), pack_bf16(p[1][0], p[1][1]), pack_bf16(p[1][2], p[1][3])};
#pragma unroll
      for (int n = 0; n < D / 8; n += 2) {
        uint32_t b[4];
        load_b_trans_at(b, v_base, kKeys, 0, n * 8);
        mma_bf16(o[n], weights, b[0], b[1]);
        mma_bf16(o[n + 1], weights, b[2], b[3]);
      }
    }
  }
  copy_wait<0>();
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    sum[h] += __shfl_xor_sync(~0u, sum[h], 1);
    sum[h] += __shfl_xor_sync(~0u, sum[h], 2);
  }
  __syncthreads();
  // [warps, heads, dim + 2] in the room of the rings.
  float* shared = reinterpret_cast<float*>(raw);
  float* mine = shared + warp * kHeads * S::width;
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    float* row = mine + (g + h * 8) * S::width;
#pragma unroll
    for (int n = 0; n < D / 8; ++n) *reinterpret_cast<float2*>(row + n * 8 + quad * 2) = make_float2(o[n][h * 2], o[n][h * 2 + 1]);
    if (quad == 0) row[D] = top[h], row[D + 1] = sum[h];
  }
  __syncthreads();
  for (int i = int(threadIdx.x); i < here * D; i += kWarps * 32) {
    const int h = i / D, c = i % D;
    float high = -INFINITY, total = 0, out = 0;
#pragma unroll
    for (int v = 0; v < kWarps; ++v) high = fmaxf(high, shared[(v * kHeads + h) * S::width + D]);
    const float subtract = high == -INFINITY ? 0.f : high;
#pragma unroll
    for (int v = 0; v < kWarps; ++v) {
      const float* theirs = shared + (v * kHeads + h) * S::width;
      const float by = exp2_fast(theirs[D] - subtract);
      total = fmaf(theirs[D + 1], by, total), out = fmaf(theirs[c], by, out);
    }
    float* part = a.part + ((s * a.hq + head + h) * a.splits + w.first_split + x) * S::width;
    part[c] = out;
    if (c == 0) part[D] = high, part[D + 1] = total;
  }
  __syncthreads();
}

}  // namespace nsa::cuda::decode
