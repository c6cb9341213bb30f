// fill, copy, add: the elementwise ops without a kind.
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

}  // namespace

void register_elementwise(NsaOpFn* ops) {
  ops[NSA_OP_fill] = fill;
  ops[NSA_OP_copy] = copy;
  ops[NSA_OP_add] = add;
}

}  // namespace nsa::ref
