// nsa_select on the CPU: probabilities of the compressed attention again from its lse, summed over the group, folded, top-n.
//
// One task per (query tile, KV head); only the tile's group-summed probabilities are ever stored.
#include "cpu/attn_tiles.h"
#include "cpu/families.h"
#include "cpu/selection.h"

namespace nsa::cpu {
namespace {

constexpr int64_t kQueries = 48, kKeys = 64;

NsaOpFn reference_select;

int select(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_select_params*>(params);
  if (!all_fast(p.q, p.k_cmp, p.scores) || p.lse.dtype != NSA_F32) return reference_select(ctx, params);
  if (p.hkv <= 0 || p.hq % p.hkv || p.block_size % p.stride || p.selection_block_size % p.stride) return NSA_BAD_ARGUMENT;
  const AttnKernels& kernels = attn_kernels();
  const int32_t *cu = i32(p.cu_seqlens), *cu_blocks = i32(p.cu_blocks);
  const int64_t dk = padded(p.dim_k), group = p.hq / p.hkv;
  struct Tile {
    int64_t doc, row, rows;
  };
  std::vector<Tile> tiles;
  int64_t most = 0;
  for (int64_t i = 0; i < p.n_docs; ++i) {
    most = std::max<int64_t>(most, cu_blocks[i + 1] - cu_blocks[i]);
    for (int64_t row = cu[i]; row < cu[i + 1]; row += kQueries)
      tiles.push_back({i, row, std::min<int64_t>(kQueries, cu[i + 1] - row)});
  }
  KeyBlocks kb(cu_blocks, p.n_docs, kKeys);
  const int64_t ld = ceil_div(most, kKeys) * kKeys;
  Scratch packed(ctx, 4 * (64 + PackedKeys::floats(kb, p.hkv, p.dim_k, false, true)));
  const int64_t per_worker = kQueries * (dk + ld + kKeys) + 64;
  Scratch scratch(ctx, 4 * size_t(pool(ctx).size()) * per_worker);
  if (!packed || !scratch) return NSA_OUT_OF_MEMORY;
  Arena arena(packed.as<float>());
  PackedKeys k = pack_keys(ctx, arena, p.k_cmp, p.ldk, cu_blocks, p.n_docs, kb, p.hkv, p.dim_k, false, true);

  for_tasks(pool(ctx), int64_t(tiles.size()) * p.hkv, [&](int64_t task, int64_t worker) {
    const Tile& tile = tiles[tiles.size() - 1 - task / p.hkv];
    const int64_t kv = task % p.hkv, t0 = tile.row - cu[tile.doc], n_blocks = cu_blocks[tile.doc + 1] - cu_blocks[tile.doc];
    Arena own(scratch.as<float>() + worker * per_worker);
    float *q = own.take(kQueries * dk), *sum = own.take(kQueries * ld), *s = own.take(kQueries * kKeys);
    int64_t hi[kQueries] = {};
    int32_t rel_lo[kQueries] = {}, rel_hi[kQueries];
    float lse2[kQueries];
    for (int64_t r = 0; r < tile.rows; ++r) hi[r] = std::min(n_blocks, visible_keys(t0 + r, p.block_size, p.stride));
    const int64_t n_tiles = ceil_div(hi[tile.rows - 1], kKeys);
    for (int64_t r = 0; r < tile.rows; ++r) std::fill_n(sum + r * ld, n_tiles * kKeys, 0.f);
    for (int64_t h = kv * group; h < (kv + 1) * group; ++h) {
      load_rows(p.q, tile.row, tile.rows, p.ldq, h, p.dim_k, q, dk, float(p.scale) * kLog2e);
      for (int64_t r = 0; r < tile.rows; ++r) lse2[r] = f32(p.lse)[(tile.row + r) * p.hq + h] * kLog2e;
      for (int64_t j = 0; j < n_tiles; ++j) {
        for (int64_t r = 0; r < tile.rows; ++r) rel_hi[r] = int32_t(std::clamp<int64_t>(hi[r] - j * kKeys, 0, kKeys));
        kernels.gemm(tile.rows, kKeys, dk, q, dk, 1, k.columns(kv, kb.first[tile.doc] + j), kKeys, s, kKeys, false);
        kernels.prob_rows(s, kKeys, tile.rows, kKeys, rel_lo, rel_hi, lse2);
        kernels.merge_rows(sum + j * kKeys, ld, nullptr, nullptr, s, kKeys, tile.rows, kKeys);
      }
    }
    Selector selector{p.block_size, p.stride, p.selection_block_size, p.num_selected, p.num_init, p.num_local, {}, {}, {}};
    for (int64_t r = 0; r < tile.rows; ++r) {
      const int64_t at = (tile.row + r) * p.hkv + kv;
      selector.choose(sum + r * ld, hi[r], t0 + r, static_cast<int32_t*>(p.idx.ptr) + at * p.num_selected);
      if (!p.scores.ptr) continue;
      selector.scores.resize(p.max_blocks, 0.f);
      store_row(p.scores, at * p.max_blocks, selector.scores.data(), p.max_blocks, 1.f, false);
    }
  });
  return NSA_OK;
}

}  // namespace

void register_nsa_select(NsaOpFn* ops) {
  reference_select = ops[NSA_OP_nsa_select];
  ops[NSA_OP_nsa_select] = select;
}

}  // namespace nsa::cpu
