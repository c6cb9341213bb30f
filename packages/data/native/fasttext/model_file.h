// The `.bin` file of a supervised softmax model, upstream's version 12.
#pragma once
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>

#include "fasttext/dictionary.h"

namespace nsa::data {

struct ModelArgs {
  int32_t dim = 100, ws = 5, epoch = 5, min_count = 1, neg = 5, word_ngrams = 1, loss = 3, model = 3;
  int32_t bucket = 0, minn = 0, maxn = 0, lr_update_rate = 100;
  double t = 1e-4;
};

struct ModelError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class File {
 public:
  File(const std::string& path, const char* mode) : f_(std::fopen(path.c_str(), mode)) {
    if (!f_) throw ModelError("cannot open " + path);
  }
  ~File() {
    if (f_) std::fclose(f_);
  }
  File(const File&) = delete;
  void read(void* p, size_t n) {
    if (std::fread(p, 1, n, f_) != n) throw ModelError("the file ends too early");
  }
  void write(const void* p, size_t n) {
    if (std::fwrite(p, 1, n, f_) != n) throw ModelError("the disk is full");
  }
  template <class T>
  T get() {
    T v;
    read(&v, sizeof v);
    return v;
  }
  template <class T>
  void put(T v) {
    write(&v, sizeof v);
  }
  void seek(int64_t at) {
    if (fseeko(f_, at, SEEK_SET) != 0) throw ModelError("cannot seek");
  }
  int64_t tell() { return ftello(f_); }
  int get_char() { return std::getc(f_); }
  void close() {
    const int bad = std::fclose(f_);
    f_ = nullptr;
    if (bad != 0) throw ModelError("the disk is full");
  }

 private:
  std::FILE* f_;
};

struct ModelHeader {
  ModelArgs args;
  Dictionary dictionary;
  int64_t input_rows = 0;
  int64_t input_offset = 0;
};

// Leaves the file at the first float of the input matrix. Throws ModelError with what is wrong.
ModelHeader read_header(File& file);
void write_header(File& file, const ModelArgs& args, const Dictionary& dictionary);
void write_matrix(File& file, const float* data, int64_t rows, int64_t dim);

}  // namespace nsa::data
