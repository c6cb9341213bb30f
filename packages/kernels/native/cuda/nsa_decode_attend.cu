// nsa_decode_attend: NSA of one new token of each sequence in four launches on sm_90: the compressed and the window branch side by side, the
// selection, the selected branch, and the sum of all stretches with the gate. Elsewhere the ops it is made of, one after another.
//
// Selection takes the scores of the compressed branch as that has left them. A cluster of blocks shares a (sequence, KV head): each adds
// the heads' probabilities over its part of the entries and folds them into block scores, which the first gathers; the n best are found by
// their bits, 8 a pass, so that the work grows with the blocks alone and ties go to the lower index.
#include <cooperative_groups.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "cuda/families.h"
#include "cuda/flash_hopper.h"
#include "cuda/hopper.h"
#include "cuda/nsa_decode_attend.h"
#include "reference/nsa_decode_parts.h"

extern "C" const NsaBackend* nsa_backend_entry(void);

namespace nsa::cuda {
namespace {

using namespace decode;
namespace cg = cooperative_groups;

constexpr int kCluster = 8, kSelectThreads = 512;

// grid (splits, hkv · chunks of heads, b). `together`: a block takes its split of both branches, the second's as far as there are; else those
// follow the first's.
template <int D>
__global__ void __launch_bounds__(kWarps * 32, 2) walk_kernel(Args a, Branch one, Branch two, bool together) {
  const int group = int(a.hq / a.hkv), chunks = (group + kHeads - 1) / kHeads, kv = blockIdx.y / chunks, head0 = blockIdx.y % chunks * kHeads;
  follow();
  const bool keep = a.scores;
  int x = blockIdx.x;
#pragma unroll 1
  for (int branch = 0; branch < 2; ++branch) {
    if (x >= 0 && x < one.splits) attend<D>(a, one, x, blockIdx.z, kv, head0, keep && branch == 0);
    if (!together) x -= one.splits;
    one = two;
  }
}

struct Choice {
  int32_t* idx;
  int64_t block, stride, selection_block, num_selected, num_init, num_local;
  int part_blocks;  // candidates of a block of the cluster
  int width;        // dim + 2, of a row of part
};

#ifdef NSA_HOPPER

// Inclusive sum over a warp.
__device__ inline int warp_scan(int x) {
#pragma unroll
  for (int m = 1; m < 32; m <<= 1) {
    const int left = __shfl_up_sync(~0u, x, m);
    if ((threadIdx.x & 31) >= m) x += left;
  }
  return x;
}

// The n best of `bits` [candidates], more than n, ascending into idx. `digits` [256], `sums` two of each warp.
__device__ inline void choose(const int* bits, int candidates, int n, int32_t* idx, int* digits, int2* sums) {
  __shared__ int found, above;
  const int tid = int(threadIdx.x), lane = tid & 31, warp = tid >> 5;
  int prefix = 0, wanted = n;  // of those whose higher bits are `prefix`
  for (int shift = 24; shift >= 0; shift -= 8) {
    if (tid < 256) digits[tid] = 0;
    __syncthreads();
    for (int j = tid; j < candidates; j += kSelectThreads)
      if (shift == 24 || bits[j] >> (shift + 8) == prefix >> (shift + 8)) atomicAdd(&digits[bits[j] >> shift & 255], 1);
    __syncthreads();
    if (warp == 0) {
      // Eight digits a lane, falling: the one at which the sum reaches what is wanted.
      int mine = 0;
#pragma unroll
      for (int i = 0; i < 8; ++i) mine += digits[255 - lane * 8 - i];
      int upto = warp_scan(mine) - mine;
      if (upto < wanted && upto + mine >= wanted) {
        int digit = 255 - lane * 8;
        while (upto + digits[digit] < wanted) upto += digits[digit--];
        found = digit, above = upto;
      }
    }
    __syncthreads();
    prefix |= found << shift, wanted -= above;
  }
  // All above the last of the n, and `wanted` of its equals, the first ones.
  const int each = (candidates + kSelectThreads - 1) / kSelectThreads, from = tid * each, to = min(candidates, from + each);
  int more = 0, equal = 0;
  for (int j = from; j < to; ++j) more += bits[j] > prefix, equal += bits[j] == prefix;
  int more_upto = warp_scan(more), equal_upto = warp_scan(equal);
  if (lane == 31) sums[warp] = {more_upto, equal_upto};
  __syncthreads();
  int2 before{more_upto - more, equal_upto - equal};
  for (int w = 0; w < warp; ++w) before.x += sums[w].x, before.y += sums[w].y;
  for (int j = from; j < to; ++j) {
    const bool is_more = bits[j] > prefix, is_equal = bits[j] == prefix;
    if (is_more || (is_equal && before.y < wanted)) idx[before.x + min(before.y, wanted)] = j;
    before.x += is_more, before.y += is_equal;
  }
}

#endif

// grid (cluster, hkv, b). Shared memory: lse [group], p of this block's entries, then, in the first block, all scores as bits.
__global__ void __launch_bounds__(kSelectThreads) choose_kernel(Args a, Branch cmp, Choice c) {
#ifdef NSA_HOPPER
  extern __shared__ float room[];
  __shared__ int digits[256];
  constexpr int kSelectWarps = kSelectThreads / 32;
  __shared__ int2 sums[kSelectWarps];
  const int64_t s = blockIdx.z, kv = blockIdx.y;
  follow();
  const int tokens = a.lens[s], entries = entries_of(cmp, tokens), candidates = tokens < 1 ? 0 : (tokens - 1) / int(c.selection_block) + 1;
  const int group = int(a.hq / a.hkv), n = int(c.num_selected), lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  int32_t* idx = c.idx + (s * a.hkv + kv) * n;
  if (candidates <= n) {  // the same in all blocks of the cluster
    if (blockIdx.x == 0)
      for (int i = int(threadIdx.x); i < n; i += kSelectThreads) idx[i] = i < candidates ? i : -1;
    return;
  }
  float *lse = room, *p = room + group;
  const int per = int(c.selection_block / c.stride), reach = int(c.block / c.stride);
  int* bits = reinterpret_cast<int*>(p + c.part_blocks * per + reach - 1);
  for (int h = warp; h < group; h += kSelectWarps) {
    const float* part = a.part + ((s * a.hq + kv * group + h) * a.splits + cmp.first_split) * c.width + c.width - 2;
    float top = -INFINITY, sum = 0;
    for (int x = lane; x < cmp.splits; x += 32) top = fmaxf(top, part[x * c.width]);
    top = warp_max(top);
    for (int x = lane; x < cmp.splits; x += 32) sum += part[x * c.width + 1] * exp2_fast(part[x * c.width] - (top == -INFINITY ? 0.f : top));
    sum = warp_sum(sum);
    if (lane == 0) lse[h] = sum > 0 ? top + log2f(sum) : INFINITY;
  }
  __syncthreads();
  const int first = int(blockIdx.x) * c.part_blocks, here = min(c.part_blocks, candidates - first), from = first * per - (reach - 1);
  const float* scores = a.scores + (s * a.hq + kv * group) * a.score_ld;
  for (int i = int(threadIdx.x); i < here * per + reach - 1; i += kSelectThreads) {
    const int e = from + i;
    float total = 0;
    if (e >= 0 && e < entries) {
#pragma unroll 8
      for (int h = 0; h < group; ++h) total += exp2_fast(scores[h * a.score_ld + e] - lse[h]);
    }
    p[i] = total;
  }
  __syncthreads();
  auto cluster = cg::this_cluster();
  int* gathered = cluster.map_shared_rank(bits, 0);
  for (int j = int(threadIdx.x); j < here; j += kSelectThreads) {
    float sum = 0;
    for (int m = 0; m < per; ++m)
      for (int k = 0; k < reach; ++k) sum += p[j * per + m - k + reach - 1];
    const int block = first + j;
    gathered[block] = __float_as_int(block < c.num_init || block >= candidates - c.num_local ? INFINITY : fmaxf(sum, 0.f));
  }
  cluster.sync();
  if (blockIdx.x == 0) choose(bits, candidates, n, idx, digits, sums);
#endif
}

struct Outputs {
  const void* gate;
  bf16* o;
  int64_t ldg;
  int splits[3];
  bool low;  // the gate is bf16
};

// A block a (query head, sequence), kShares threads a channel: joins each branch's stretches in order, and weighs the branches. They lie as
// compressed, window, selected; gates as compressed, selected, window.
constexpr int kShares = 4;
template <int D>
__global__ void __launch_bounds__(D * kShares) finish_kernel(Args a, Outputs out) {
  extern __shared__ float weights[];  // [splits], of the join and of the gate together
  __shared__ float shared[kShares][D];
  const int64_t item = int64_t(blockIdx.y) * a.hq + blockIdx.x, at = blockIdx.y * out.ldg + int64_t(blockIdx.x) * 3;
  const float* part = a.part + item * a.splits * (D + 2);
  const int lane = threadIdx.x & 31, branch = int(threadIdx.x) / 32, channel = int(threadIdx.x) % D, share = int(threadIdx.x) / D;
  follow();
  if (branch < 3) {
    const int begin = branch > 0 ? out.splits[0] + (branch > 1 ? out.splits[1] : 0) : 0, count = branch == 0 ? out.splits[0] : branch == 1 ? out.splits[1] : out.splits[2];
    const int64_t of = at + (branch == 0 ? 0 : 3 - branch);
    const float x = out.low ? to_float(static_cast<const bf16*>(out.gate)[of]) : static_cast<const float*>(out.gate)[of];
    float top = -INFINITY, sum = 0;
    for (int i = lane; i < count; i += 32) top = fmaxf(top, part[(begin + i) * (D + 2) + D]);
    top = warp_max(top);
    for (int i = lane; i < count; i += 32) {
      const float* row = part + (begin + i) * (D + 2) + D;
      sum = fmaf(row[1], exp2_fast(row[0] - (top == -INFINITY ? 0.f : top)), sum);
    }
    sum = warp_sum(sum);
    const float by = sum > 0 ? 1.f / ((1.f + expf(-x)) * sum) : 0.f;
    for (int i = lane; i < count; i += 32) weights[begin + i] = by * exp2_fast(part[(begin + i) * (D + 2) + D] - (top == -INFINITY ? 0.f : top));
  }
  __syncthreads();
  float total = 0;
#pragma unroll 8
  for (int i = share; i < a.splits; i += kShares) total = fmaf(part[i * (D + 2) + channel], weights[i], total);
  shared[share][channel] = total;
  __syncthreads();
  if (share > 0) return;
#pragma unroll
  for (int i = 1; i < kShares; ++i) total += shared[i][channel];
  from_float(total, out.o[item * D + channel]);
}

const int32_t* i32(const NsaBuf& b) { return static_cast<const int32_t*>(b.ptr); }

template <int D>
int launch(void* ctx, const Nsa_nsa_decode_attend_params& p) {
  const int64_t group = p.hq / p.hkv, chunks = ceil_div(group, kHeads), items = p.b * p.hkv * chunks, slots = 2 * int64_t(context(ctx).sm_count);
  const int64_t entries = p.max_pages * (p.page_size / p.stride), tokens = p.max_pages * p.page_size, window = std::min(p.window, tokens);
  // Stretches as long as fill the card once, at least two tiles of every warp. Shapes, not lengths, set the grid.
  constexpr int64_t step = 2 * kWarps * kKeys;
  auto splits_of = [&](int64_t keys, int64_t all) {
    const int64_t each = std::max(step, ceil_div(items * all, slots));
    return int(std::clamp<int64_t>((keys + each / 2) / each, 1, 128));
  };
  auto in = [](const NsaBuf& b) { return static_cast<const bf16*>(b.ptr); };
  const int64_t chosen = p.num_selected * p.selection_block_size;
  auto shift_of = [](int64_t x) {
    for (int i = 0; i < 31; ++i)
      if (x == int64_t(1) << i) return i;
    return -1;
  };
  const int64_t page = p.page_size / p.stride, all = entries + window;
  Branch cmp{in(p.k_cmp), in(p.v_cmp), nullptr, page, 0, p.block_size, p.stride, 0, 0, splits_of(entries, all), 0, shift_of(page), -1};
  Branch win{in(p.k_win), in(p.v_win), nullptr, p.page_size, p.window, 1, 1, 0, 0, splits_of(window, all), 0, shift_of(p.page_size), -1};
  // Where the card is full with that many blocks, those of the compressed branch take the window, too, as far as it goes.
  const bool together = items * (cmp.splits + win.splits) > slots;
  if (together) {
    cmp.splits = int(std::clamp<int64_t>(slots / items, 1, 128));
    win.splits = int(std::min<int64_t>(cmp.splits, ceil_div(window, step)));
  }
  win.first_split = cmp.splits;
  Branch slc{in(p.k_slc), in(p.v_slc), nullptr, p.page_size, 0, 1, 1, p.num_selected, p.selection_block_size, splits_of(chosen, chosen), cmp.splits + win.splits,
             shift_of(p.page_size), shift_of(p.selection_block_size)};
  Args a{};
  a.q = in(p.q), a.table = i32(p.block_table), a.lens = i32(p.seq_lens), a.b = p.b, a.hq = p.hq, a.hkv = p.hkv, a.ldq = p.ldq, a.max_pages = p.max_pages;
  a.splits = cmp.splits + win.splits + slc.splits, a.scale = float(p.scale), a.score_ld = ceil_div(entries, kKeys) * kKeys;
  Scratch part(ctx, size_t(p.b * p.hq * a.splits * (D + 2)) * 4), scores(ctx, size_t(p.b * p.hq * a.score_ld) * 4), idx(ctx, size_t(p.b * p.hkv * p.num_selected) * 4);
  if (!part || !scores || !idx) return out_of_memory(ctx);
  a.part = part.as<float>(), a.scores = scores.as<float>(), slc.idx = idx.as<int32_t>();
  const int64_t per = p.selection_block_size / p.stride, candidates = ceil_div(tokens, p.selection_block_size);
  int cluster = kCluster;  // smaller where many share the card
  while (cluster > 1 && p.b * p.hkv * cluster > 3 * int64_t(context(ctx).sm_count)) cluster /= 2;
  Choice choice{idx.as<int32_t>(), p.block_size, p.stride, p.selection_block_size, p.num_selected, p.num_init, p.num_local, int(ceil_div(candidates, cluster)), D + 2};
  const size_t room = size_t(group + choice.part_blocks * per + p.block_size / p.stride + candidates) * 4;
  if (room + 4096 > context(ctx).max_smem) return unsupported(ctx, "nsa_decode_attend: the scores of one sequence do not fit in shared memory");
  auto stream = context(ctx).stream;
  constexpr size_t smem = Shape<D>::smem;
  if (int status = check(ctx, cudaFuncSetAttribute(walk_kernel<D>, cudaFuncAttributeMaxDynamicSharedMemorySize, int(smem)))) return status;
  if (int status = check(ctx, cudaFuncSetAttribute(choose_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(room)))) return status;
  const auto rows = unsigned(p.hkv * chunks), b = unsigned(p.b);
  // Launches begin while those before end, and wait where they need what those have written.
  cudaLaunchAttribute attributes[2]{};
  attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[0].val.programmaticStreamSerializationAllowed = 1;
  attributes[1].id = cudaLaunchAttributeClusterDimension;
  attributes[1].val.clusterDim.x = unsigned(cluster), attributes[1].val.clusterDim.y = attributes[1].val.clusterDim.z = 1;
  auto config = [&](dim3 grid, int threads, size_t bytes, int count) { return cudaLaunchConfig_t{grid, dim3(unsigned(threads)), bytes, stream, attributes, unsigned(count)}; };
  walk_kernel<D><<<dim3(unsigned(together ? cmp.splits : cmp.splits + win.splits), rows, b), kWarps * 32, smem, stream>>>(a, cmp, win, together);
  const auto choosing = config(dim3(unsigned(cluster), unsigned(p.hkv), b), kSelectThreads, room, 2);
  if (int status = check(ctx, cudaLaunchKernelEx(&choosing, choose_kernel, a, cmp, choice))) return status;
  a.scores = nullptr;
  const auto walking = config(dim3(unsigned(slc.splits), rows, b), kWarps * 32, smem, 1);
  if (int status = check(ctx, cudaLaunchKernelEx(&walking, walk_kernel<D>, a, slc, slc, false))) return status;
  const Outputs out{p.gate.ptr, static_cast<bf16*>(p.o.ptr), p.ldg, {cmp.splits, win.splits, slc.splits}, p.gate.dtype == NSA_BF16};
  const auto finishing = config(dim3(unsigned(p.hq), b), D * kShares, size_t(a.splits) * 4, 1);
  if (int status = check(ctx, cudaLaunchKernelEx(&finishing, finish_kernel<D>, a, out))) return status;
  return launched(ctx);
}

int attend(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_decode_attend_params*>(params);
  if (!nsa_decode_fits(p)) return bad_argument(ctx, "nsa_decode_attend: sizes");
  if (p.b == 0) return NSA_OK;
  bool ours = hopper_wanted(ctx) && p.dim_k == p.dim_v && (p.dim_k == 64 || p.dim_k == 128) && p.q.dtype == NSA_BF16 && p.o.dtype == NSA_BF16 && p.ldq % 8 == 0 &&
              (p.gate.dtype == NSA_BF16 || p.gate.dtype == NSA_F32) && p.selection_block_size % kKeys == 0 && p.b <= 65535 && p.hkv * ceil_div(p.hq / p.hkv, kHeads) <= 65535;
  for (const NsaBuf* x : {&p.q, &p.k_cmp, &p.v_cmp, &p.k_slc, &p.v_slc, &p.k_win, &p.v_win, &p.o}) ours = ours && x->dtype == NSA_BF16 && aligned16(x->ptr);
  if (ours) {
    const int status = p.dim_k == 64 ? launch<64>(ctx, p) : launch<128>(ctx, p);
    if (status != NSA_UNSUPPORTED) return status;
  }
  std::vector<std::unique_ptr<Scratch>> held;
  return nsa_decode_parts(nsa_backend_entry()->ops, ctx, p, [&](size_t bytes) { return held.emplace_back(std::make_unique<Scratch>(ctx, bytes))->as<void>(); });
}

}  // namespace

void register_nsa_decode(NsaOpFn* ops) {
  ops[NSA_OP_nsa_decode_attend] = attend;
}

}  // namespace nsa::cuda
