// nsa_select, nsa_decode_select: top-n key blocks of each query from the compressed attention's probabilities (NSA eq. 8-12).
//
// Here the plain kernels: f32, paged caches and odd shapes (bf16: nsa_select_mma.cu). A block of threads takes one (query, KV head):
// p_cmp summed over the group's heads lies in shared memory, is folded into block scores, and the n best are found one after
// another. No score matrix is stored unless the caller asks.
#include <type_traits>

#include "cuda/convert.h"
#include "cuda/documents.h"
#include "cuda/families.h"
#include "cuda/launch.h"
#include "cuda/nsa_select.h"

namespace nsa::cuda {
namespace {

constexpr int kHeads = 8, kWarps = kThreads / 32;

// The larger score, then the lower index; index −1 is nothing.
struct Best {
  float score;
  int32_t index;
};
__device__ inline Best better(Best a, Best b) {
  if (b.index < 0) return a;
  if (a.index < 0 || b.score > a.score || (b.score == a.score && b.index < a.index)) return b;
  return a;
}

template <class T, bool PAGED, bool WIDE>
__global__ void __launch_bounds__(kThreads) select_kernel(SelectArgs a) {
  extern __shared__ __align__(16) float shared[];
  __shared__ Best bests[kWarps];
  const int64_t row = blockIdx.x / a.hkv, kv = blockIdx.x % a.hkv, heads = a.hq / a.hkv;
  const int padded = int((heads + kHeads - 1) / kHeads * kHeads), dk = int(a.dim_k), tid = int(threadIdx.x);
  float* query = shared;                              // [dk][padded]
  float* lse = query + int64_t(dk) * padded;          // [padded]
  float* p_cmp = lse + padded;                        // [entries]
  float* score = p_cmp + a.entries;                   // [candidates]
  auto* chosen = reinterpret_cast<int32_t*>(score + a.candidates);  // [num_selected]

  int64_t t, first_block = 0, room;
  if constexpr (PAGED) {
    t = int64_t(a.lens[row]) - 1;
    room = a.entries;
  } else {
    int64_t doc = document_of(a.cu_seqlens, a.n_docs, row);
    t = row - a.cu_seqlens[doc];
    first_block = a.cu_blocks[doc];
    room = min(a.entries, int64_t(a.cu_blocks[doc + 1]) - first_block);
  }
  const int visible = int(min(room, t + 1 < a.block_size ? int64_t(0) : (t + 1 - a.block_size) / a.stride + 1));
  const int candidates = int(t < 0 ? 0 : min(a.candidates, t / a.selection_block + 1));

  const T* q = static_cast<const T*>(a.q) + row * a.ldq + kv * heads * dk;
  for (int i = tid; i < dk * padded; i += kThreads) {
    int c = i / padded, h = i % padded;
    query[i] = h < heads ? to_float(q[int64_t(h) * dk + c]) * a.scale : 0.f;
  }
  for (int h = tid; h < padded; h += kThreads) lse[h] = h < heads ? a.lse[row * a.hq + kv * heads + h] : INFINITY;
  __syncthreads();

  for (int i = tid; i < visible; i += kThreads) {
    const T* key = static_cast<const T*>(a.k);
    if constexpr (PAGED)
      key += ((int64_t(a.table[row * a.max_pages + i / a.page]) * a.page + i % a.page) * a.hkv + kv) * dk;
    else
      key += (first_block + i) * a.ldk + kv * dk;
    float total = 0;
    for (int h0 = 0; h0 < padded; h0 += kHeads) {
      float s[kHeads] = {};
      auto step = [&](int c, float k) {
        const float4 x = *reinterpret_cast<const float4*>(query + c * padded + h0), y = *reinterpret_cast<const float4*>(query + c * padded + h0 + 4);
        s[0] = fmaf(x.x, k, s[0]), s[1] = fmaf(x.y, k, s[1]), s[2] = fmaf(x.z, k, s[2]), s[3] = fmaf(x.w, k, s[3]);
        s[4] = fmaf(y.x, k, s[4]), s[5] = fmaf(y.y, k, s[5]), s[6] = fmaf(y.z, k, s[6]), s[7] = fmaf(y.w, k, s[7]);
      };
      if constexpr (WIDE) {
        for (int c = 0; c < dk; c += kVec<T>) {
          float k[kVec<T>];
          load_vec(k, key + c);
#pragma unroll
          for (int j = 0; j < kVec<T>; ++j) step(c + j, k[j]);
        }
      } else {
        for (int c = 0; c < dk; ++c) step(c, to_float(key[c]));
      }
      // Heads of the padding have lse = ∞ and add 0.
#pragma unroll
      for (int h = 0; h < kHeads; ++h) total += expf(s[h] - lse[h0 + h]);
    }
    p_cmp[i] = total;
  }
  __syncthreads();

  const int per_selection = int(a.selection_block / a.stride), per_block = int(a.block_size / a.stride);
  for (int j = tid; j < candidates; j += kThreads) {
    float sum = 0;
    for (int m = 0; m < per_selection; ++m)
      for (int n = 0; n < per_block; ++n) {
        int i = per_selection * j + m - n;
        if (i >= 0 && i < visible) sum += p_cmp[i];
      }
    if (a.scores) a.scores[blockIdx.x * a.max_blocks + j] = sum;
    score[j] = j < a.num_init || j >= candidates - a.num_local ? INFINITY : sum;
  }
  if (a.scores)
    for (int64_t j = candidates + tid; j < a.max_blocks; j += kThreads) a.scores[blockIdx.x * a.max_blocks + j] = 0.f;
  __syncthreads();

  int32_t* idx = a.idx + blockIdx.x * a.num_selected;
  if (candidates <= a.num_selected) {
    for (int n = tid; n < a.num_selected; n += kThreads) idx[n] = n < candidates ? n : -1;
    return;
  }
  for (int n = 0; n < a.num_selected; ++n) {
    Best best{0, -1};
    for (int j = tid; j < candidates; j += kThreads)
      if (score[j] != -INFINITY) best = better(best, {score[j], j});
#pragma unroll
    for (int m = 16; m > 0; m >>= 1) best = better(best, {__shfl_xor_sync(~0u, best.score, m), __shfl_xor_sync(~0u, best.index, m)});
    if ((tid & 31) == 0) bests[tid >> 5] = best;
    __syncthreads();
    if (tid == 0) {
      for (int w = 1; w < kWarps; ++w) best = better(best, bests[w]);
      chosen[n] = best.index;
      score[best.index] = -INFINITY;
    }
    __syncthreads();
  }
  for (int n = tid; n < a.num_selected; n += kThreads) {
    int rank = 0;
    for (int m = 0; m < a.num_selected; ++m) rank += chosen[m] < chosen[n];
    idx[rank] = chosen[n];
  }
}

template <bool PAGED>
int run(void* ctx, const SelectArgs& a, int64_t rows, int32_t dtype) {
  int64_t padded = ceil_div(a.hq / a.hkv, kHeads) * kHeads;
  size_t smem = size_t((a.dim_k + 1) * padded + a.entries + a.candidates + a.num_selected) * 4;
  if (smem + 1024 > context(ctx).max_smem) return unsupported(ctx, "nsa_select: the compressed keys of one document do not fit in shared memory");
  int status = NSA_OK;
  bool ok = with_float_type(dtype, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    constexpr int n = kVec<T>;
    auto go = [&](auto kernel) {
      status = check(ctx, cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(smem)));
      if (status == NSA_OK) kernel<<<unsigned(rows * a.hkv), kThreads, smem, context(ctx).stream>>>(a);
    };
    if (a.dim_k % n == 0 && a.ldk % n == 0 && aligned16(a.k)) go(select_kernel<T, PAGED, true>);
    else go(select_kernel<T, PAGED, false>);
  });
  if (!ok) return unsupported(ctx, "nsa_select takes f32 and bf16");
  return status == NSA_OK ? launched(ctx) : status;
}

template <class P>
int common(void* ctx, const P& p, const NsaBuf& k, int64_t rows, SelectArgs& a) {
  if (p.hkv < 1 || p.hq % p.hkv || p.stride < 1 || p.block_size % p.stride || p.selection_block_size % p.stride || p.selection_block_size < 1)
    return bad_argument(ctx, "nsa_select: heads or block sizes");
  if (rows > 0 && (p.q.numel < (rows - 1) * p.ldq + p.hq * p.dim_k || p.lse.numel < rows * p.hq || p.idx.numel < rows * p.hkv * p.num_selected))
    return bad_argument(ctx, "nsa_select: a tensor is too short");
  if (p.q.dtype != k.dtype || p.lse.dtype != NSA_F32) return unsupported(ctx, "nsa_select of mixed dtypes");
  a.q = p.q.ptr, a.k = k.ptr, a.lse = static_cast<const float*>(p.lse.ptr), a.idx = static_cast<int32_t*>(p.idx.ptr);
  a.hq = p.hq, a.hkv = p.hkv, a.dim_k = p.dim_k, a.ldq = p.ldq, a.block_size = p.block_size, a.stride = p.stride;
  a.selection_block = p.selection_block_size, a.num_selected = p.num_selected, a.num_init = p.num_init, a.num_local = p.num_local;
  a.scale = float(p.scale);
  return NSA_OK;
}

int select(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_select_params*>(params);
  SelectArgs a{};
  if (int status = common(ctx, p, p.k_cmp, p.tokens, a)) return status;
  if (p.tokens == 0 || p.n_docs == 0) return NSA_OK;
  if (p.cu_seqlens.numel < p.n_docs + 1 || p.cu_blocks.numel < p.n_docs + 1 || (p.nb > 0 && p.k_cmp.numel < (p.nb - 1) * p.ldk + p.hkv * p.dim_k) ||
      (p.scores.ptr && (p.scores.numel < p.tokens * p.hkv * p.max_blocks || p.scores.dtype != NSA_F32)))
    return bad_argument(ctx, "nsa_select: a tensor is too short");
  a.ldk = p.ldk, a.scores = static_cast<float*>(p.scores.ptr), a.n_docs = p.n_docs, a.max_blocks = p.max_blocks;
  a.cu_seqlens = static_cast<const int32_t*>(p.cu_seqlens.ptr), a.cu_blocks = static_cast<const int32_t*>(p.cu_blocks.ptr);
  // The longest document has max_blocks selection blocks.
  a.candidates = p.max_blocks;
  a.entries = std::min(p.nb, p.max_blocks * (p.selection_block_size / p.stride));
  int status = NSA_OK;
  if (p.q.dtype == NSA_BF16 && select_mma(ctx, a, p.tokens, status)) return status;
  return run<false>(ctx, a, p.tokens, p.q.dtype);
}

int decode_select(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_decode_select_params*>(params);
  SelectArgs a{};
  if (int status = common(ctx, p, p.k_cmp_cache, p.b, a)) return status;
  if (p.b == 0) return NSA_OK;
  if (p.seq_lens.numel < p.b || p.block_table.numel < p.b * p.max_pages) return bad_argument(ctx, "nsa_decode_select: a tensor is too short");
  a.table = static_cast<const int32_t*>(p.block_table.ptr), a.lens = static_cast<const int32_t*>(p.seq_lens.ptr);
  a.page = p.page_size, a.max_pages = p.max_pages, a.ldk = p.hkv * p.dim_k;
  a.entries = p.max_pages * p.page_size;
  // Tokens before the next entry would exist.
  a.candidates = (a.entries * p.stride + p.block_size) / p.selection_block_size + 1;
  return run<true>(ctx, a, p.b, p.q.dtype);
}

}  // namespace

void register_nsa_select(NsaOpFn* ops) {
  ops[NSA_OP_nsa_select] = select;
  ops[NSA_OP_nsa_decode_select] = decode_select;
}

}  // namespace nsa::cuda
