// nsa_select on tensor cores: bf16, the papers' ratio of block sizes (l = 2·d, l' = 4·d), any sequence length.
//
// A warp holds 32 columns, (query, head) pairs, as right operands in registers; compressed keys are the rows of its products
// and come through shared memory, 64 at a time. Row g of fragment m is key 8·g + 2·m, row g + 8 the key after it: a lane then has
// the 8 keys of two selection blocks in its own registers and folds them there; heads are summed in the lane and over its quad.
// Block scores of a stretch of keys wait in shared memory, where the warp merges them into the n best so far, one a lane.
// Every block's score is summed in the same order, so equal scores are equal bits and ties go to the lower index.
#include <algorithm>

#include "cuda/convert.h"
#include "cuda/flash.h"
#include "cuda/mma.h"
#include "cuda/nsa_select_top.h"

namespace nsa::cuda {
namespace {

constexpr float kLog2e = 1.4426950408889634f;
constexpr int kColumns = 32, kTile = 64, kStages = 3, kFold = 4, kTileBlocks = kTile / kFold;

// GP columns a query: the group's heads, padded to a power of two, or 32 of them at a time.
template <int DK, int GP>
struct Shape {
  static constexpr int warps = DK <= 128 ? 6 : 8, threads = warps * 32;
  static constexpr int queries = kColumns / GP;                                 // of a warp
  static constexpr int rows = warps * queries;                                  // of a block of threads
  static constexpr int sums = GP == 1 ? 8 : GP <= 8 ? 4 : kColumns / GP;        // different queries among a lane's columns
  static constexpr int spread = GP >= 8 ? 4 : GP == 4 ? 2 : 1;                  // lanes of a quad that share a query
  __device__ static constexpr int sum_of(int n, int e) { return GP == 1 ? 2 * n + e : GP <= 8 ? n : GP == 16 ? n / 2 : 0; }
  __device__ static int query_of(int sum, int quad) {
    if (GP >= 8) return sum;
    if (GP == 4) return 2 * sum + quad / 2;
    if (GP == 2) return 4 * sum + quad;
    return sum / 2 * 8 + quad * 2 + (sum & 1);
  }
};

// Keys as panels of 64 columns, swizzled by groups of 8 rows: the rows of a fragment are 8 apart.
__device__ inline uint32_t key_offset(int row, int col) {
  return uint32_t((col >> 6) * kTile * 128 + row * 128 + ((((col >> 3) ^ (row >> 3)) & 7) << 4));
}

template <int DK, int THREADS>
__device__ inline void load_keys(uint32_t tile, const bf16* from, int64_t ld, int64_t valid, int dim) {
  for (int i = int(threadIdx.x); i < kTile * (DK / 8); i += THREADS) {
    const int row = i / (DK / 8), col = i % (DK / 8) * 8;
    const bool in = row < valid && col < dim;
    copy_async(tile + key_offset(row, col), in ? from + row * ld + col : from, in);
  }
}

template <int DK, int GP>
__global__ void __launch_bounds__(Shape<DK, GP>::threads, DK <= 128 ? 2 : 1) select_kernel(SelectArgs a, const Tile* table, int64_t tiles, int stretch) {
  using S = Shape<DK, GP>;
  constexpr int NT = kColumns / 8, KT = DK / 16;
  constexpr uint32_t kTileBytes = kTile * DK * 2;
  extern __shared__ char raw[];
  const uint32_t ring = (smem_address(raw) + 127) & ~127u;
  const Tile tile = table[tiles - 1 - blockIdx.x / a.hkv];  // later queries see more keys: they start first
  if (tile.doc < 0) return;
  const int tid = int(threadIdx.x), lane = tid & 31, warp = tid >> 5, g = lane >> 2, quad = lane & 3;
  const int64_t kv = blockIdx.x % a.hkv, group = a.hq / a.hkv, q0 = a.cu_seqlens[tile.doc], k0 = a.cu_blocks[tile.doc];
  const int length = int(a.cu_seqlens[tile.doc + 1] - q0), keys = int(a.cu_blocks[tile.doc + 1] - k0), dk = int(a.dim_k);
  const int rows = min(S::rows, length - tile.from), first = tile.from + warp * S::queries;  // of the warp
  const int parts = int((group + GP - 1) / GP), block = int(a.block_size), stride = int(a.stride), per = int(a.selection_block);
  auto visible = [&](int t) { return t + 1 < block ? 0 : min(keys, (t + 1 - block) / stride + 1); };
  const int blocks = (tile.from + rows - 1) / per + 1;  // candidates of the last query
  // [warps, queries, stretch] block scores, then [warps, queries, 2, num_selected] kept ones.
  int* all = reinterpret_cast<int*>(raw + (ring - smem_address(raw)) + kStages * kTileBytes);
  int* scores = all + warp * S::queries * stretch;
  int* store = all + S::rows * stretch + warp * S::queries * 2 * int(a.num_selected);
  const int n_kept = int(a.num_selected);

  const auto* k = static_cast<const bf16*>(a.k) + k0 * a.ldk + kv * dk;
  const uint32_t key_at = uint32_t(((lane & 7) * 8 + ((lane >> 3) & 1)) * 128 + ((((lane >> 4) & 1) ^ (lane & 7)) << 4));
  const int all_see = visible(first);  // keys below are seen by every query of the warp
  int seen[S::sums];
#pragma unroll
  for (int i = 0; i < S::sums; ++i) seen[i] = visible(first + S::query_of(i, quad)) - 8 * g;

  float before[S::sums] = {};  // of lanes with g = 0, the key before the tile
  const float scale = a.scale * kLog2e;
  for (int base = 0; base < blocks; base += stretch) {
    const int end = min(blocks, base + stretch);
    for (int part = 0; part < parts; ++part) {
      uint32_t fq[KT][NT][2];
      float minus_lse[NT][2];
#pragma unroll
      for (int n = 0; n < NT; ++n) {
        auto place = [&](int column, int64_t& row, int64_t& head) {
          const int query = column / GP, of = part * GP + column % GP;
          row = q0 + first + query, head = kv * group + of;
          return first + query < tile.from + rows && of < group;
        };
        int64_t row, head;
        const bool in = place(n * 8 + g, row, head);
        const bf16* q = static_cast<const bf16*>(a.q) + row * a.ldq + head * dk;
#pragma unroll
        for (int kk = 0; kk < KT; ++kk)
#pragma unroll
          for (int h = 0; h < 2; ++h) {
            const int c = kk * 16 + h * 8 + quad * 2;
            fq[kk][n][h] = in && c < dk ? *reinterpret_cast<const uint32_t*>(q + c) : 0;
          }
        // A column that is no head adds 2^−∞.
#pragma unroll
        for (int e = 0; e < 2; ++e) minus_lse[n][e] = place(n * 8 + quad * 2 + e, row, head) ? -kLog2e * a.lse[row * a.hq + head] : -INFINITY;
      }
      // With several parts, the tile before the stretch is done again for its last key.
      const int from = base / kTileBlocks - (parts > 1 && base > 0 ? 1 : 0), to = (end + kTileBlocks - 1) / kTileBlocks;
      auto load = [&](int i, int into) {
        const int64_t at = int64_t(i) * kTile;
        if (i < to) load_keys<DK, S::threads>(ring + into * kTileBytes, k + at * a.ldk, a.ldk, keys - at, dk);
        copy_commit();
      };
      __syncthreads();
#pragma unroll
      for (int s = 0; s < kStages - 1; ++s) load(from + s, s);
      for (int i = from, stage = 0; i < to; ++i, stage = stage + 1 == kStages ? 0 : stage + 1) {
        copy_wait<kStages - 2>();
        __syncthreads();
        load(i + kStages - 1, stage == 0 ? kStages - 1 : stage - 1);
        const uint32_t tile_at = ring + stage * kTileBytes + key_at;
        const int done = i * kTile;
        const bool all_visible = done + kTile <= all_see;
        // Of a lane's 8 keys: 2·(p0 + p1 + p2) and p3 in low and middle, 2·(p4 + p5 + p6) and p7 in high and last.
        float low[S::sums] = {}, middle[S::sums] = {}, high[S::sums] = {}, last[S::sums] = {};
#pragma unroll 1
        for (int half = 0; half < 2; ++half) {
#pragma unroll
          for (int c = 0; c < S::sums; ++c) low[c] = high[c], middle[c] = last[c];
#pragma unroll
          for (int m = 0; m < 2; ++m) {
            float s[NT][4] = {};
#pragma unroll
            for (int kk = 0; kk < KT; ++kk) {
              uint32_t fk[4];
              ldmatrix(fk, (tile_at ^ uint32_t((kk & 3) << 5)) + (kk >> 2) * kTile * 128 + half * 512 + m * 256);
#pragma unroll
              for (int n = 0; n < NT; ++n) mma_bf16(s[n], fk, fq[kk][n][0], fq[kk][n][1]);
            }
            float p[S::sums][2] = {};
#pragma unroll
            for (int n = 0; n < NT; ++n)
#pragma unroll
              for (int e = 0; e < 2; ++e)
#pragma unroll
                for (int h = 0; h < 2; ++h) {
                  float x = fmaf(s[n][h * 2 + e], scale, minus_lse[n][e]);
                  if (!all_visible && done + 4 * half + 2 * m + h >= seen[S::sum_of(n, e)]) x = -INFINITY;
                  p[S::sum_of(n, e)][h] += exp2_fast(x);
                }
#pragma unroll
            for (int c = 0; c < S::sums; ++c) {
              if (m == 0) high[c] = p[c][0] + p[c][1];
              else high[c] = 2.f * (high[c] + p[c][0]), last[c] = p[c][1];
            }
          }
        }
#pragma unroll
        for (int c = 0; c < S::sums; ++c) {
          const float rolled = __shfl_sync(~0u, last[c], (lane + 28) & 31);
          const float even = low[c] + (middle[c] + (g == 0 ? before[c] : rolled)), odd = high[c] + (last[c] + middle[c]);
          before[c] = rolled;
          float* to_score = reinterpret_cast<float*>(scores) + S::query_of(c, quad) * stretch + i * kTileBlocks - base + 2 * g;
          if (i * kTileBlocks < base) continue;
          if constexpr (S::spread == 1) {
            to_score[0] = part ? to_score[0] + even : even;
            to_score[1] = part ? to_score[1] + odd : odd;
          } else {
            const bool second = quad & 1;
            float sum = (second ? odd : even) + __shfl_xor_sync(~0u, second ? even : odd, 1);
            if constexpr (S::spread == 4) sum += __shfl_xor_sync(~0u, sum, 2);
            if (S::spread == 2 || quad < 2) to_score[second] = part ? to_score[second] + sum : sum;
          }
        }
      }
      copy_wait<0>();
    }
    __syncwarp();
    for (int i = 0; i < S::queries && first + i < tile.from + rows; ++i)
      take_stretch(a, first + i, (q0 + first + i) * a.hkv + kv, scores + i * stretch, store + i * 2 * n_kept, base, stretch);
    __syncwarp();
  }
}

template <int DK, int GP>
int launch(void* ctx, const SelectArgs& a, int64_t tokens, bool& taken) {
  using S = Shape<DK, GP>;
  constexpr int rows = S::rows;
  constexpr int64_t ring = kStages * kTile * DK * 2 + 128;
  const int64_t whole = int64_t(context(ctx).max_smem), wanted = ceil_div(a.max_blocks, kLanes) * kLanes;
  // Two blocks of threads share a multiprocessor unless the stretch would be short.
  auto room = [&](int64_t bytes) { return std::min(std::min<int64_t>((bytes - ring) / (rows * 4) - 2 * a.num_selected, kLanes * kLanes) / kLanes * kLanes, wanted); };
  int64_t stretch = room(whole / 2 - 1024);
  if (stretch < std::min<int64_t>(wanted, 128)) stretch = room(whole);
  const int64_t tiles = tile_capacity(tokens, a.n_docs, rows);
  taken = stretch >= kLanes && tiles * a.hkv <= INT32_MAX;
  if (!taken) return NSA_OK;
  const auto smem = size_t(ring + rows * (stretch + 2 * a.num_selected) * 4);
  Scratch table(ctx, size_t(tiles) * sizeof(Tile));
  if (!table) return out_of_memory(ctx);
  auto kernel = select_kernel<DK, GP>;
  auto stream = context(ctx).stream;
  if (int status = check(ctx, cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(smem)))) return status;
  tile_table_kernel<<<1, 1024, 0, stream>>>(a.cu_seqlens, a.n_docs, rows, table.as<Tile>(), tiles);
  kernel<<<unsigned(tiles * a.hkv), S::threads, smem, stream>>>(a, table.as<Tile>(), tiles, int(stretch));
  return launched(ctx);
}

template <int DK>
int of_dim(void* ctx, const SelectArgs& a, int64_t tokens, bool& taken) {
  const int64_t group = a.hq / a.hkv;
  if (group == 1) return launch<DK, 1>(ctx, a, tokens, taken);
  if (group == 2) return launch<DK, 2>(ctx, a, tokens, taken);
  if (group <= 4) return launch<DK, 4>(ctx, a, tokens, taken);
  if (group <= 8) return launch<DK, 8>(ctx, a, tokens, taken);
  if (group <= 16) return launch<DK, 16>(ctx, a, tokens, taken);
  return launch<DK, 32>(ctx, a, tokens, taken);
}

}  // namespace

bool select_mma(void* ctx, const SelectArgs& a, int64_t tokens, int& status) {
  if (select_hopper(ctx, a, tokens, status)) return true;
  if (!aligned16(a.q) || !aligned16(a.k) || (a.dim_k | a.ldq | a.ldk) % 8 || a.dim_k > 192) return false;
  if (a.block_size != 2 * a.stride || a.selection_block != kFold * a.stride || a.num_selected < 1 || a.num_selected > kLanes) return false;
  bool taken = false;
  if (a.dim_k <= 64) status = of_dim<64>(ctx, a, tokens, taken);
  else if (a.dim_k <= 128) status = of_dim<128>(ctx, a, tokens, taken);
  else status = of_dim<192>(ctx, a, tokens, taken);
  return taken;
}

}  // namespace nsa::cuda
