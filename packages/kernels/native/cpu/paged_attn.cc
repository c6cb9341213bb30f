// paged_attn for f32: one query per sequence over a paged cache; a task is one sequence and KV head. Newest tokens are appended first.
#include <algorithm>
#include <cmath>
#include <vector>

#include "cpu/backend.h"
#include "cpu/families.h"
#include "cpu/spans.h"
#include "reference/paged_append.h"

namespace nsa::cpu {
namespace {

int paged_attn(void* ctx, const void* params) {
  auto p = *static_cast<const Nsa_paged_attn_params*>(params);
  if (int status = paged_attn_prepare(backend(), ctx, p)) return status;
  for (const NsaBuf* b : {&p.q, &p.k_cache, &p.v_cache, &p.o, &p.lse})
    if (b->ptr && b->dtype != NSA_F32) return reference(NSA_OP_paged_attn, ctx, &p);
  const VecKernels& kern = vec();
  const auto* table = static_cast<const int32_t*>(p.block_table.ptr);
  const auto* lens = static_cast<const int32_t*>(p.seq_lens.ptr);
  const auto* q = static_cast<const float*>(p.q.ptr);
  const auto* k_cache = static_cast<const float*>(p.k_cache.ptr);
  const auto* v_cache = static_cast<const float*>(p.v_cache.ptr);
  auto* o = static_cast<float*>(p.o.ptr);
  int64_t group = p.hq / p.hkv;
  pool(ctx).parallel_for(p.b * p.hkv, [&](int64_t task) {
    int64_t s = task / p.hkv, kv = task % p.hkv, len = lens[s];
    int64_t entries = len < p.block_size ? 0 : (len - p.block_size) / p.stride + 1;
    int64_t begin = p.window > 0 ? std::max<int64_t>(0, entries - p.window) : 0;
    thread_local std::vector<float> scores;
    scores.resize(size_t(std::max<int64_t>(entries, 1)));
    auto row = [&](int64_t i) {
      return (int64_t(table[s * p.max_pages + i / p.page_size]) * p.page_size + i % p.page_size) * p.hkv + kv;
    };
    for (int64_t h = kv * group; h < (kv + 1) * group; ++h) {
      const float* query = q + s * p.ldq + h * p.dim_k;
      float* out = o + s * p.ldo + h * p.dim_v;
      std::fill(out, out + p.dim_v, 0.0f);
      float top = -INFINITY;
      for (int64_t i = begin; i < entries; ++i) {
        scores[i] = kern.dot(query, k_cache + row(i) * p.dim_k, p.dim_k) * float(p.scale);
        top = std::max(top, scores[i]);
      }
      float sum = 0;
      for (int64_t i = begin; i < entries; ++i) {
        float w = std::exp(scores[i] - top);
        sum += w;
        kern.axpby(v_cache + row(i) * p.dim_v, out, out, w, 1.0f, p.dim_v);
      }
      if (entries > begin)
        for (int64_t c = 0; c < p.dim_v; ++c) out[c] /= sum;
      if (p.lse.ptr) static_cast<float*>(p.lse.ptr)[s * p.hq + h] = entries > begin ? top + std::log(sum) : -INFINITY;
    }
  });
  return NSA_OK;
}

}  // namespace

void register_paged_attn(NsaOpFn* ops) { ops[NSA_OP_paged_attn] = paged_attn; }

}  // namespace nsa::cpu
