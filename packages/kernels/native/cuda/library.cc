// Opening shared libraries; see library.h.
#include "cuda/library.h"

#include <dlfcn.h>
#include <glob.h>

#include <cstdlib>
#include <vector>

namespace nsa::cuda {
namespace {

std::vector<std::string> candidates(const LibraryNames& names) {
  std::vector<std::string> paths;
  if (const char* given = std::getenv(names.variable)) {
    if (std::string(given) == "none") return paths;
    paths.push_back(given);
  }
  for (const char* const* name = names.names; *name; ++name) paths.push_back(*name);
  const char* cuda = std::getenv("CUDA_PATH");
  const std::string root = cuda ? cuda : "/usr/local/cuda", pattern = names.pattern;
  for (const char* folder : {"/lib64/", "/targets/x86_64-linux/lib/"}) paths.push_back(root + folder + pattern);
  std::vector<std::string> bases;
  for (const char* variable : {"VIRTUAL_ENV", "CONDA_PREFIX"})
    if (const char* folder = std::getenv(variable)) bases.push_back(std::string(folder) + "/lib/python3*");
  for (const char* base : {"/usr/lib/python3*", "/usr/local/lib/python3*", "/opt/*/lib/python3*", "/opt/*/*/lib/python3*"}) bases.push_back(base);
  if (const char* home = std::getenv("HOME")) bases.push_back(std::string(home) + "/*/lib/python3*");
  for (const std::string& base : bases)
    for (const char* site : {"/site-packages/nvidia/", "/dist-packages/nvidia/"})
      for (const char* const* package = names.packages; *package; ++package)
        paths.push_back(base + site + *package + "/lib/" + pattern);
  return paths;
}

}  // namespace

void* open_library(const LibraryNames& names, std::string* path) {
  auto open = [path](const char* name) {
    void* h = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (h && path) *path = name;
    return h;
  };
  for (const std::string& candidate : candidates(names)) {
    if (candidate.find('*') == std::string::npos) {
      if (void* h = open(candidate.c_str())) return h;
      continue;
    }
    glob_t found{};
    void* h = nullptr;
    if (glob(candidate.c_str(), 0, nullptr, &found) == 0)
      for (size_t i = 0; i < found.gl_pathc && !h; ++i) h = open(found.gl_pathv[i]);
    globfree(&found);
    if (h) return h;
  }
  return nullptr;
}

}  // namespace nsa::cuda
