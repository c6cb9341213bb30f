// nsa_selected_fwd, nsa_selected_bwd on the CPU: queries that chose the same block are gathered into one tile.
//
// A chunk of consecutive queries is inverted to a list of queries per block (count, scan, stable fill); blocks are then walked
// in ascending order, each loaded once for all rows (query, head of the group) that chose it. Backward shares own dk, dv buffers
// that are summed in a fixed order, so results do not depend on threads.
#include "cpu/attn_tiles.h"
#include "cpu/families.h"

namespace nsa::cpu {
namespace {

NsaOpFn reference_fwd, reference_bwd;

// Consecutive queries of one document.
struct Chunk {
  int64_t doc, row, rows;
};

int64_t chunk_queries(int64_t group) { return std::max<int64_t>(32, 2048 / group); }

// The queries of a chunk by the block they chose: queries[first[J] .. first[J+1]) ascending. Indices of no block are left out.
struct ByBlock {
  std::vector<int32_t> first, queries;

  void build(const int32_t* idx, int64_t rows, int64_t hkv, int64_t n, int64_t n_blocks) {
    first.assign(n_blocks + 1, 0);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t s = 0; s < n; ++s)
        if (int32_t block = idx[r * hkv * n + s]; block >= 0 && block < n_blocks) ++first[block + 1];
    for (int64_t b = 0; b < n_blocks; ++b) first[b + 1] += first[b];
    queries.resize(first[n_blocks]);
    std::vector<int32_t> next(first.begin(), first.end() - 1);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t s = 0; s < n; ++s)
        if (int32_t block = idx[r * hkv * n + s]; block >= 0 && block < n_blocks) queries[next[block]++] = int32_t(r);
  }
};

// Rows (query·group + head) of some queries of a block, with the number of the block's keys that each sees.
struct Rows {
  int32_t at[kTileRows], lo[kTileRows], hi[kTileRows];
  int64_t count;

  void fill(const int32_t* queries, int64_t n, int64_t group, int64_t first_query, int64_t first_key, int64_t width) {
    count = 0;
    for (int64_t i = 0; i < n; ++i) {
      int64_t seen = std::clamp<int64_t>(first_query + queries[i] - first_key + 1, 0, width);
      for (int64_t g = 0; g < group; ++g, ++count) {
        at[count] = int32_t(queries[i] * group + g);
        lo[count] = 0;
        hi[count] = int32_t(seen);
      }
    }
  }
};

template <class Params>
bool supported(const Params& p) {
  return p.lse.dtype == NSA_F32 && p.hkv > 0 && p.hq % p.hkv == 0 && p.hq / p.hkv <= kTileRows;
}

// The group's heads of the chunk's queries as rows of one tile.
template <class Params>
void load_group(const Params& p, const NsaBuf& x, const Chunk& c, int64_t ld, int64_t kv, int64_t group, int64_t cols,
                float* dst, int64_t cols_padded, float factor) {
  for (int64_t r = 0; r < c.rows; ++r)
    for (int64_t g = 0; g < group; ++g)
      load_rows(x, c.row + r, 1, ld, kv * group + g, cols, dst + (r * group + g) * cols_padded, cols_padded, factor);
}

int selected_fwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_selected_fwd_params*>(params);
  if (!supported(p) || !all_fast(p.q, p.k, p.v, p.o)) return reference_fwd(ctx, params);
  const AttnKernels& kernels = attn_kernels();
  const int32_t* cu = i32(p.cu_seqlens);
  const int64_t dk = padded(p.dim_k), dv = padded(p.dim_v), group = p.hq / p.hkv, width = p.selection_block_size;
  const int64_t per_chunk = chunk_queries(group), tile_queries = kTileRows / group;
  std::vector<Chunk> chunks;
  for (int64_t i = 0; i < p.n_docs; ++i)
    for (int64_t row = cu[i]; row < cu[i + 1]; row += per_chunk)
      chunks.push_back({i, row, std::min<int64_t>(per_chunk, cu[i + 1] - row)});

  KeyBlocks kb(cu, p.n_docs, width);
  const int64_t wp = kb.width_padded, chunk_rows = per_chunk * group;
  Scratch packed(ctx, 4 * (64 + PackedKeys::floats(kb, p.hkv, p.dim_k, false, true) +
                           PackedKeys::floats(kb, p.hkv, p.dim_v, true, false)));
  const int64_t per_worker = chunk_rows * (dk + dv) + 2 * padded(chunk_rows) + kTileRows * (dk + dv + wp);
  Scratch scratch(ctx, 4 * size_t(pool(ctx).size()) * per_worker);
  if (!packed || !scratch) return NSA_OUT_OF_MEMORY;
  Arena arena(packed.as<float>());
  PackedKeys k = pack_keys(ctx, arena, p.k, p.ldk, cu, p.n_docs, kb, p.hkv, p.dim_k, false, true);
  PackedKeys v = pack_keys(ctx, arena, p.v, p.ldv, cu, p.n_docs, kb, p.hkv, p.dim_v, true, false);

  for_tasks(pool(ctx), int64_t(chunks.size()) * p.hkv, [&](int64_t task, int64_t worker) {
    const Chunk& c = chunks[task / p.hkv];
    const int64_t kv = task % p.hkv, n_rows = c.rows * group, n_blocks = kb.first[c.doc + 1] - kb.first[c.doc];
    Arena own(scratch.as<float>() + worker * per_worker);
    float *q = own.take(chunk_rows * dk), *o = own.take(chunk_rows * dv), *m = own.take(chunk_rows), *l = own.take(chunk_rows);
    float *qt = own.take(kTileRows * dk), *ot = own.take(kTileRows * dv), *s = own.take(kTileRows * wp);
    float mt[kTileRows], lt[kTileRows], alpha[kTileRows];
    load_group(p, p.q, c, p.ldq, kv, group, p.dim_k, q, dk, float(p.scale) * kLog2e);
    std::fill_n(o, n_rows * dv, 0.f);
    std::fill_n(m, n_rows, kMinusInf);
    std::fill_n(l, n_rows, 0.f);
    ByBlock by;
    by.build(i32(p.idx) + (c.row * p.hkv + kv) * p.num_selected, c.rows, p.hkv, p.num_selected, n_blocks);
    Rows rows;
    for (int64_t j = 0; j < n_blocks; ++j)
      for (int64_t at = by.first[j]; at < by.first[j + 1]; at += tile_queries) {
        rows.fill(&by.queries[at], std::min<int64_t>(tile_queries, by.first[j + 1] - at), group, c.row - cu[c.doc], j * width,
                  width);
        const int64_t n = rows.count, block = kb.first[c.doc] + j;
        for (int64_t r = 0; r < n; ++r) mt[r] = m[rows.at[r]], lt[r] = l[rows.at[r]];
        kernels.gather_rows(q, dk, rows.at, qt, dk, n, dk);
        kernels.gemm(n, wp, dk, qt, dk, 1, k.columns(kv, block), wp, s, wp, false);
        kernels.softmax_rows(s, wp, n, wp, rows.lo, rows.hi, mt, lt, alpha);
        kernels.gemm(n, dv, wp, s, wp, 1, v.rows(kv, block), dv, ot, dv, false);
        kernels.merge_rows(o, dv, rows.at, alpha, ot, dv, n, dv);
        for (int64_t r = 0; r < n; ++r) m[rows.at[r]] = mt[r], l[rows.at[r]] = lt[r];
      }
    for (int64_t r = 0; r < n_rows; ++r) {
      const int64_t row = c.row + r / group, h = kv * group + r % group;
      store_row(p.o, row * p.ldo + h * p.dim_v, o + r * dv, p.dim_v, l[r] > 0 ? 1 / l[r] : 0.f, false);
      f32(p.lse)[row * p.hq + h] = l[r] > 0 ? m[r] * kLn2 + std::log(l[r]) : kMinusInf;
    }
  });
  return NSA_OK;
}

int selected_bwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_selected_bwd_params*>(params);
  if (!supported(p) || !all_fast(p.q, p.k, p.v, p.o, p.do_, p.dq, p.dk, p.dv)) return reference_bwd(ctx, params);
  const AttnKernels& kernels = attn_kernels();
  const int32_t* cu = i32(p.cu_seqlens);
  const int64_t dk = padded(p.dim_k), dv = padded(p.dim_v), group = p.hq / p.hkv, width = p.selection_block_size;
  const int64_t per_chunk = chunk_queries(group), tile_queries = kTileRows / group;
  // About four tasks per document whatever the machine, so that sums have one order.
  const int64_t shares = std::max<int64_t>(1, 4 / p.hkv);

  KeyBlocks kb(cu, p.n_docs, width);
  const int64_t wp = kb.width_padded, chunk_rows = per_chunk * group, grad_rows = kb.total() * wp;
  const int64_t share_elems = p.hkv * grad_rows * (dk + dv);
  Scratch packed(ctx, 4 * (64 + PackedKeys::floats(kb, p.hkv, p.dim_k, true, true) +
                           PackedKeys::floats(kb, p.hkv, p.dim_v, false, true)));
  Scratch grads(ctx, 4 * size_t(shares * share_elems + 16));
  const int64_t per_worker =
      chunk_rows * (2 * dk + dv) + 2 * padded(chunk_rows) + kTileRows * (2 * dk + dv + 2 * wp) + padded(dv);
  Scratch scratch(ctx, 4 * size_t(pool(ctx).size()) * per_worker);
  if (!packed || !grads || !scratch) return NSA_OUT_OF_MEMORY;
  Arena arena(packed.as<float>());
  PackedKeys k = pack_keys(ctx, arena, p.k, p.ldk, cu, p.n_docs, kb, p.hkv, p.dim_k, true, true);
  PackedKeys v = pack_keys(ctx, arena, p.v, p.ldv, cu, p.n_docs, kb, p.hkv, p.dim_v, false, true);
  auto dk_at = [&](int64_t share, int64_t kv, int64_t block) {
    return grads.as<float>() + share * share_elems + (kv * grad_rows + block * wp) * dk;
  };
  auto dv_at = [&](int64_t share, int64_t kv, int64_t block) {
    return grads.as<float>() + share * share_elems + p.hkv * grad_rows * dk + (kv * grad_rows + block * wp) * dv;
  };

  for_tasks(pool(ctx), p.n_docs * p.hkv * shares, [&](int64_t task, int64_t worker) {
    const int64_t i = task / (p.hkv * shares), kv = task / shares % p.hkv, share = task % shares;
    const int64_t n_blocks = kb.first[i + 1] - kb.first[i];
    if (n_blocks == 0) return;
    Arena own(scratch.as<float>() + worker * per_worker);
    float *q = own.take(chunk_rows * dk), *dq = own.take(chunk_rows * dk), *do_ = own.take(chunk_rows * dv),
          *lse2 = own.take(chunk_rows), *delta = own.take(chunk_rows);
    float *qt = own.take(kTileRows * dk), *dqt = own.take(kTileRows * dk), *dot = own.take(kTileRows * dv),
          *s = own.take(kTileRows * wp), *dp = own.take(kTileRows * wp), *o_row = own.take(dv);
    float lse_t[kTileRows], delta_t[kTileRows];
    std::fill_n(dk_at(share, kv, kb.first[i]), n_blocks * wp * dk, 0.f);
    std::fill_n(dv_at(share, kv, kb.first[i]), n_blocks * wp * dv, 0.f);
    std::fill_n(o_row, dv, 0.f);
    ByBlock by;
    Rows rows;
    for (int64_t row = cu[i] + share * per_chunk; row < cu[i + 1]; row += shares * per_chunk) {
      const Chunk c{i, row, std::min<int64_t>(per_chunk, cu[i + 1] - row)};
      const int64_t n_rows = c.rows * group;
      load_group(p, p.q, c, p.ldq, kv, group, p.dim_k, q, dk, float(p.scale) * kLog2e);
      load_group(p, p.do_, c, p.ldo, kv, group, p.dim_v, do_, dv, 1.f);
      std::fill_n(dq, n_rows * dk, 0.f);
      for (int64_t r = 0; r < n_rows; ++r) {
        const int64_t t = c.row + r / group, h = kv * group + r % group;
        lse2[r] = f32(p.lse)[t * p.hq + h] * kLog2e;
        load_row(p.o, t * p.ldo + h * p.dim_v, o_row, p.dim_v, 1.f);
        kernels.dot_rows(o_row, dv, do_ + r * dv, dv, 1, dv, delta + r);
      }
      by.build(i32(p.idx) + (c.row * p.hkv + kv) * p.num_selected, c.rows, p.hkv, p.num_selected, n_blocks);
      for (int64_t j = 0; j < n_blocks; ++j)
        for (int64_t at = by.first[j]; at < by.first[j + 1]; at += tile_queries) {
          rows.fill(&by.queries[at], std::min<int64_t>(tile_queries, by.first[j + 1] - at), group, c.row - cu[i], j * width,
                    width);
          const int64_t n = rows.count, block = kb.first[i] + j;
          for (int64_t r = 0; r < n; ++r) lse_t[r] = lse2[rows.at[r]], delta_t[r] = delta[rows.at[r]];
          kernels.gather_rows(q, dk, rows.at, qt, dk, n, dk);
          kernels.gather_rows(do_, dv, rows.at, dot, dv, n, dv);
          kernels.gemm(n, wp, dk, qt, dk, 1, k.columns(kv, block), wp, s, wp, false);
          kernels.prob_rows(s, wp, n, wp, rows.lo, rows.hi, lse_t);
          kernels.gemm(wp, dv, n, s, 1, wp, dot, dv, dv_at(share, kv, block), dv, true);
          kernels.gemm(n, wp, dv, dot, dv, 1, v.columns(kv, block), wp, dp, wp, false);
          kernels.dscore_rows(s, dp, wp, n, wp, delta_t);
          kernels.gemm(wp, dk, n, dp, 1, wp, qt, dk, dk_at(share, kv, block), dk, true);
          kernels.gemm(n, dk, wp, dp, wp, 1, k.rows(kv, block), dk, dqt, dk, false);
          kernels.merge_rows(dq, dk, rows.at, nullptr, dqt, dk, n, dk);
        }
      for (int64_t r = 0; r < n_rows; ++r)
        store_row(p.dq, (c.row + r / group) * p.ldq + (kv * group + r % group) * p.dim_k, dq + r * dk, p.dim_k, float(p.scale),
                  p.accumulate & 1);
    }
  });

  // dK was summed against queries that carry scale·log2(e): what remains is ln 2.
  pool(ctx).parallel_for(p.n_docs * p.hkv, [&](int64_t task) {
    const int64_t i = task / p.hkv, kv = task % p.hkv, n_blocks = kb.first[i + 1] - kb.first[i];
    for (int64_t j = 0; j < n_blocks; ++j) {
      const int64_t block = kb.first[i] + j, start = cu[i] + j * width, n = std::min<int64_t>(width, cu[i + 1] - start);
      float *dk_sum = dk_at(0, kv, block), *dv_sum = dv_at(0, kv, block);
      for (int64_t share = 1; share < shares; ++share) {
        kernels.add(dk_at(share, kv, block), dk_sum, n * dk);
        kernels.add(dv_at(share, kv, block), dv_sum, n * dv);
      }
      for (int64_t r = 0; r < n; ++r) {
        store_row(p.dk, (start + r) * p.ldk + kv * p.dim_k, dk_sum + r * dk, p.dim_k, kLn2, p.accumulate & 2);
        store_row(p.dv, (start + r) * p.ldv + kv * p.dim_v, dv_sum + r * dv, p.dim_v, 1.f, p.accumulate & 2);
      }
    }
  });
  return NSA_OK;
}

}  // namespace

void register_nsa_selected(NsaOpFn* ops) {
  reference_fwd = ops[NSA_OP_nsa_selected_fwd];
  reference_bwd = ops[NSA_OP_nsa_selected_bwd];
  ops[NSA_OP_nsa_selected_fwd] = selected_fwd;
  ops[NSA_OP_nsa_selected_bwd] = selected_bwd;
}

}  // namespace nsa::cpu
