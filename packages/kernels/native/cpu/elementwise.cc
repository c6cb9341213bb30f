// fill, copy, add, unary, binary on the CPU: vectors over blocks.
#include "cpu/families.h"
#include "cpu/spans.h"

namespace nsa::cpu {
namespace {

int fill(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_fill_params*>(params);
  if (!all_float(p.x)) return reference(NSA_OP_fill, ctx, params);
  float value = float(p.value);
  uint16_t low;
  vec().to_bf16(&value, &low, 1);
  for_blocks(ctx, p.x.numel, [&](int64_t at, int64_t n) {
    if (p.x.dtype == NSA_F32)
      std::fill_n(static_cast<float*>(p.x.ptr) + at, n, value);
    else
      std::fill_n(static_cast<uint16_t*>(p.x.ptr) + at, n, low);
  });
  return NSA_OK;
}

int copy(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_copy_params*>(params);
  if (p.x.numel != p.y.numel) return NSA_BAD_ARGUMENT;
  if (p.x.dtype == p.y.dtype) {
    int64_t size = dtype_bytes(p.x);
    for_blocks(ctx, p.x.numel, [&](int64_t at, int64_t n) {
      std::memmove(static_cast<char*>(p.y.ptr) + at * size, static_cast<const char*>(p.x.ptr) + at * size, size_t(n * size));
    });
    return NSA_OK;
  }
  if (!all_float(p.x, p.y)) return reference(NSA_OP_copy, ctx, params);
  for_blocks(ctx, p.x.numel, [&](int64_t at, int64_t n) {
    if (p.x.dtype == NSA_BF16)
      vec().from_bf16(static_cast<const uint16_t*>(p.x.ptr) + at, static_cast<float*>(p.y.ptr) + at, n);
    else
      vec().to_bf16(static_cast<const float*>(p.x.ptr) + at, static_cast<uint16_t*>(p.y.ptr) + at, n);
  });
  return NSA_OK;
}

int add(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_add_params*>(params);
  if (p.a.numel != p.y.numel || p.b.numel != p.y.numel) return NSA_BAD_ARGUMENT;
  if (!all_float(p.a, p.b, p.y)) return reference(NSA_OP_add, ctx, params);
  for_blocks(ctx, p.y.numel, [&](int64_t at, int64_t n) {
    float a[kBlock], b[kBlock], y[kBlock];
    vec().axpby(read_span(p.a, at, n, a), read_span(p.b, at, n, b), write_span(p.y, at, y), float(p.alpha), float(p.beta), n);
    store_span(p.y, at, n, y);
  });
  return NSA_OK;
}

int unary(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_unary_params*>(params);
  if (p.x.numel != p.y.numel || p.kind < 0 || p.kind > 12) return NSA_BAD_ARGUMENT;
  if (!all_float(p.x, p.y)) return reference(NSA_OP_unary, ctx, params);
  for_blocks(ctx, p.x.numel, [&](int64_t at, int64_t n) {
    float x[kBlock], y[kBlock];
    vec().unary(p.kind, read_span(p.x, at, n, x), write_span(p.y, at, y), n);
    store_span(p.y, at, n, y);
  });
  return NSA_OK;
}

int unary_bwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_unary_bwd_params*>(params);
  if (p.x.numel != p.y.numel || p.dx.numel != p.x.numel || p.dy.numel != p.x.numel || p.kind < 0 || p.kind > 12)
    return NSA_BAD_ARGUMENT;
  if (!all_float(p.x, p.y, p.dy, p.dx)) return reference(NSA_OP_unary_bwd, ctx, params);
  for_blocks(ctx, p.x.numel, [&](int64_t at, int64_t n) {
    float x[kBlock], y[kBlock], dy[kBlock], dx[kBlock];
    vec().unary_bwd(p.kind, read_span(p.x, at, n, x), read_span(p.y, at, n, y), read_span(p.dy, at, n, dy),
                    write_span(p.dx, at, dx), n);
    store_span(p.dx, at, n, dx);
  });
  return NSA_OK;
}

int binary(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_binary_params*>(params);
  bool one = p.b.numel == 1;
  if (p.y.numel != p.a.numel || (!one && p.b.numel != p.a.numel) || p.kind < 0 || p.kind > 8) return NSA_BAD_ARGUMENT;
  if (!all_float(p.a, p.b, p.y)) return reference(NSA_OP_binary, ctx, params);
  float first;
  float value = one ? *read_span(p.b, 0, 1, &first) : 0;
  for_blocks(ctx, p.a.numel, [&](int64_t at, int64_t n) {
    float a[kBlock], b[kBlock], y[kBlock];
    if (one)
      vec().binary_scalar(p.kind, read_span(p.a, at, n, a), value, write_span(p.y, at, y), n);
    else
      vec().binary(p.kind, read_span(p.a, at, n, a), read_span(p.b, at, n, b), write_span(p.y, at, y), n);
    store_span(p.y, at, n, y);
  });
  return NSA_OK;
}

int binary_scalar(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_binary_scalar_params*>(params);
  if (p.y.numel != p.a.numel || p.kind < 0 || p.kind > 10) return NSA_BAD_ARGUMENT;
  if (!all_float(p.a, p.y)) return reference(NSA_OP_binary_scalar, ctx, params);
  for_blocks(ctx, p.a.numel, [&](int64_t at, int64_t n) {
    float a[kBlock], y[kBlock];
    vec().binary_scalar(p.kind, read_span(p.a, at, n, a), float(p.value), write_span(p.y, at, y), n);
    store_span(p.y, at, n, y);
  });
  return NSA_OK;
}

}  // namespace

void register_elementwise(NsaOpFn* ops) {
  ops[NSA_OP_fill] = fill;
  ops[NSA_OP_copy] = copy;
  ops[NSA_OP_add] = add;
  ops[NSA_OP_unary] = unary;
  ops[NSA_OP_unary_bwd] = unary_bwd;
  ops[NSA_OP_binary] = binary;
  ops[NSA_OP_binary_scalar] = binary_scalar;
}

}  // namespace nsa::cpu
