// What every function of the addon is made of: its arguments, open devices, numbers, and errors with a code.
#pragma once
#include <node_api.h>

#include <memory>
#include <string>
#include <vector>

#include "addon/device.h"

namespace nsa::addon {

constexpr int kMaxArgs = 1024;
inline double g_args[kMaxArgs];
// Never destroyed: at exit a GPU's runtime may be gone before us.
inline auto& g_devices = *new std::vector<std::unique_ptr<Device>>;

inline napi_value fail(napi_env env, const char* code, const std::string& message) {
  napi_throw_error(env, code, message.c_str());
  return nullptr;
}

struct Args {
  napi_value v[6];
  size_t n = 6;
  Args(napi_env env, napi_callback_info info) { napi_get_cb_info(env, info, &n, v, nullptr, nullptr); }
  double num(napi_env env, size_t i) const {
    double d = 0;
    if (i < n) napi_get_value_double(env, v[i], &d);
    return d;
  }
  std::string str(napi_env env, size_t i) const {
    char buf[4096];
    size_t len = 0;
    if (i >= n || napi_get_value_string_utf8(env, v[i], buf, sizeof buf, &len) != napi_ok) return "";
    return std::string(buf, len);
  }
};

inline Device* device_at(double id) {
  auto i = size_t(id);
  return i < g_devices.size() ? g_devices[i].get() : nullptr;
}
#define NSA_DEVICE(d, args) \
  Device* d = device_at((args).num(env, 0)); \
  if (!d) return fail(env, "closed", "the device is closed");

inline napi_value number(napi_env env, double d) {
  napi_value v;
  napi_create_double(env, d, &v);
  return v;
}

inline const char* status_code(int status) {
  switch (status) {
    case NSA_UNSUPPORTED: return "unsupported";
    case NSA_BAD_ARGUMENT: return "bad_argument";
    case NSA_OUT_OF_MEMORY: return "out_of_memory";
    default: return "device_error";
  }
}

inline napi_value check(napi_env env, Device* d, int status, const std::string& what) {
  if (status == NSA_OK) return nullptr;
  const char* detail = d->backend->last_error ? d->backend->last_error(d->ctx) : "";
  return fail(env, status_code(status), what + ": " + status_code(status) + (detail && *detail ? std::string(" (") + detail + ")" : ""));
}

napi_value comm_id(napi_env env, napi_callback_info info);
napi_value comm(napi_env env, napi_callback_info info);

}  // namespace nsa::addon
