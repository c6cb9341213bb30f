// A world of ranks over files, for the plugin of the tests: each call writes its own tensor and waits for those of the others.
#pragma once
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "nsa/abi.h"

namespace file_world {

inline std::string folder;
inline int64_t rank = -1, world = 0, calls = 0;

inline size_t width_of(int32_t dtype) { return dtype == NSA_F64 || dtype == NSA_I64 ? 8 : dtype == NSA_BF16 ? 2 : dtype == NSA_U8 ? 1 : 4; }

inline int id(void*, void* bytes) {
  char text[NSA_COMM_ID] = "/tmp/nsa-world-XXXXXX";
  if (!mkdtemp(text)) return NSA_DEVICE_ERROR;
  std::memcpy(bytes, text, sizeof text);
  return NSA_OK;
}

inline int join(void*, const void* bytes, int64_t own, int64_t all) {
  folder = static_cast<const char*>(bytes);
  rank = own;
  world = all;
  return NSA_OK;
}

inline std::vector<char> read(int64_t from) {
  const std::string path = folder + "/" + std::to_string(calls) + "-" + std::to_string(from);
  while (access(path.c_str(), R_OK) != 0) usleep(1000);
  std::FILE* file = std::fopen(path.c_str(), "rb");
  std::vector<char> out;
  for (int c; (c = std::fgetc(file)) != EOF;) out.push_back(char(c));
  std::fclose(file);
  return out;
}

inline void write(const NsaBuf& b) {
  const std::string path = folder + "/" + std::to_string(calls) + "-" + std::to_string(rank);
  std::FILE* file = std::fopen((path + ".new").c_str(), "wb");
  std::fwrite(b.ptr, width_of(b.dtype), size_t(b.numel), file);
  std::fclose(file);
  std::rename((path + ".new").c_str(), path.c_str());
}

template <class T>
std::vector<T> sum() {
  std::vector<T> total;
  for (int64_t r = 0; r < world; ++r) {
    const auto bytes = read(r);
    total.resize(bytes.size() / sizeof(T));
    for (size_t i = 0; i < total.size(); ++i) {
      T value;
      std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
      total[i] += value;
    }
  }
  return total;
}

template <class T>
void reduce(const NsaComm& call) {
  const auto total = sum<T>();
  int64_t at = 0;
  if (call.verb == NSA_REDUCE_SCATTER)
    for (int64_t r = 0; r < rank; ++r) at += call.lengths[r];
  if (call.to.numel > 0) std::memcpy(call.to.ptr, total.data() + at, size_t(call.to.numel) * sizeof(T));
}

inline int run(void*, const NsaComm* call) {
  if (call->verb >= NSA_COMM_BEGIN) return NSA_OK;
  if (world == 0 || call->ranks != world) return NSA_DEVICE_ERROR;
  write(call->from);
  auto* to = static_cast<char*>(call->to.ptr);
  if (call->verb == NSA_BROADCAST) {
    const auto bytes = read(call->root);
    if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
  } else if (call->verb == NSA_ALL_GATHER) {
    for (int64_t r = 0; r < world; ++r) {
      const auto bytes = read(r);
      if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
      to += bytes.size();
    }
  } else if (call->from.dtype == NSA_F64) {
    reduce<double>(*call);
  } else {
    reduce<float>(*call);
  }
  ++calls;
  return NSA_OK;
}

}  // namespace file_world
