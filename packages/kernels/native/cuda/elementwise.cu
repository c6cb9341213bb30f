// fill, copy, add, unary, unary_bwd, binary, binary_scalar: one thread a vector of 16 bytes where all operands allow it.
#include <cmath>
#include <type_traits>

#include "cuda/convert.h"
#include "cuda/families.h"
#include "cuda/launch.h"

namespace nsa::cuda {
namespace {

// Operand of an elementwise kernel; any dtype, read and written as f32.
struct Operand {
  void* ptr;
  int32_t dtype;
};

template <class T>
__device__ inline T* as(const Operand& o) {
  return static_cast<T*>(o.ptr);
}
__device__ inline float get(const Operand& o, int64_t i) {
  switch (o.dtype) {
    case NSA_BF16: return to_float(as<const bf16>(o)[i]);
    case NSA_F64: return float(as<const double>(o)[i]);
    case NSA_I32: return float(as<const int32_t>(o)[i]);
    case NSA_I64: return float(as<const int64_t>(o)[i]);
    case NSA_U8: return float(as<const uint8_t>(o)[i]);
    default: return as<const float>(o)[i];
  }
}
// V: float, or double where a value is not to be rounded to f32 first.
template <class V>
__device__ inline void put(const Operand& o, int64_t i, V x) {
  switch (o.dtype) {
    case NSA_BF16: as<bf16>(o)[i] = __float2bfloat16_rn(float(x)); break;
    case NSA_F64: as<double>(o)[i] = x; break;
    case NSA_I32: as<int32_t>(o)[i] = int32_t(x); break;
    case NSA_I64: as<int64_t>(o)[i] = int64_t(x); break;
    case NSA_U8: as<uint8_t>(o)[i] = uint8_t(x); break;
    default: as<float>(o)[i] = float(x);
  }
}

Operand operand(const NsaBuf& b) { return {b.ptr, b.dtype}; }
bool floating(const NsaBuf& b) { return b.dtype == NSA_F32 || b.dtype == NSA_BF16 || b.dtype == NSA_F64; }

template <class F>
__global__ void map0_kernel(Operand y, int64_t n, F f) {
  NSA_GRID_STRIDE(i, n) put(y, i, f());
}
template <class F>
__global__ void map1_kernel(Operand a, Operand y, int64_t n, F f) {
  NSA_GRID_STRIDE(i, n) put(y, i, f(get(a, i)));
}
template <class F>
__global__ void map2_kernel(Operand a, Operand b, Operand y, int64_t n, bool b_is_one, F f) {
  NSA_GRID_STRIDE(i, n) put(y, i, f(get(a, i), get(b, b_is_one ? 0 : i)));
}

// The same with 16-byte accesses: VEC elements of the narrowest type at once.
template <class A, class Y, class F>
__global__ void map1_vec_kernel(const A* a, Y* y, int64_t vectors, F f) {
  constexpr int n = kVec<A> < kVec<Y> ? kVec<Y> : kVec<A>;
  NSA_GRID_STRIDE(v, vectors) {
    float x[n];
#pragma unroll
    for (int j = 0; j < n; j += kVec<A>) load_vec(reinterpret_cast<float(&)[kVec<A>]>(x[j]), a + v * n + j);
#pragma unroll
    for (int j = 0; j < n; ++j) x[j] = f(x[j]);
#pragma unroll
    for (int j = 0; j < n; j += kVec<Y>) store_vec(y + v * n + j, reinterpret_cast<float(&)[kVec<Y>]>(x[j]));
  }
}
template <class T, class F>
__global__ void map2_vec_kernel(const T* a, const T* b, T* y, int64_t vectors, F f) {
  NSA_GRID_STRIDE(v, vectors) {
    float x[kVec<T>], z[kVec<T>];
    load_vec(x, a + v * kVec<T>);
    load_vec(z, b + v * kVec<T>);
#pragma unroll
    for (int j = 0; j < kVec<T>; ++j) x[j] = f(x[j], z[j]);
    store_vec(y + v * kVec<T>, x);
  }
}

template <class F>
int map1(void* ctx, const NsaBuf& a, const NsaBuf& y, F f) {
  int64_t n = y.numel;
  if (n == 0) return NSA_OK;
  auto stream = context(ctx).stream;
  bool fast = aligned16(a.ptr) && aligned16(y.ptr) && n % 8 == 0;
  auto go = [&](auto* at, auto* yt) {
    using A = std::remove_pointer_t<decltype(at)>;
    using Y = std::remove_pointer_t<decltype(yt)>;
    int64_t vectors = n / (kVec<A> < kVec<Y> ? kVec<Y> : kVec<A>);
    map1_vec_kernel<A, Y><<<grid_for(ctx, vectors), kThreads, 0, stream>>>(static_cast<const A*>(a.ptr), static_cast<Y*>(y.ptr), vectors, f);
  };
  bool done = false;
  if (fast) with_float_type(a.dtype, [&](auto* at) { done = with_float_type(y.dtype, [&](auto* yt) { go(at, yt); }); });
  if (!done) map1_kernel<<<grid_for(ctx, n), kThreads, 0, stream>>>(operand(a), operand(y), n, f);
  return launched(ctx);
}

template <class F>
int map2(void* ctx, const NsaBuf& a, const NsaBuf& b, const NsaBuf& y, F f) {
  int64_t n = y.numel;
  if (n == 0) return NSA_OK;
  auto stream = context(ctx).stream;
  bool same = a.dtype == y.dtype && b.dtype == y.dtype && b.numel == n;
  bool done = false;
  if (same && aligned16(a.ptr) && aligned16(b.ptr) && aligned16(y.ptr) && n % 8 == 0)
    done = with_float_type(y.dtype, [&](auto* t) {
      using T = std::remove_pointer_t<decltype(t)>;
      int64_t vectors = n / kVec<T>;
      map2_vec_kernel<T><<<grid_for(ctx, vectors), kThreads, 0, stream>>>(static_cast<const T*>(a.ptr), static_cast<const T*>(b.ptr),
                                                                          static_cast<T*>(y.ptr), vectors, f);
    });
  if (!done) map2_kernel<<<grid_for(ctx, n), kThreads, 0, stream>>>(operand(a), operand(b), operand(y), n, b.numel == 1 && n != 1, f);
  return launched(ctx);
}

int fill(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_fill_params*>(params);
  if (p.x.numel == 0) return NSA_OK;
  double value = p.value;
  if (value == 0 && !std::signbit(value)) {
    return check(ctx, cudaMemsetAsync(p.x.ptr, 0, size_t(p.x.numel) * dtype_bytes(p.x.dtype), context(ctx).stream));
  }
  map0_kernel<<<grid_for(ctx, p.x.numel), kThreads, 0, context(ctx).stream>>>(operand(p.x), p.x.numel, [value] __device__() { return value; });
  return launched(ctx);
}

int copy(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_copy_params*>(params);
  if (p.x.numel != p.y.numel) return bad_argument(ctx, "copy: sizes differ");
  if (p.x.dtype == p.y.dtype) {
    return check(ctx, cudaMemcpyAsync(p.y.ptr, p.x.ptr, size_t(p.x.numel) * dtype_bytes(p.x.dtype), cudaMemcpyDeviceToDevice, context(ctx).stream));
  }
  return map1(ctx, p.x, p.y, [] __device__(float x) { return x; });
}

int add(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_add_params*>(params);
  if (p.a.numel != p.y.numel || p.b.numel != p.y.numel) return bad_argument(ctx, "add: sizes differ");
  float alpha = float(p.alpha), beta = float(p.beta);
  return map2(ctx, p.a, p.b, p.y, [alpha, beta] __device__(float a, float b) { return alpha * a + beta * b; });
}

__device__ inline float sigmoid(float x) { return 1.f / (1.f + expf(-x)); }

__device__ inline float unary_value(int kind, float x) {
  switch (kind) {
    case 0: return -x;
    case 1: return expf(x);
    case 2: return logf(x);
    case 3: return sigmoid(x);
    case 4: return x * x;
    case 5: return sqrtf(x);
    case 6: return 1.f / x;
    case 7: return fabsf(x);
    case 8: return tanhf(x);
    case 9: return x * sigmoid(x);
    case 10: return x > 0 ? x : 0.f;
    case 11: return fminf(x, 0.f) - log1pf(expf(-fabsf(x)));
    default: return x > 0 ? 1.f : x < 0 ? -1.f : 0.f;
  }
}

__device__ inline float unary_slope(int kind, float x, float y) {
  switch (kind) {
    case 0: return -1.f;
    case 1: return y;
    case 2: return 1.f / x;
    case 3: return y * (1.f - y);
    case 4: return 2.f * x;
    case 5: return 0.5f / y;
    case 6: return -y * y;
    case 7: return x > 0 ? 1.f : x < 0 ? -1.f : 0.f;
    case 8: return 1.f - y * y;
    case 9: {
      float s = sigmoid(x);
      return s * (1.f + x * (1.f - s));
    }
    case 10: return x > 0 ? 1.f : 0.f;
    case 11: return sigmoid(-x);
    default: return 0.f;
  }
}

__device__ inline float binary_value(int kind, float a, float b) {
  switch (kind) {
    case 0: return a + b;
    case 1: return a - b;
    case 2: return a * b;
    case 3: return a / b;
    case 4: return b < a ? b : a;
    case 5: return a < b ? b : a;
    case 6: return a > b;
    case 7: return a >= b;
    case 8: return a == b;
    case 9: return b - a;
    default: return b / a;
  }
}

__global__ void unary_bwd_kernel(Operand x, Operand y, Operand dy, Operand dx, int64_t n, int kind) {
  NSA_GRID_STRIDE(i, n) put(dx, i, unary_slope(kind, get(x, i), get(y, i)) * get(dy, i));
}

int unary(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_unary_params*>(params);
  if (p.x.numel != p.y.numel || p.kind < 0 || p.kind > 12) return bad_argument(ctx, "unary: sizes or kind");
  if (!floating(p.x)) return unsupported(ctx, "unary takes floats");
  int kind = int(p.kind);
  return map1(ctx, p.x, p.y, [kind] __device__(float x) { return unary_value(kind, x); });
}

int unary_bwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_unary_bwd_params*>(params);
  int64_t n = p.x.numel;
  if (n != p.y.numel || p.dx.numel != n || p.dy.numel != n || p.kind < 0 || p.kind > 12) return bad_argument(ctx, "unary_bwd: sizes or kind");
  if (n == 0) return NSA_OK;
  unary_bwd_kernel<<<grid_for(ctx, n), kThreads, 0, context(ctx).stream>>>(operand(p.x), operand(p.y), operand(p.dy), operand(p.dx), n, int(p.kind));
  return launched(ctx);
}

int binary(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_binary_params*>(params);
  if (p.y.numel != p.a.numel || (p.b.numel != 1 && p.b.numel != p.a.numel) || p.kind < 0 || p.kind > 8)
    return bad_argument(ctx, "binary: sizes or kind");
  int kind = int(p.kind);
  return map2(ctx, p.a, p.b, p.y, [kind] __device__(float a, float b) { return binary_value(kind, a, b); });
}

int binary_scalar(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_binary_scalar_params*>(params);
  if (p.y.numel != p.a.numel || p.kind < 0 || p.kind > 10) return bad_argument(ctx, "binary_scalar: sizes or kind");
  int kind = int(p.kind);
  auto value = float(p.value);
  return map1(ctx, p.a, p.y, [kind, value] __device__(float a) { return binary_value(kind, a, value); });
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

}  // namespace nsa::cuda
