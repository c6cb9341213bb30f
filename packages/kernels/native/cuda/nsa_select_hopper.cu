// nsa_select on wgmma (sm_90a): bf16, head dims 64 and 128, l = 2·d and l' = 4·d, groups up to 16.
//
// The rows of a product are (query, head) pairs, heads side by side, 16 a warp, in registers; its columns are 64 compressed keys. They
// are laid out so that a lane's 16 columns of a row are consecutive keys, four selection blocks: it folds them in its registers. Heads
// are rows, summed in the lane and by exchange among the lanes of a column. Every block's score is summed in the same order, so
// equal scores are equal bits and ties go to the lower index. Scores of a stretch of blocks wait in shared memory.
#include <algorithm>

#include "cuda/convert.h"
#include "cuda/flash_hopper.h"
#include "cuda/hopper.h"
#include "cuda/nsa_select_top.h"

namespace nsa::cuda {
namespace {

constexpr float kLog2e = 1.4426950408889634f;
constexpr int kWarps = 8, kThreads = kWarps * 32 + 32, kKeys = 64, kStages = 3, kFold = 4, kStepBlocks = kKeys / kFold;

// GP rows a query: the group's heads, padded to a power of two.
template <int D, int GP>
struct Shape {
  static constexpr int queries = 16 / GP, rows = kWarps * queries;  // of a warp, of a block of threads
  static constexpr int kinds = GP == 16 ? 1 : 2;                    // queries among a lane's two rows
  static constexpr uint32_t stage = kKeys * D * 2, ring = kStages * stage + kStages * 16 + 1024;
};

#ifdef NSA_HOPPER

// s [64, 64] = (or +=, with `add`) A·Bᵀ: A [64, 16] in registers, B [64, 16] K-major in shared memory.
__device__ inline void product_step(float (&d)[32], const uint32_t* a, uint64_t b, int add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %37, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
      "{%32, %33, %34, %35}, %36, p, 1, 1, 0;\n}"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
        "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]),
        "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]),
        "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));
}

// A warp's copy of 64 keys, those from `valid` on zeros: column 8·n + 2·q + e of the product is key 16·q + 2·n + e.
template <int D>
__device__ inline void copy_keys(uint32_t tile, const bf16* from, int64_t ld, int valid) {
  constexpr int chunks = D / 8, rows = 32 / chunks;  // of one access of the warp
  const int lane = int(threadIdx.x) & 31, chunk = lane % chunks;
#pragma unroll
  for (int i = 0; i < kKeys / rows; ++i) {
    const int row = i * rows + lane / chunks, key = (row >> 1 & 3) * 16 + (row >> 3) * 2 + (row & 1);
    const bool in = key < valid;
    copy_async(tile + tile_offset(kKeys, row, chunk * 8), in ? from + key * ld + chunk * 8 : from, in);
  }
}

// Sums x over the `lanes` lanes that hold the rows of a query: halves of the values are exchanged while there are several. Returns how many
// are left; theirs are values `first` and on.
template <int N>
struct Sums {
  float x[N];
  int first = 0;
  template <int LANES, int COUNT = N>
  __device__ void over() {
    if constexpr (LANES > 1) {
      constexpr int mask = LANES * 2;
      const bool upper = threadIdx.x & mask;
      if constexpr (COUNT > 1) {
#pragma unroll
        for (int i = 0; i < COUNT / 2; ++i) {
          const float kept = upper ? x[i + COUNT / 2] : x[i], sent = upper ? x[i] : x[i + COUNT / 2];
          x[i] = kept + __shfl_xor_sync(~0u, sent, mask);
        }
        first += upper ? COUNT / 2 : 0;
        over<LANES / 2, COUNT / 2>();
      } else {
        x[0] += __shfl_xor_sync(~0u, x[0], mask);
        over<LANES / 2, 1>();
      }
    }
  }
};

#endif

template <int D, int GP>
__global__ void __launch_bounds__(kThreads, 2) select_hopper_kernel(SelectArgs a, const Tile* table, int64_t tiles, int stretch) {
#ifdef NSA_HOPPER
  using S = Shape<D, GP>;
  constexpr int KT = D / 16, heads_of_lane = GP < 8 ? GP : 8, values = S::kinds * kFold, left = values > heads_of_lane ? values / heads_of_lane : 1;
  extern __shared__ char raw[];
  const uint32_t ring_at = (smem_address(raw) + 1023) & ~1023u, barriers = ring_at + kStages * S::stage;
  auto full = [&](uint32_t stage) { return barriers + stage * 16; };
  auto empty = [&](uint32_t stage) { return barriers + stage * 16 + 8; };
  const Tile tile = table[tiles - 1 - blockIdx.x / a.hkv];  // later queries see more keys: they start first
  if (tile.doc < 0) return;
  if (threadIdx.x == 0)
    for (uint32_t i = 0; i < kStages; ++i) barrier_init(full(i), 32), barrier_init(empty(i), kWarps);
  __syncthreads();
  const int lane = int(threadIdx.x) & 31, warp = int(threadIdx.x) >> 5, g = lane >> 2, quad = lane & 3;
  const int64_t kv = blockIdx.x % a.hkv, group = a.hq / a.hkv, q0 = a.cu_seqlens[tile.doc], k0 = a.cu_blocks[tile.doc];
  const int length = int(a.cu_seqlens[tile.doc + 1] - q0), keys = int(a.cu_blocks[tile.doc + 1] - k0);
  const int rows = min(S::rows, length - tile.from);
  const int block = int(a.block_size), stride = int(a.stride), per = int(a.selection_block);
  const int blocks = (tile.from + rows - 1) / per + 1;  // candidates of the last query
  const int steps = (blocks + kStepBlocks - 1) / kStepBlocks;
  Ring<kStages> ring;
  if (warp == kWarps) {
    const auto* k = static_cast<const bf16*>(a.k) + k0 * a.ldk + kv * D;
    Producer producer;
    for (int i = 0; i < steps; ++i) {
      producer.acquire(empty(ring.at), ring.round ^ 1);
      const int valid = keys - i * kKeys;
      const uint32_t to = ring_at + ring.at * S::stage;
      if (valid >= kKeys) copy_keys<D>(to, k + int64_t(i) * kKeys * a.ldk, a.ldk, kKeys);
      else copy_keys<D>(to, valid > 0 ? k + int64_t(i) * kKeys * a.ldk : k, a.ldk, valid);
      producer.announce(full(ring.at));
      ring.next();
    }
    producer.flush();
    copy_wait<0>();
    return;
  }
  // [rows, stretch] block scores, then [rows, 2, num_selected] kept ones.
  const int first = tile.from + warp * S::queries, n_kept = int(a.num_selected);
  int* all = reinterpret_cast<int*>(raw + (barriers + kStages * 16 - smem_address(raw)));
  int* scores = all + warp * S::queries * stretch;
  int* store = all + S::rows * stretch + warp * S::queries * 2 * n_kept;
  auto visible = [&](int t) { return t + 1 < block ? 0 : min(keys, (t + 1 - block) / stride + 1); };
  uint32_t q[KT * 4];
  float minus_lse[2];
  int seen[2];  // keys of this lane's columns
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int row = g + 8 * h, t = first + row / GP, of = row % GP;
    const int64_t head = kv * group + of;
    const bool in = t < tile.from + rows && of < group;
    const bf16* from = static_cast<const bf16*>(a.q) + (q0 + t) * a.ldq + head * D + quad * 2;
#pragma unroll
    for (int kk = 0; kk < KT; ++kk)
#pragma unroll
      for (int right = 0; right < 2; ++right) q[kk * 4 + right * 2 + h] = in ? *reinterpret_cast<const uint32_t*>(from + kk * 16 + right * 8) : 0;
    // A row that is no head, or sees no key, adds 2^−∞.
    const float lse = in ? a.lse[(q0 + t) * a.hq + head] : INFINITY;
    minus_lse[h] = lse == -INFINITY ? -INFINITY : -kLog2e * lse;
    seen[h] = visible(t) - 16 * quad;
  }
  const int all_see = visible(first);  // keys below are seen by every query of the warp
  const float scale = a.scale * kLog2e;
  float before[S::kinds] = {};  // of lanes with quad = 0, the key before the step
  for (int base = 0; base < blocks; base += stretch) {
    const int end = min(steps, (base + stretch) / kStepBlocks);
    for (int i = base / kStepBlocks; i < end; ++i) {
      float s[32];
      barrier_wait(full(ring.at), ring.round);
      wgmma_fence();
      const uint64_t b = operand(ring_at + ring.at * S::stage, 0);
#pragma unroll
      for (int kk = 0; kk < KT; ++kk) product_step(s, q + kk * 4, b + column_step(kk, kKeys), kk > 0);
      wgmma_commit();
      wgmma_wait<0>();
      hold(s);
      release(empty(ring.at));
      ring.next();
      const int done = i * kKeys;
      if (done + kKeys > all_see) {
#pragma unroll
        for (int i = 0; i < 32; ++i)
          if (done + (i >> 2) * 2 + (i & 1) >= seen[i >> 1 & 1]) s[i] = -INFINITY;
      }
#pragma unroll
      for (int i = 0; i < 32; ++i) s[i] = exp2_fast(fmaf(s[i], scale, minus_lse[i >> 1 & 1]));
      // Block j of 4 keys p: p[4·j − 1] + 2·(p[4·j] + p[4·j + 1] + p[4·j + 2]) + p[4·j + 3].
      Sums<values> sums;
#pragma unroll
      for (int kind = 0; kind < S::kinds; ++kind) {
        float p[16];
#pragma unroll
        for (int key = 0; key < 16; ++key) {
          const int at = (key >> 1) * 4 + (key & 1);
          p[key] = S::kinds == 1 ? s[at] + s[at + 2] : s[at + kind * 2];
        }
        const float rolled = __shfl_sync(~0u, p[15], (lane & 28) | ((quad + 3) & 3));
        float previous = quad == 0 ? before[kind] : rolled;
        before[kind] = rolled;
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          sums.x[kind * 4 + j] = fmaf(2.f, p[4 * j] + p[4 * j + 1] + p[4 * j + 2], p[4 * j + 3] + previous);
          previous = p[4 * j + 3];
        }
      }
      sums.template over<heads_of_lane>();
      // With more lanes than values, two hold the same sum.
      if (values >= heads_of_lane || (g & 1) == 0) {
#pragma unroll
        for (int v = 0; v < left; ++v) {
          const int value = sums.first + v, query = (g + value / 4 * 8) / GP;
          reinterpret_cast<float*>(scores)[query * stretch + i * kStepBlocks - base + quad * 4 + value % 4] = sums.x[v];
        }
      }
    }
    __syncwarp();
    for (int i = 0; i < S::queries && first + i < tile.from + rows; ++i)
      take_stretch(a, first + i, (q0 + first + i) * a.hkv + kv, scores + i * stretch, store + i * 2 * n_kept, base, stretch);
    __syncwarp();
  }
#endif
}

template <int D, int GP>
bool launch(void* ctx, const SelectArgs& a, int64_t tokens, int& status) {
  using S = Shape<D, GP>;
  // Two blocks of threads share a multiprocessor; each has room for the scores of a stretch, whole steps and whole accesses of a warp.
  const int64_t room = (int64_t(context(ctx).max_smem) / 2 - 1024 - S::ring) / (S::rows * 4) - 2 * a.num_selected;
  const int64_t wanted = ceil_div(a.max_blocks, kLanes) * kLanes, stretch = std::min({room / kLanes * kLanes, wanted, int64_t(kLanes * kLanes)});
  const int64_t tiles = tile_capacity(tokens, a.n_docs, S::rows);
  if (stretch < std::min<int64_t>(wanted, 128) || tiles * a.hkv > INT32_MAX) return false;
  const auto smem = size_t(S::ring + S::rows * (stretch + 2 * a.num_selected) * 4);
  Scratch table(ctx, size_t(tiles) * sizeof(Tile));
  if (!table) return status = out_of_memory(ctx), true;
  auto kernel = select_hopper_kernel<D, GP>;
  auto stream = context(ctx).stream;
  if ((status = check(ctx, cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(smem))))) return true;
  tile_table_kernel<<<1, 1024, 0, stream>>>(a.cu_seqlens, a.n_docs, S::rows, table.as<Tile>(), tiles);
  kernel<<<unsigned(tiles * a.hkv), kThreads, smem, stream>>>(a, table.as<Tile>(), tiles, int(stretch));
  status = launched(ctx);
  return true;
}

template <int D>
bool of_dim(void* ctx, const SelectArgs& a, int64_t tokens, int& status) {
  const int64_t group = a.hq / a.hkv;
  if (group == 1) return launch<D, 1>(ctx, a, tokens, status);
  if (group == 2) return launch<D, 2>(ctx, a, tokens, status);
  if (group <= 4) return launch<D, 4>(ctx, a, tokens, status);
  if (group <= 8) return launch<D, 8>(ctx, a, tokens, status);
  return group <= 16 && launch<D, 16>(ctx, a, tokens, status);
}

}  // namespace

bool select_hopper(void* ctx, const SelectArgs& a, int64_t tokens, int& status) {
  if (!hopper_wanted(ctx) || !aligned16(a.q) || !aligned16(a.k) || (a.ldq | a.ldk) % 8) return false;
  if (a.block_size != 2 * a.stride || a.selection_block != kFold * a.stride || a.num_selected < 1 || a.num_selected > kLanes) return false;
  return a.dim_k == 64 ? of_dim<64>(ctx, a, tokens, status) : a.dim_k == 128 && of_dim<128>(ctx, a, tokens, status);
}

}  // namespace nsa::cuda
