// Shared libraries that the plugin opens at run time, where they are: by a variable, the loader's path, the CUDA folder, or Python's.
#pragma once
#include <string>

namespace nsa::cuda {

struct LibraryNames {
  // Holds a path, or `none`.
  const char* variable;
  // For dlopen, best first; null ends the list.
  const char* names[4];
  // What a folder of libraries holds, with `*`.
  const char* pattern;
  // Folders of Python packages, below site-packages/nvidia; null ends the list.
  const char* packages[3];
};

// A handle of dlopen, or null; `path` then says which was opened.
void* open_library(const LibraryNames& names, std::string* path = nullptr);

}  // namespace nsa::cuda
