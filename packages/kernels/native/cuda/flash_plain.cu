// Flash attention of any dtype, head dim (up to 256) and alignment: a warp a row, keys 32 at a time. For f32 and odd shapes.
#include "cuda/flash_plain.h"

#include "cuda/convert.h"
#include "cuda/documents.h"
#include "cuda/launch.h"

namespace nsa::cuda {
namespace {

constexpr int kWarps = 4, kDim = 256, kPer = kDim / 32;

// Dot of a row in shared memory with a row in global memory.
template <class T>
__device__ inline float dot(const float* x, const T* y, int n) {
  float sum = 0;
  for (int c = 0; c < n; ++c) sum = fmaf(x[c], to_float(y[c]), sum);
  return sum;
}

template <class T>
__global__ void fwd_kernel(FlashArgs a) {
  __shared__ float query[kWarps][kDim];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const int64_t item = int64_t(blockIdx.x) * kWarps + warp;
  if (item >= a.tq * a.hq) return;
  const int64_t row = item / a.hq, head = item % a.hq, group = head / (a.hq / a.hkv), doc = document_of(a.cu_q, a.n_docs, row);
  const int64_t t = row - a.cu_q[doc] + (a.q_start ? a.q_start[doc] : 0), k0 = a.cu_k[doc], nk = a.cu_k[doc + 1] - k0;
  const int dk = int(a.dim_k), dv = int(a.dim_v);
  const T *q = static_cast<const T*>(a.q) + row * a.ldq + head * dk, *k = static_cast<const T*>(a.k) + k0 * a.ldk + group * dk,
          *v = static_cast<const T*>(a.v) + k0 * a.ldv + group * dv;
  for (int c = lane; c < dk; c += 32) query[warp][c] = to_float(q[c]) * a.scale;
  __syncwarp();
  float o[kPer] = {}, top = -INFINITY, sum = 0;
  const int64_t end = end_key(a, t, nk);
  for (int64_t at = first_key(a, t); at < end; at += 32) {
    const int64_t j = at + lane;
    float s = j < end ? dot(query[warp], k + j * a.ldk, dk) : -INFINITY;
    float high = fmaxf(top, warp_max(s)), shrink = expf(top - high), p = expf(s - high);
    sum = sum * shrink + warp_sum(p);
    top = high;
#pragma unroll
    for (int i = 0; i < kPer; ++i) o[i] *= shrink;
    for (int i = 0; i < 32 && at + i < end; ++i) {
      float w = __shfl_sync(~0u, p, i);
#pragma unroll
      for (int c = 0; c < kPer; ++c)
        if (c * 32 + lane < dv) o[c] = fmaf(w, to_float(v[(at + i) * a.ldv + c * 32 + lane]), o[c]);
    }
  }
  T* out = static_cast<T*>(a.out) + row * a.ldo + head * dv;
#pragma unroll
  for (int c = 0; c < kPer; ++c)
    if (c * 32 + lane < dv) from_float(sum > 0 ? o[c] / sum : 0.f, out[c * 32 + lane]);
  if (lane == 0) a.lse[item] = sum > 0 ? top + logf(sum) : -INFINITY;
}

template <class T>
__global__ void delta_kernel(FlashArgs a, float* delta) {
  const int lane = threadIdx.x & 31;
  const int64_t item = int64_t(blockIdx.x) * kWarps + (threadIdx.x >> 5);
  if (item >= a.tq * a.hq) return;
  const int64_t at = item / a.hq * a.ldo + item % a.hq * a.dim_v;
  float sum = 0;
  for (int c = lane; c < a.dim_v; c += 32) sum += to_float(static_cast<const T*>(a.o)[at + c]) * to_float(static_cast<const T*>(a.do_)[at + c]);
  sum = warp_sum(sum);
  if (lane == 0) delta[item] = sum;
}

template <class T>
__global__ void dq_kernel(FlashArgs a) {
  __shared__ float query[kWarps][kDim], gradient[kWarps][kDim];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const int64_t item = int64_t(blockIdx.x) * kWarps + warp;
  if (item >= a.tq * a.hq) return;
  const int64_t row = item / a.hq, head = item % a.hq, group = head / (a.hq / a.hkv), doc = document_of(a.cu_q, a.n_docs, row);
  const int64_t t = row - a.cu_q[doc], k0 = a.cu_k[doc], nk = a.cu_k[doc + 1] - k0;
  const int dk = int(a.dim_k), dv = int(a.dim_v);
  const T *k = static_cast<const T*>(a.k) + k0 * a.ldk + group * dk, *v = static_cast<const T*>(a.v) + k0 * a.ldv + group * dv;
  for (int c = lane; c < dk; c += 32) query[warp][c] = to_float(static_cast<const T*>(a.q)[row * a.ldq + head * dk + c]) * a.scale;
  for (int c = lane; c < dv; c += 32) gradient[warp][c] = to_float(static_cast<const T*>(a.do_)[row * a.ldo + head * dv + c]);
  __syncwarp();
  const float lse = a.lse[item], delta = a.delta[item];
  float dq[kPer] = {};
  const int64_t end = lse == -INFINITY ? 0 : end_key(a, t, nk);
  for (int64_t at = first_key(a, t); at < end; at += 32) {
    const int64_t j = at + lane;
    float ds = 0;
    if (j < end) ds = expf(dot(query[warp], k + j * a.ldk, dk) - lse) * (dot(gradient[warp], v + j * a.ldv, dv) - delta);
    for (int i = 0; i < 32 && at + i < end; ++i) {
      float w = __shfl_sync(~0u, ds, i);
#pragma unroll
      for (int c = 0; c < kPer; ++c)
        if (c * 32 + lane < dk) dq[c] = fmaf(w, to_float(k[(at + i) * a.ldk + c * 32 + lane]), dq[c]);
    }
  }
  T* out = static_cast<T*>(a.dq) + row * a.ldq + head * dk;
#pragma unroll
  for (int c = 0; c < kPer; ++c)
    if (c * 32 + lane < dk) from_float(dq[c] * a.scale + (a.add_dq ? to_float(out[c * 32 + lane]) : 0.f), out[c * 32 + lane]);
}

// A warp a key and KV head; the visible queries of every head of the group, 32 at a time.
template <class T>
__global__ void dkv_kernel(FlashArgs a) {
  __shared__ float key[kWarps][kDim], value[kWarps][kDim];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const int64_t item = int64_t(blockIdx.x) * kWarps + warp;
  if (item >= a.tk * a.hkv) return;
  const int64_t row = item / a.hkv, group = item % a.hkv, doc = document_of(a.cu_k, a.n_docs, row), heads = a.hq / a.hkv;
  const int64_t j = row - a.cu_k[doc], q0 = a.cu_q[doc], nq = a.cu_q[doc + 1] - q0;
  const int dk = int(a.dim_k), dv = int(a.dim_v);
  for (int c = lane; c < dk; c += 32) key[warp][c] = to_float(static_cast<const T*>(a.k)[row * a.ldk + group * dk + c]) * a.scale;
  for (int c = lane; c < dv; c += 32) value[warp][c] = to_float(static_cast<const T*>(a.v)[row * a.ldv + group * dv + c]);
  __syncwarp();
  float gk[kPer] = {}, gv[kPer] = {};
  const int64_t first = j * a.stride + a.block - 1, end = a.window > 0 && j + a.window < nq ? j + a.window : nq;
  for (int64_t head = group * heads; head < (group + 1) * heads; ++head) {
    const T *q = static_cast<const T*>(a.q) + q0 * a.ldq + head * dk, *d = static_cast<const T*>(a.do_) + q0 * a.ldo + head * dv;
    for (int64_t at = first; at < end; at += 32) {
      const int64_t t = at + lane, r = (q0 + t) * a.hq + head;
      float p = 0, ds = 0;
      if (t < end && a.lse[r] != -INFINITY) {
        p = expf(dot(key[warp], q + t * a.ldq, dk) - a.lse[r]);
        ds = p * (dot(value[warp], d + t * a.ldo, dv) - a.delta[r]);
      }
      for (int i = 0; i < 32 && at + i < end; ++i) {
        float wp = __shfl_sync(~0u, p, i), ws = __shfl_sync(~0u, ds, i);
#pragma unroll
        for (int c = 0; c < kPer; ++c) {
          if (c * 32 + lane < dv) gv[c] = fmaf(wp, to_float(d[(at + i) * a.ldo + c * 32 + lane]), gv[c]);
          if (c * 32 + lane < dk) gk[c] = fmaf(ws, to_float(q[(at + i) * a.ldq + c * 32 + lane]), gk[c]);
        }
      }
    }
  }
  T *dk_row = static_cast<T*>(a.dk) + row * a.ldk + group * dk, *dv_row = static_cast<T*>(a.dv) + row * a.ldv + group * dv;
#pragma unroll
  for (int c = 0; c < kPer; ++c) {
    int at = c * 32 + lane;
    if (at < dk) from_float(gk[c] * a.scale + (a.add_dkv ? to_float(dk_row[at]) : 0.f), dk_row[at]);
    if (at < dv) from_float(gv[c] + (a.add_dkv ? to_float(dv_row[at]) : 0.f), dv_row[at]);
  }
}

unsigned blocks(int64_t items) { return unsigned(ceil_div(items, kWarps)); }

}  // namespace

template <class T>
int flash_fwd_plain(void* ctx, const FlashArgs& a) {
  fwd_kernel<T><<<blocks(a.tq * a.hq), kWarps * 32, 0, context(ctx).stream>>>(a);
  return launched(ctx);
}

template <class T>
int flash_bwd_plain(void* ctx, FlashArgs a) {
  auto stream = context(ctx).stream;
  Scratch delta(ctx, a.delta ? 0 : size_t(a.tq * a.hq) * 4);
  if (!delta) return out_of_memory(ctx);
  const bool summed = a.delta != nullptr;
  if (!summed) a.delta = delta.as<float>();
  if (!summed) delta_kernel<T><<<blocks(a.tq * a.hq), kWarps * 32, 0, stream>>>(a, delta.as<float>());
  if (a.tk > 0) dkv_kernel<T><<<blocks(a.tk * a.hkv), kWarps * 32, 0, stream>>>(a);
  dq_kernel<T><<<blocks(a.tq * a.hq), kWarps * 32, 0, stream>>>(a);
  return launched(ctx);
}

template int flash_fwd_plain<float>(void*, const FlashArgs&);
template int flash_fwd_plain<__nv_bfloat16>(void*, const FlashArgs&);
template int flash_bwd_plain<float>(void*, FlashArgs);
template int flash_bwd_plain<__nv_bfloat16>(void*, FlashArgs);

}  // namespace nsa::cuda
