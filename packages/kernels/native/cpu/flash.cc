// flash_fwd, flash_bwd on the CPU: tiles of 96 queries by 64 keys, online softmax, grouped heads, packed documents.
//
// Forward: one task per (query tile, head). Backward: one task per (document, KV head, share of its query heads): it walks the
// key blocks, recomputes p from lse, and owns a dk, dv buffer; buffers are summed in a fixed order, so results do not depend
// on threads.
//   S = Q·Kᵀ, P = 2^(S − lse), dV += Pᵀ·dO, dS = P∘(dO·Vᵀ − rowsum(dO∘O)), dQ += dS·K, dK += dSᵀ·Q
#include "cpu/attn_tiles.h"
#include "cpu/backend.h"
#include "cpu/families.h"

namespace nsa::cpu {
namespace {

constexpr int64_t kKeys = 64;

NsaOpFn reference_fwd, reference_bwd;

// Visible keys of each row of a query tile, [lo, hi), both non-decreasing over rows.
struct Visible {
  int64_t lo[kTileRows], hi[kTileRows];

  template <class Params>
  void set(const Params& p, int64_t t0, int64_t rows, int64_t n_keys) {
    for (int64_t r = 0; r < rows; ++r) {
      hi[r] = std::min(n_keys, visible_keys(t0 + r, p.block_size, p.stride));
      lo[r] = p.window > 0 ? std::max<int64_t>(0, t0 + r - p.window + 1) : 0;
    }
  }
  // Rows [begin, end) that see some of the keys [key, key + n), and their limits relative to key.
  bool rows(int64_t key, int64_t n, int64_t count, int64_t* begin, int64_t* end, int32_t* rel_lo, int32_t* rel_hi) const {
    int64_t b = 0, e = count;
    while (b < e && hi[b] <= key) ++b;
    while (e > b && lo[e - 1] >= key + n) --e;
    b = b / 6 * 6;  // whole register blocks
    for (int64_t r = b; r < e; ++r) {
      rel_lo[r] = int32_t(std::clamp<int64_t>(lo[r] - key, 0, n));
      rel_hi[r] = int32_t(std::clamp<int64_t>(hi[r] - key, 0, n));
    }
    *begin = b;
    *end = e;
    return b < e;
  }
};

int flash_fwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_flash_fwd_params*>(params);
  if (!all_fast(p.q, p.k, p.v, p.o) || p.lse.dtype != NSA_F32) return reference_fwd(ctx, params);
  if (p.hkv <= 0 || p.hq % p.hkv) return NSA_BAD_ARGUMENT;
  const AttnKernels& kernels = attn_kernels();
  const int32_t *cu_q = i32(p.cu_q), *cu_k = i32(p.cu_k);
  const int64_t dk = padded(p.dim_k), dv = padded(p.dim_v), group = p.hq / p.hkv;

  struct Tile {
    int64_t doc, row, rows;
  };
  std::vector<Tile> tiles;
  for (int64_t i = 0; i < p.n_docs; ++i)
    for (int64_t row = cu_q[i]; row < cu_q[i + 1]; row += kTileRows)
      tiles.push_back({i, row, std::min<int64_t>(kTileRows, cu_q[i + 1] - row)});

  KeyBlocks kb(cu_k, p.n_docs, kKeys);
  Scratch packed(ctx, 4 * (64 + PackedKeys::floats(kb, p.hkv, p.dim_k, false, true) +
                           PackedKeys::floats(kb, p.hkv, p.dim_v, true, false)));
  const int64_t per_worker = kTileRows * (dk + dv + kKeys);
  Scratch scratch(ctx, 4 * size_t(pool(ctx).size()) * per_worker);
  if (!packed || !scratch) return NSA_OUT_OF_MEMORY;
  Arena arena(packed.as<float>());
  PackedKeys k = pack_keys(ctx, arena, p.k, p.ldk, cu_k, p.n_docs, kb, p.hkv, p.dim_k, false, true);
  PackedKeys v = pack_keys(ctx, arena, p.v, p.ldv, cu_k, p.n_docs, kb, p.hkv, p.dim_v, true, false);

  // Late tiles see the most keys: they come first, so that no thread ends on a long one.
  for_tasks(pool(ctx), int64_t(tiles.size()) * p.hq, [&](int64_t task, int64_t worker) {
    const Tile& tile = tiles[tiles.size() - 1 - task / p.hq];
    const int64_t h = task % p.hq, kv = h / group, i = tile.doc, n_keys = cu_k[i + 1] - cu_k[i];
    Arena own(scratch.as<float>() + worker * per_worker);
    float *q = own.take(kTileRows * dk), *o = own.take(kTileRows * dv), *s = own.take(kTileRows * kKeys);
    float m[kTileRows], l[kTileRows], alpha[kTileRows];
    int32_t lo[kTileRows], hi[kTileRows];
    load_rows(p.q, tile.row, tile.rows, p.ldq, h, p.dim_k, q, dk, float(p.scale) * kLog2e);
    std::fill(o, o + tile.rows * dv, 0.f);
    std::fill(m, m + tile.rows, kMinusInf);
    std::fill(l, l + tile.rows, 0.f);
    Visible visible{};
    visible.set(p, tile.row - cu_q[i] + (p.q_start.ptr ? i32(p.q_start)[i] : 0), tile.rows, n_keys);
    for (int64_t j = visible.lo[0] / kKeys; j * kKeys < visible.hi[tile.rows - 1]; ++j) {
      int64_t b, e;
      if (!visible.rows(j * kKeys, kKeys, tile.rows, &b, &e, lo, hi)) continue;
      kernels.gemm(e - b, kKeys, dk, q + b * dk, dk, 1, k.columns(kv, kb.first[i] + j), kKeys, s + b * kKeys, kKeys, false);
      kernels.softmax_rows(s + b * kKeys, kKeys, e - b, kKeys, lo + b, hi + b, m + b, l + b, alpha + b);
      kernels.scale_rows(o + b * dv, dv, alpha + b, e - b, dv);
      kernels.gemm(e - b, dv, kKeys, s + b * kKeys, kKeys, 1, v.rows(kv, kb.first[i] + j), dv, o + b * dv, dv, true);
    }
    for (int64_t r = 0; r < tile.rows; ++r) {
      store_row(p.o, (tile.row + r) * p.ldo + h * p.dim_v, o + r * dv, p.dim_v, l[r] > 0 ? 1 / l[r] : 0.f, false);
      f32(p.lse)[(tile.row + r) * p.hq + h] = l[r] > 0 ? m[r] * kLn2 + std::log(l[r]) : kMinusInf;
    }
  });
  return NSA_OK;
}

int flash_bwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_flash_bwd_params*>(params);
  if (!all_fast(p.q, p.k, p.v, p.o, p.do_, p.dq, p.dk, p.dv) || p.lse.dtype != NSA_F32) return reference_bwd(ctx, params);
  if (p.hkv <= 0 || p.hq % p.hkv || (p.cos.ptr && (p.tq != p.tk || p.accumulate))) return NSA_BAD_ARGUMENT;
  const AttnKernels& kernels = attn_kernels();
  const int32_t *cu_q = i32(p.cu_q), *cu_k = i32(p.cu_k);
  const int64_t dk = padded(p.dim_k), dv = padded(p.dim_v), group = p.hq / p.hkv;
  // About eight tasks per document whatever the machine, so that sums have one order.
  const int64_t shares = std::min(group, ceil_div(8, p.hkv)), heads_per_share = ceil_div(group, shares);
  int64_t longest = 0;
  for (int64_t i = 0; i < p.n_docs; ++i) longest = std::max<int64_t>(longest, cu_q[i + 1] - cu_q[i]);

  KeyBlocks kb(cu_k, p.n_docs, kKeys);
  Scratch packed(ctx, 4 * (64 + PackedKeys::floats(kb, p.hkv, p.dim_k, true, true) +
                           PackedKeys::floats(kb, p.hkv, p.dim_v, false, true)));
  const int64_t grad_rows = kb.total() * kKeys, share_elems = p.hkv * grad_rows * (dk + dv);
  Scratch grads(ctx, 4 * size_t(shares * share_elems + 16));
  const int64_t per_worker = longest * (2 * dk + dv) + 2 * kTileRows * kKeys + 2 * padded(longest);
  Scratch scratch(ctx, 4 * size_t(pool(ctx).size()) * padded(per_worker));
  if (!packed || !grads || !scratch) return NSA_OUT_OF_MEMORY;
  Arena arena(packed.as<float>());
  PackedKeys k = pack_keys(ctx, arena, p.k, p.ldk, cu_k, p.n_docs, kb, p.hkv, p.dim_k, true, true);
  PackedKeys v = pack_keys(ctx, arena, p.v, p.ldv, cu_k, p.n_docs, kb, p.hkv, p.dim_v, false, true);
  // Layout of a share: dk [hkv][grad_rows][dk], then dv.
  auto dk_at = [&](int64_t share, int64_t kv, int64_t block) {
    return grads.as<float>() + share * share_elems + (kv * grad_rows + block * kKeys) * dk;
  };
  auto dv_at = [&](int64_t share, int64_t kv, int64_t block) {
    return grads.as<float>() + share * share_elems + p.hkv * grad_rows * dk + (kv * grad_rows + block * kKeys) * dv;
  };

  for_tasks(pool(ctx), p.n_docs * p.hkv * shares, [&](int64_t task, int64_t worker) {
    const int64_t i = task / (p.hkv * shares), kv = task / shares % p.hkv, share = task % shares;
    const int64_t T = cu_q[i + 1] - cu_q[i], n_keys = cu_k[i + 1] - cu_k[i], n_blocks = kb.first[i + 1] - kb.first[i];
    Arena own(scratch.as<float>() + worker * padded(per_worker));
    float *q = own.take(T * dk), *dq = own.take(T * dk), *do_ = own.take(T * dv), *s = own.take(kTileRows * kKeys),
          *dp = own.take(kTileRows * kKeys), *lse2 = own.take(T), *delta = own.take(T);
    if (n_blocks > 0) {
      std::fill_n(dk_at(share, kv, kb.first[i]), n_blocks * kKeys * dk, 0.f);
      std::fill_n(dv_at(share, kv, kb.first[i]), n_blocks * kKeys * dv, 0.f);
    }
    std::vector<Visible> visible(ceil_div(T, kTileRows));
    for (int64_t tile = 0; tile < int64_t(visible.size()); ++tile)
      visible[tile].set(p, tile * kTileRows, std::min(kTileRows, T - tile * kTileRows), n_keys);
    int32_t lo[kTileRows], hi[kTileRows];

    const int64_t first_head = kv * group + share * heads_per_share;
    for (int64_t h = first_head; h < std::min(first_head + heads_per_share, (kv + 1) * group); ++h) {
      load_rows(p.q, cu_q[i], T, p.ldq, h, p.dim_k, q, dk, float(p.scale) * kLog2e);
      load_rows(p.do_, cu_q[i], T, p.ldo, h, p.dim_v, do_, dv);
      std::fill_n(dq, T * dk, 0.f);
      std::vector<float> o_row(dv, 0.f);
      for (int64_t t = 0; t < T; ++t) {
        lse2[t] = f32(p.lse)[(cu_q[i] + t) * p.hq + h] * kLog2e;
        load_row(p.o, (cu_q[i] + t) * p.ldo + h * p.dim_v, o_row.data(), p.dim_v, 1.f);
        kernels.dot_rows(o_row.data(), dv, do_ + t * dv, dv, 1, dv, delta + t);
      }
      for (int64_t j = 0; j < n_blocks; ++j) {
        const int64_t block = kb.first[i] + j;
        float *dk_j = dk_at(share, kv, block), *dv_j = dv_at(share, kv, block);
        for (int64_t tile = 0; tile < int64_t(visible.size()); ++tile) {
          const int64_t t0 = tile * kTileRows, rows = std::min(kTileRows, T - t0);
          int64_t b, e;
          if (visible[tile].lo[0] >= (j + 1) * kKeys) break;
          if (visible[tile].hi[rows - 1] <= j * kKeys || !visible[tile].rows(j * kKeys, kKeys, rows, &b, &e, lo, hi)) continue;
          const int64_t n = e - b, t = t0 + b;
          kernels.gemm(n, kKeys, dk, q + t * dk, dk, 1, k.columns(kv, block), kKeys, s, kKeys, false);
          kernels.prob_rows(s, kKeys, n, kKeys, lo + b, hi + b, lse2 + t);
          kernels.gemm(kKeys, dv, n, s, 1, kKeys, do_ + t * dv, dv, dv_j, dv, true);
          kernels.gemm(n, kKeys, dv, do_ + t * dv, dv, 1, v.columns(kv, block), kKeys, dp, kKeys, false);
          kernels.dscore_rows(s, dp, kKeys, n, kKeys, delta + t);
          kernels.gemm(kKeys, dk, n, dp, 1, kKeys, q + t * dk, dk, dk_j, dk, true);
          kernels.gemm(n, dk, kKeys, dp, kKeys, 1, k.rows(kv, block), dk, dq + t * dk, dk, true);
        }
      }
      for (int64_t t = 0; t < T; ++t)
        store_row(p.dq, (cu_q[i] + t) * p.ldq + h * p.dim_k, dq + t * dk, p.dim_k, float(p.scale), p.accumulate & 1);
    }
  });

  // dK was summed against queries that carry scale·log2(e): what remains is ln 2.
  pool(ctx).parallel_for(p.n_docs * p.hkv, [&](int64_t task) {
    const int64_t i = task / p.hkv, kv = task % p.hkv, block = kb.first[i], n = cu_k[i + 1] - cu_k[i];
    if (n == 0) return;
    float *dk_sum = dk_at(0, kv, block), *dv_sum = dv_at(0, kv, block);
    for (int64_t share = 1; share < shares; ++share) {
      kernels.add(dk_at(share, kv, block), dk_sum, n * dk);
      kernels.add(dv_at(share, kv, block), dv_sum, n * dv);
    }
    for (int64_t r = 0; r < n; ++r) {
      store_row(p.dk, (cu_k[i] + r) * p.ldk + kv * p.dim_k, dk_sum + r * dk, p.dim_k, kLn2, p.accumulate & 2);
      store_row(p.dv, (cu_k[i] + r) * p.ldv + kv * p.dim_v, dv_sum + r * dv, p.dim_v, 1.f, p.accumulate & 2);
    }
  });
  if (!p.cos.ptr) return NSA_OK;
  auto turn_back = [&](const NsaBuf& x, int64_t heads, int64_t ld) {
    Nsa_rope_params args{x, x, p.cos, p.sin, p.positions, p.tq, heads, p.dim_k, p.rot_dim, ld, ld, 1};
    return backend()->ops[NSA_OP_rope](ctx, &args);
  };
  if (int status = turn_back(p.dq, p.hq, p.ldq)) return status;
  return turn_back(p.dk, p.hkv, p.ldk);
}

}  // namespace

void register_flash(NsaOpFn* ops) {
  reference_fwd = ops[NSA_OP_flash_fwd];
  reference_bwd = ops[NSA_OP_flash_bwd];
  ops[NSA_OP_flash_fwd] = flash_fwd;
  ops[NSA_OP_flash_bwd] = flash_bwd;
}

}  // namespace nsa::cpu
