// fill, copy, add, unary, binary: the elementwise ops.
#include <algorithm>

#include "reference/common.h"
#include "reference/families.h"

namespace nsa::ref {
namespace {

int fill(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_fill_params*>(params);
  for (int64_t i = 0; i < p.x.numel; ++i) set(p.x, i, p.value);
  return NSA_OK;
}

int copy(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_copy_params*>(params);
  if (p.x.numel != p.y.numel) return NSA_BAD_ARGUMENT;
  for (int64_t i = 0; i < p.x.numel; ++i) set(p.y, i, get(p.x, i));
  return NSA_OK;
}

int add(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_add_params*>(params);
  if (p.a.numel != p.y.numel || p.b.numel != p.y.numel) return NSA_BAD_ARGUMENT;
  for (int64_t i = 0; i < p.y.numel; ++i) set(p.y, i, p.alpha * get(p.a, i) + p.beta * get(p.b, i));
  return NSA_OK;
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

double unary_value(int64_t kind, double x) {
  switch (kind) {
    case 0: return -x;
    case 1: return std::exp(x);
    case 2: return std::log(x);
    case 3: return sigmoid(x);
    case 4: return x * x;
    case 5: return std::sqrt(x);
    case 6: return 1 / x;
    case 7: return std::fabs(x);
    case 8: return std::tanh(x);
    case 9: return x * sigmoid(x);
    case 10: return x > 0 ? x : 0;
    case 11: return std::min(x, 0.0) - std::log1p(std::exp(-std::fabs(x)));
    default: return x > 0 ? 1 : x < 0 ? -1 : 0;
  }
}

// f'(x), from x and y = f(x).
double unary_slope(int64_t kind, double x, double y) {
  switch (kind) {
    case 0: return -1;
    case 1: return y;
    case 2: return 1 / x;
    case 3: return y * (1 - y);
    case 4: return 2 * x;
    case 5: return 0.5 / y;
    case 6: return -y * y;
    case 7: return x > 0 ? 1 : x < 0 ? -1 : 0;
    case 8: return 1 - y * y;
    case 9: return sigmoid(x) * (1 + x * (1 - sigmoid(x)));
    case 10: return x > 0 ? 1 : 0;
    case 11: return sigmoid(-x);
    default: return 0;
  }
}

int unary(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_unary_params*>(params);
  if (p.x.numel != p.y.numel || p.kind < 0 || p.kind > 12) return NSA_BAD_ARGUMENT;
  for (int64_t i = 0; i < p.x.numel; ++i) set(p.y, i, unary_value(p.kind, get(p.x, i)));
  return NSA_OK;
}

int unary_bwd(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_unary_bwd_params*>(params);
  if (p.x.numel != p.y.numel || p.dx.numel != p.x.numel || p.dy.numel != p.x.numel || p.kind < 0 || p.kind > 12)
    return NSA_BAD_ARGUMENT;
  for (int64_t i = 0; i < p.x.numel; ++i)
    set(p.dx, i, unary_slope(p.kind, get(p.x, i), get(p.y, i)) * get(p.dy, i));
  return NSA_OK;
}

double binary_value(int64_t kind, double a, double b) {
  switch (kind) {
    case 0: return a + b;
    case 1: return a - b;
    case 2: return a * b;
    case 3: return a / b;
    case 4: return std::min(a, b);
    case 5: return std::max(a, b);
    case 6: return a > b;
    case 7: return a >= b;
    case 8: return a == b;
    case 9: return b - a;
    default: return b / a;
  }
}

int binary(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_binary_params*>(params);
  bool one = p.b.numel == 1;
  if (p.y.numel != p.a.numel || (!one && p.b.numel != p.a.numel) || p.kind < 0 || p.kind > 8) return NSA_BAD_ARGUMENT;
  for (int64_t i = 0; i < p.a.numel; ++i) set(p.y, i, binary_value(p.kind, get(p.a, i), get(p.b, one ? 0 : i)));
  return NSA_OK;
}

int binary_scalar(void*, const void* params) {
  const auto& p = *static_cast<const Nsa_binary_scalar_params*>(params);
  if (p.y.numel != p.a.numel || p.kind < 0 || p.kind > 10) return NSA_BAD_ARGUMENT;
  for (int64_t i = 0; i < p.a.numel; ++i) set(p.y, i, binary_value(p.kind, get(p.a, i), p.value));
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

}  // namespace nsa::ref
