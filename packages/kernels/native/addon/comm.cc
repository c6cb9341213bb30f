// Worlds of ranks: their names, joining one, and its operations on two tensors of a device.
#include <vector>

#include "addon/napi.h"

namespace nsa::addon {
namespace {

// `lengths`: the elements of each of the `world` ranks' parts.
int run(Device& d, int64_t verb, double from, double to, int64_t root, const double* lengths, int64_t world) {
  if (!d.backend->comm_run) return NSA_UNSUPPORTED;
  if (verb >= NSA_COMM_BEGIN) {
    NsaComm mark{};
    mark.verb = verb;
    return d.backend->comm_run(d.ctx, &mark);
  }
  const Slot *a = d.resolve(from), *b = d.resolve(to);
  if (!a || !b) return NSA_BAD_ARGUMENT;
  std::vector<int64_t> parts(lengths, lengths + world);
  NsaComm call{};
  call.verb = verb;
  call.from = {a->ptr, a->numel, a->dtype, 0};
  call.to = {b->ptr, b->numel, b->dtype, 0};
  call.lengths = parts.data();
  call.ranks = world;
  call.root = root;
  return d.backend->comm_run(d.ctx, &call);
}

}  // namespace

// commId(device, bytes) fills the name of a new world; commJoin(device, bytes, rank, world) enters it.
napi_value comm_id(napi_env env, napi_callback_info info) {
  Args a(env, info);
  NSA_DEVICE(d, a);
  const NsaBackend* b = d->backend;
  if (!b->comm_id) return fail(env, "unsupported", std::string("backend ") + b->name + " has no worlds of ranks");
  void* bytes = nullptr;
  size_t length = 0;
  napi_get_typedarray_info(env, a.v[1], nullptr, &length, &bytes, nullptr, nullptr);
  if (length != NSA_COMM_ID) return fail(env, "bad_argument", "the name of a world has another size");
  return a.n < 4 ? check(env, d, b->comm_id(d->ctx, bytes), "comm_id")
                 : check(env, d, b->comm_join(d->ctx, bytes, int64_t(a.num(env, 2)), int64_t(a.num(env, 3))), "comm_join");
}

// comm(device, verb, from, to, root, world), with the lengths of the ranks' parts in the shared array.
napi_value comm(napi_env env, napi_callback_info info) {
  Args a(env, info);
  NSA_DEVICE(d, a);
  if (d->recording()) return fail(env, "bad_argument", "a recorded step holds ops alone: no transfer between ranks");
  const auto world = int64_t(a.num(env, 5));
  if (world > kMaxArgs) return fail(env, "bad_argument", "more ranks than a call takes");
  return check(env, d, run(*d, int64_t(a.num(env, 1)), a.num(env, 2), a.num(env, 3), int64_t(a.num(env, 4)), g_args, world), "collective");
}

}  // namespace nsa::addon
