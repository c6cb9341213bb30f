// N-API glue and nothing else: every op goes through one function driven by the field table of nsa/ops.h.
//
// A call writes its fields as doubles into a shared array (handles, integers below 2^53, floats), then calls
// run(device, op); integers and handles are exact as doubles.
#include <cstddef>
#include <cstring>
#include <string>

#include "addon/napi.h"
#include "addon/op_table.h"

namespace nsa::addon {
namespace {

constexpr size_t kMaxParams = 1024;

// open(name, plugin, threads, ordinal, memory limit in bytes, write ops down where there are no graphs)
napi_value open(napi_env env, napi_callback_info info) {
  Args a(env, info);
  std::string error;
  auto d = Device::open(a.str(env, 0), a.str(env, 1), int64_t(a.num(env, 2)), int64_t(a.num(env, 3)), error);
  if (!d) return fail(env, "unavailable", error);
  d->set_limit(int64_t(a.num(env, 4)));
  if (a.num(env, 5) != 0) d->record_ops();
  g_devices.push_back(std::move(d));
  return number(env, double(g_devices.size() - 1));
}

napi_value close(napi_env env, napi_callback_info info) {
  Args a(env, info);
  NSA_DEVICE(d, a);
  g_devices[size_t(a.num(env, 0))].reset();
  return nullptr;
}

napi_value run(napi_env env, napi_callback_info info) {
  Args a(env, info);
  NSA_DEVICE(d, a);
  auto op = int64_t(a.num(env, 1));
  if (op < 0 || op >= NSA_OP_COUNT) return fail(env, "bad_argument", "no such op");
  const OpInfo& desc = op_table()[op];
  if (!d->backend->ops[op]) return fail(env, "unsupported", std::string(desc.name) + ": not built for backend " + d->backend->name);
  alignas(16) char params[kMaxParams];
  for (int i = 0; i < desc.count; ++i) {
    const Field& f = desc.fields[i];
    double v = g_args[i];
    if (f.kind == 'I') {
      *reinterpret_cast<int64_t*>(params + f.offset) = int64_t(v);
    } else if (f.kind == 'F') {
      *reinterpret_cast<double*>(params + f.offset) = v;
    } else {
      NsaBuf b{};
      if (v != 0) {
        Slot* s = d->resolve(v);
        if (!s) return fail(env, "stale_handle", std::string(desc.name) + ": tensor '" + f.name + "' was freed");
        if (s->first_op < 0) s->first_op = int32_t(op);
        b.ptr = s->ptr;
        b.numel = s->numel;
        b.dtype = s->dtype;
      } else if (f.kind == 'T') {
        return fail(env, "bad_argument", std::string(desc.name) + ": tensor '" + f.name + "' is missing");
      }
      *reinterpret_cast<NsaBuf*>(params + f.offset) = b;
    }
  }
  if (d->recording()) {
    d->record(op, params, desc.size);
    return nullptr;
  }
  return check(env, d, d->backend->ops[op](d->ctx, params), desc.name);
}

napi_value alloc(napi_env env, napi_callback_info info) {
  Args a(env, info);
  NSA_DEVICE(d, a);
  double h = d->alloc(int64_t(a.num(env, 1)), int32_t(a.num(env, 2)));
  if (h == 0) {
    auto mib = [](double bytes) { return std::to_string(int64_t(bytes / 1048576 + 0.5)) + " MiB"; };
    double wanted = a.num(env, 1) * double(dtype_size(int32_t(a.num(env, 2))));
    return fail(env, "out_of_memory", mib(wanted) + " wanted, " + mib(double(d->live_bytes())) + " in use, " + mib(double(d->reserved_bytes())) + " taken from the device");
  }
  return number(env, h);
}

napi_value view(napi_env env, napi_callback_info info) {
  Args a(env, info);
  NSA_DEVICE(d, a);
  if (!d->resolve(a.num(env, 1))) return fail(env, "stale_handle", "view of a freed tensor");
  double h = d->view(a.num(env, 1), int64_t(a.num(env, 2)), int64_t(a.num(env, 3)));
  if (h == 0) return fail(env, "bad_argument", "view outside its tensor");
  return number(env, h);
}

napi_value release(napi_env env, napi_callback_info info) {
  Args a(env, info);
  NSA_DEVICE(d, a);
  if (!d->free(a.num(env, 1))) return fail(env, "stale_handle", "free of a freed tensor");
  return nullptr;
}

napi_value is_live(napi_env env, napi_callback_info info) {
  Args a(env, info);
  NSA_DEVICE(d, a);
  napi_value v;
  napi_get_boolean(env, d->resolve(a.num(env, 1)) != nullptr, &v);
  return v;
}

// transfer(device, handle, typedArray, elementOffset, toDevice)
napi_value transfer(napi_env env, napi_callback_info info) {
  Args a(env, info);
  NSA_DEVICE(d, a);
  Slot* s = d->resolve(a.num(env, 1));
  if (!s) return fail(env, "stale_handle", "transfer of a freed tensor");
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, a.v[2], &type, &length, &data, nullptr, nullptr) != napi_ok)
    return fail(env, "bad_argument", "transfer needs a typed array");
  static const size_t sizes[] = {1, 1, 1, 2, 2, 4, 4, 4, 8, 8, 8};
  size_t element = dtype_size(s->dtype);
  auto offset = int64_t(a.num(env, 3));
  if (sizes[type] != element || offset < 0 || offset + int64_t(length) > s->numel)
    return fail(env, "bad_argument", "typed array and tensor do not fit");
  char* p = s->ptr + size_t(offset) * element;
  bool to_device = a.num(env, 4) != 0;
  if (d->recording()) return fail(env, "bad_argument", "a recorded step holds ops alone: no transfer between host and device");
  int status = to_device ? d->backend->upload(d->ctx, p, data, length * element) : d->backend->download(d->ctx, data, p, length * element);
  return check(env, d, status, to_device ? "write" : "read");
}

// fetch(device, slot, handle): begins a download of the whole tensor.
napi_value fetch(napi_env env, napi_callback_info info) {
  Args a(env, info);
  NSA_DEVICE(d, a);
  auto slot = int64_t(a.num(env, 1));
  Slot* s = d->resolve(a.num(env, 2));
  if (!s) return fail(env, "stale_handle", "fetch of a freed tensor");
  if (slot < 0 || slot >= Device::kFetches) return fail(env, "bad_argument", "a fetch has slot 0 to 7");
  if (d->recording()) return fail(env, "bad_argument", "a recorded step holds ops alone: no transfer between host and device");
  size_t bytes = size_t(s->numel) * dtype_size(s->dtype);
  if (d->backend->fetch_begin) return check(env, d, d->backend->fetch_begin(d->ctx, slot, s->ptr, bytes), "fetch");
  d->fetched[slot].resize(bytes);
  return check(env, d, d->backend->download(d->ctx, d->fetched[slot].data(), s->ptr, bytes), "fetch");
}

// fetched(device, slot, typedArray): waits for it.
napi_value fetched(napi_env env, napi_callback_info info) {
  Args a(env, info);
  NSA_DEVICE(d, a);
  auto slot = int64_t(a.num(env, 1));
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, a.v[2], &type, &length, &data, nullptr, nullptr) != napi_ok)
    return fail(env, "bad_argument", "fetched needs a typed array");
  static const size_t sizes[] = {1, 1, 1, 2, 2, 4, 4, 4, 8, 8, 8};
  size_t bytes = length * sizes[type];
  if (slot < 0 || slot >= Device::kFetches) return fail(env, "bad_argument", "a fetch has slot 0 to 7");
  if (d->backend->fetch_end) return check(env, d, d->backend->fetch_end(d->ctx, slot, data, bytes), "fetched");
  if (bytes != d->fetched[slot].size()) return fail(env, "bad_argument", "typed array and fetch do not fit");
  std::memcpy(data, d->fetched[slot].data(), bytes);
  return nullptr;
}

napi_value sync(napi_env env, napi_callback_info info) {
  Args a(env, info);
  NSA_DEVICE(d, a);
  return check(env, d, d->backend->sync(d->ctx), "sync");
}

napi_value stats(napi_env env, napi_callback_info info) {
  Args a(env, info);
  NSA_DEVICE(d, a);
  if (a.num(env, 1) != 0) d->reset_peak();
  napi_value o;
  napi_create_object(env, &o);
  napi_set_named_property(env, o, "liveBytes", number(env, double(d->live_bytes())));
  napi_set_named_property(env, o, "peakBytes", number(env, double(d->peak_bytes())));
  napi_set_named_property(env, o, "reservedBytes", number(env, double(d->reserved_bytes())));
  napi_set_named_property(env, o, "handles", number(env, double(d->live_handles)));
  return o;
}

// Owners of live memory: handle, bytes, first op that took it (−1: none) of each, one after another.
napi_value tenants(napi_env env, napi_callback_info info) {
  Args a(env, info);
  NSA_DEVICE(d, a);
  napi_value list;
  napi_create_array(env, &list);
  uint32_t n = 0;
  const auto& slots = d->slots();
  for (size_t i = 1; i < slots.size(); ++i) {
    const Slot& s = slots[i];
    if (!s.used || s.parent != 0) continue;
    napi_set_element(env, list, n++, number(env, Device::handle_of(uint32_t(i), s)));
    napi_set_element(env, list, n++, number(env, double(s.numel) * double(dtype_size(s.dtype))));
    napi_set_element(env, list, n++, number(env, s.first_op));
  }
  return list;
}

napi_value describe(napi_env env, napi_callback_info info) {
  Args a(env, info);
  NSA_DEVICE(d, a);
  char json[4096] = "{}";
  d->backend->info(d->ctx, json, sizeof json);
  napi_value v;
  napi_create_string_utf8(env, json, NAPI_AUTO_LENGTH, &v);
  return v;
}

napi_value supports(napi_env env, napi_callback_info info) {
  Args a(env, info);
  NSA_DEVICE(d, a);
  auto op = int64_t(a.num(env, 1));
  napi_value v;
  napi_get_boolean(env, op >= 0 && op < NSA_OP_COUNT && d->backend->ops[op] != nullptr, &v);
  return v;
}

// capture(device, verb, graph): 0 begin, 1 end -> graph, 2 launch, 3 destroy, 4 available?
napi_value capture(napi_env env, napi_callback_info info) {
  Args a(env, info);
  NSA_DEVICE(d, a);
  const NsaBackend* b = d->backend;
  auto verb = int(a.num(env, 1));
  if (verb == 4) return number(env, d->can_capture() ? 1 : 0);
  if (!d->can_capture()) return fail(env, "unsupported", std::string("backend ") + b->name + " has no captured steps");
  auto graph = int64_t(a.num(env, 2));
  if (verb == 0) return check(env, d, d->capture_begin(), "capture_begin");
  if (verb == 1) {
    graph = d->capture_end();
    return graph < 0 ? check(env, d, NSA_DEVICE_ERROR, "capture_end") : number(env, double(graph));
  }
  if (verb == 2) return check(env, d, d->graph_launch(graph), "graph_launch");
  d->graph_destroy(graph);
  return nullptr;
}

// arena(device, verb, arena): 0 make -> arena, 1 enter, 2 leave, 3 free
napi_value arena(napi_env env, napi_callback_info info) {
  Args a(env, info);
  NSA_DEVICE(d, a);
  auto verb = int(a.num(env, 1));
  auto which = int64_t(a.num(env, 2));
  if (verb == 0) return number(env, double(d->arena_make()));
  if (verb == 1) return check(env, d, d->arena_enter(which), "arena");
  if (verb == 2) return check(env, d, d->arena_leave(), "arena");
  d->arena_free(which);
  return nullptr;
}

// timer(device, slot) marks; timer(device, from, to) gives milliseconds.
napi_value timer(napi_env env, napi_callback_info info) {
  Args a(env, info);
  NSA_DEVICE(d, a);
  if (!d->backend->mark) return fail(env, "unsupported", "this backend has no device clock");
  if (a.n < 3) return check(env, d, d->backend->mark(d->ctx, int64_t(a.num(env, 1))), "mark");
  return number(env, d->backend->elapsed_ms(d->ctx, int64_t(a.num(env, 1)), int64_t(a.num(env, 2))));
}

// range(device, name): a range of an outside profiler; "" ends the innermost.
napi_value range(napi_env env, napi_callback_info info) {
  Args a(env, info);
  NSA_DEVICE(d, a);
  std::string name = a.str(env, 1);
  if (d->backend->range) d->backend->range(d->ctx, name.empty() ? nullptr : name.c_str());
  return nullptr;
}

// plans(device, verb, text): 0 -> text of the plans in use, 1 takes text in, 2 tunes from now on
napi_value plans(napi_env env, napi_callback_info info) {
  Args a(env, info);
  NSA_DEVICE(d, a);
  auto verb = int64_t(a.num(env, 1));
  std::string text;
  auto call = d->backend->plans;
  if (call && verb == 1) {
    size_t length = 0;
    napi_get_value_string_utf8(env, a.v[2], nullptr, 0, &length);
    text.resize(length + 1);
    napi_get_value_string_utf8(env, a.v[2], text.data(), text.size(), &length);
    if (call(d->ctx, 1, text.data(), int64_t(length)) < 0) return fail(env, "bad_argument", "these are no matmul plans");
    return nullptr;
  }
  if (call && verb == 2) call(d->ctx, 2, nullptr, 0);
  if (call && verb == 0) {
    text.resize(size_t(call(d->ctx, 0, nullptr, 0)));
    call(d->ctx, 0, text.data(), int64_t(text.size()));
  }
  napi_value v;
  napi_create_string_utf8(env, text.c_str(), text.size(), &v);
  return v;
}

napi_value op_list(napi_env env) {
  napi_value list;
  napi_create_array_with_length(env, NSA_OP_COUNT, &list);
  for (int i = 0; i < NSA_OP_COUNT; ++i) {
    const OpInfo& op = op_table()[i];
    napi_value o, name, fields;
    napi_create_object(env, &o);
    napi_create_string_utf8(env, op.name, NAPI_AUTO_LENGTH, &name);
    napi_set_named_property(env, o, "name", name);
    std::string text;
    for (int f = 0; f < op.count; ++f) text += std::string(f ? " " : "") + op.fields[f].kind + op.fields[f].name;
    napi_create_string_utf8(env, text.c_str(), text.size(), &fields);
    napi_set_named_property(env, o, "fields", fields);
    napi_set_element(env, list, uint32_t(i), o);
  }
  return list;
}

napi_value init(napi_env env, napi_value exports) {
  struct { const char* name; napi_callback fn; } table[] = {
      {"open", open}, {"close", close}, {"run", run}, {"alloc", alloc}, {"view", view}, {"free", release},
      {"isLive", is_live}, {"transfer", transfer}, {"fetch", fetch}, {"fetched", fetched}, {"sync", sync}, {"stats", stats}, {"info", describe},
      {"supports", supports}, {"capture", capture}, {"timer", timer},
      {"arena", arena}, {"commId", comm_id}, {"commJoin", comm_id}, {"comm", comm}, {"tenants", tenants}, {"range", range}, {"plans", plans}};
  for (auto& e : table) {
    napi_value f;
    napi_create_function(env, e.name, NAPI_AUTO_LENGTH, e.fn, nullptr, &f);
    napi_set_named_property(env, exports, e.name, f);
  }
  napi_value buffer, args;
  napi_create_external_arraybuffer(env, g_args, sizeof g_args, nullptr, nullptr, &buffer);
  napi_create_typedarray(env, napi_float64_array, kMaxArgs, buffer, 0, &args);
  napi_set_named_property(env, exports, "args", args);
  napi_set_named_property(env, exports, "ops", op_list(env));
  return exports;
}

}  // namespace
}  // namespace nsa::addon

NAPI_MODULE_INIT() { return nsa::addon::init(env, exports); }
