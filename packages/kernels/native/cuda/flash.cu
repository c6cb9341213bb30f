// flash_fwd, flash_bwd: checks, and the choice between the tensor-core and the plain kernels.
#include "cuda/flash.h"

#include "cuda/convert.h"
#include "cuda/families.h"
#include "cuda/flash_hopper.h"
#include "cuda/flash_plain.h"
#include "cuda/rope.h"

namespace nsa::cuda {
namespace {

template <class P>
FlashArgs common(const P& p) {
  FlashArgs a{};
  a.q = p.q.ptr, a.k = p.k.ptr, a.v = p.v.ptr;
  a.lse = static_cast<float*>(p.lse.ptr);
  a.cu_q = static_cast<const int32_t*>(p.cu_q.ptr);
  a.cu_k = static_cast<const int32_t*>(p.cu_k.ptr);
  a.n_docs = p.n_docs, a.tq = p.tq, a.tk = p.tk, a.hq = p.hq, a.hkv = p.hkv, a.dim_k = p.dim_k, a.dim_v = p.dim_v;
  a.ldq = p.ldq, a.ldk = p.ldk, a.ldv = p.ldv, a.ldo = p.ldo;
  a.window = p.window, a.block = p.block_size, a.stride = p.stride, a.scale = float(p.scale);
  return a;
}

template <class P>
const char* fault(const P& p) {
  if (p.hkv < 1 || p.hq % p.hkv || p.block_size < 1 || p.stride < 1) return "flash: heads, block size or stride";
  if (p.dim_k > 256 || p.dim_v > 256) return "flash: head dims are at most 256";
  auto shorter = [](const NsaBuf& b, int64_t rows, int64_t ld, int64_t width) { return rows > 0 && b.numel < (rows - 1) * ld + width; };
  if (shorter(p.q, p.tq, p.ldq, p.hq * p.dim_k) || shorter(p.k, p.tk, p.ldk, p.hkv * p.dim_k) || shorter(p.v, p.tk, p.ldv, p.hkv * p.dim_v) ||
      shorter(p.o, p.tq, p.ldo, p.hq * p.dim_v) || p.lse.numel < p.tq * p.hq || p.cu_q.numel < p.n_docs + 1 || p.cu_k.numel < p.n_docs + 1)
    return "flash: a tensor is too short";
  if (p.q.dtype != p.k.dtype || p.q.dtype != p.v.dtype || p.q.dtype != p.o.dtype || p.lse.dtype != NSA_F32) return "flash: dtypes differ";
  return nullptr;
}

// Tensor-core kernels want bf16 rows that start on 16 bytes.
bool vectors(const FlashArgs& a) {
  for (const void* p : {a.q, a.k, a.v, a.o, a.do_, static_cast<const void*>(a.out), static_cast<const void*>(a.dq), static_cast<const void*>(a.dk), static_cast<const void*>(a.dv)})
    if (!aligned16(p)) return false;
  return (a.ldq | a.ldk | a.ldv | a.ldo | a.dim_k | a.dim_v) % 8 == 0;
}

int fwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_flash_fwd_params*>(params);
  if (const char* why = fault(p)) return bad_argument(ctx, why);
  if (p.tq == 0) return NSA_OK;
  FlashArgs a = common(p);
  a.out = p.o.ptr;
  a.q_start = static_cast<const int32_t*>(p.q_start.ptr);
  int status = NSA_OK;
  if (p.q.dtype == NSA_BF16 && vectors(a) && flash_hopper(ctx, a)) return flash_fwd_hopper(ctx, a);
  if (p.q.dtype == NSA_BF16 && vectors(a) && flash_fwd_mma(ctx, a, status)) return status;
  if (p.q.dtype == NSA_BF16) return flash_fwd_plain<bf16>(ctx, a);
  if (p.q.dtype == NSA_F32) return flash_fwd_plain<float>(ctx, a);
  return unsupported(ctx, "flash takes f32 and bf16");
}

int bwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_flash_bwd_params*>(params);
  if (const char* why = fault(p)) return bad_argument(ctx, why);
  if (p.tq == 0) return NSA_OK;
  FlashArgs a = common(p);
  a.o = p.o.ptr, a.do_ = p.do_.ptr, a.dq = p.dq.ptr, a.dk = p.dk.ptr, a.dv = p.dv.ptr;
  a.add_dq = p.accumulate & 1, a.add_dkv = p.accumulate & 2;
  if (p.delta.ptr && (p.delta.numel < p.tq * p.hq || p.delta.dtype != NSA_F32)) return bad_argument(ctx, "flash_bwd: delta");
  a.delta = static_cast<const float*>(p.delta.ptr);
  const bool turned = p.cos.ptr != nullptr;
  if (turned && (p.tq != p.tk || p.accumulate || p.positions.numel < p.tq)) return bad_argument(ctx, "flash_bwd: dq and dk cannot be turned back");
  int status = NSA_OK;
  if (p.q.dtype == NSA_BF16 && vectors(a) && flash_hopper(ctx, a)) {
    // Turned in registers where all channels are.
    const bool inside = turned && p.rot_dim == p.dim_k && p.cos.dtype == NSA_F32 && p.sin.dtype == NSA_F32;
    if (inside) {
      a.cos = static_cast<const float*>(p.cos.ptr), a.sin = static_cast<const float*>(p.sin.ptr);
      a.positions = static_cast<const int32_t*>(p.positions.ptr), a.half = p.rot_dim / 2;
    }
    status = flash_bwd_hopper(ctx, a);
    if (!turned || inside || status != NSA_OK) return status;
  } else if (p.q.dtype == NSA_BF16 && vectors(a) && flash_bwd_mma(ctx, a, status)) {
  } else if (p.q.dtype == NSA_BF16) {
    status = flash_bwd_plain<bf16>(ctx, a);
  } else if (p.q.dtype == NSA_F32) {
    status = flash_bwd_plain<float>(ctx, a);
  } else {
    return unsupported(ctx, "flash takes f32 and bf16");
  }
  if (!turned || status != NSA_OK) return status;
  auto turn_back = [&](const NsaBuf& x, int64_t heads, int64_t ld) {
    Nsa_rope_params args{x, x, p.cos, p.sin, p.positions, p.tq, heads, p.dim_k, p.rot_dim, ld, ld, 1};
    return rope(ctx, &args);
  };
  if ((status = turn_back(p.dq, p.hq, p.ldq))) return status;
  return turn_back(p.dk, p.hkv, p.ldk);
}

}  // namespace

void register_flash(NsaOpFn* ops) {
  ops[NSA_OP_flash_fwd] = fwd;
  ops[NSA_OP_flash_bwd] = bwd;
}

}  // namespace nsa::cuda
