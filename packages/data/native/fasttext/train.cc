// hidden = mean of the rows of a line; p = softmax(W_out · hidden); a_i = lr (1[i = y] - p_i);
// rows += (sum_i a_i W_out[i]) / |rows|; W_out[i] += a_i hidden. lr falls linearly with the tokens read.
#include "fasttext/train.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <thread>
#include <vector>

#include "fasttext/row_kernels.h"

namespace nsa::data {
namespace {

class MappedFile {
 public:
  explicit MappedFile(const std::string& path) {
    fd_ = open(path.c_str(), O_RDONLY);
    struct stat st {};
    if (fd_ < 0 || fstat(fd_, &st) != 0) throw ModelError("cannot open " + path);
    size_ = size_t(st.st_size);
    if (size_ == 0) throw ModelError(path + " is empty");
    data_ = static_cast<char*>(mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd_, 0));
    if (data_ == MAP_FAILED) throw ModelError("cannot map " + path);
  }
  ~MappedFile() {
    if (data_ && data_ != MAP_FAILED) munmap(data_, size_);
    if (fd_ >= 0) close(fd_);
  }
  MappedFile(const MappedFile&) = delete;
  std::string_view text() const { return {data_, size_}; }

 private:
  int fd_ = -1;
  char* data_ = nullptr;
  size_t size_ = 0;
};

// Rows are visited at random: huge pages save a translation miss a row.
class Matrix {
 public:
  Matrix(int64_t rows, int64_t dim) : bytes_(size_t(rows) * size_t(dim) * sizeof(float)) {
    constexpr size_t kHuge = size_t(2) << 20;
    mapped_ = (bytes_ + 2 * kHuge - 1) / kHuge * kHuge;
    base_ = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base_ == MAP_FAILED) throw ModelError("not enough memory for the matrix");
    const auto aligned = (reinterpret_cast<uintptr_t>(base_) + kHuge - 1) / kHuge * kHuge;
    data = reinterpret_cast<float*>(aligned);
#ifdef MADV_HUGEPAGE
    madvise(data, bytes_, MADV_HUGEPAGE);
#endif
  }
  ~Matrix() { munmap(base_, mapped_); }
  Matrix(const Matrix&) = delete;
  float* data;

 private:
  size_t bytes_, mapped_;
  void* base_;
};

uint64_t splitmix(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

class Trainer {
 public:
  Trainer(std::string_view text, const TrainOptions& o, const Dictionary& d)
      : text_(text), o_(o), dict_(d), mod_(std::max(1, o.args.bucket)), k_(row_kernels()),
        rows_(d.nwords + int64_t(o.args.bucket)), input_(rows_, o.args.dim),
        output_(size_t(d.nlabels) * o.args.dim, 0.0f) {
    const double scale = 1.0 / o.args.dim;
    const size_t n = size_t(rows_) * o.args.dim;
    for (size_t i = 0; i < n; ++i)
      input_.data[i] = float((double(splitmix(o.seed * 0x9e3779b97f4a7c15ull + i) >> 11) * 0x1p-52 - 1.0) * scale);
  }

  void run() {
    total_ = dict_.ntokens * o_.args.epoch;
    std::vector<std::thread> others;
    for (int t = 1; t < o_.threads; ++t) others.emplace_back([this, t] { work(t); });
    work(0);
    for (auto& t : others) t.join();
  }

  void save(const std::string& path) {
    File f(path, "wb");
    write_header(f, o_.args, dict_);
    write_matrix(f, input_.data, rows_, o_.args.dim);
    write_matrix(f, output_.data(), dict_.nlabels, o_.args.dim);
    f.close();
  }
  double loss() const { return examples_ > 0 ? loss_ / double(examples_) : 0; }

 private:
  // Thread t trains on its share of the lines, `epoch` times.
  void work(int t) {
    const size_t size = text_.size();
    auto line_start = [&](size_t at) {
      if (at == 0 || at >= size) return std::min(at, size);
      const size_t nl = text_.find('\n', at - 1);
      return nl == std::string_view::npos ? size : nl + 1;
    };
    const size_t from = line_start(size * size_t(t) / size_t(o_.threads));
    const size_t to = line_start(size * size_t(t + 1) / size_t(o_.threads));
    const int dim = o_.args.dim, labels = dict_.nlabels;
    std::vector<float> hidden(dim), grad(dim), p(labels);
    std::vector<int32_t> rows;
    std::vector<int32_t> targets;
    int64_t local = 0;
    uint64_t random = splitmix(o_.seed + uint64_t(t));
    double lr = o_.lr, loss = 0;
    int64_t examples = 0;
    for (int epoch = 0; epoch < o_.args.epoch; ++epoch) {
      for (size_t at = from; at < to;) {
        const size_t nl = std::min(text_.find('\n', at), size);
        rows.clear();
        targets.clear();
        local += walk_line(
            dict_, mod_, o_.args.word_ngrams, uint32_t(o_.args.bucket), text_.data() + at, text_.data() + nl,
            [&](int32_t row) { rows.push_back(row); }, [&](int32_t label) { targets.push_back(label); });
        at = nl + 1;
        if (!rows.empty() && !targets.empty()) {
          random = splitmix(random);
          loss += step(rows, targets[random % targets.size()], float(lr), hidden, grad, p);
          ++examples;
        }
        if (local > o_.args.lr_update_rate) {
          const int64_t seen = seen_.fetch_add(local) + local;
          local = 0;
          lr = o_.lr * std::max(0.0, 1.0 - double(seen) / double(total_));
        }
      }
    }
    if (t == 0) {
      loss_ = loss;
      examples_ = examples;
    }
  }

  double step(const std::vector<int32_t>& rows, int32_t target, float lr, std::vector<float>& hidden,
              std::vector<float>& grad, std::vector<float>& p) {
    const size_t dim = size_t(o_.args.dim);
    const int labels = dict_.nlabels;
    k_.mean_rows(input_.data, rows.data(), rows.size(), dim, hidden.data());
    float max = -INFINITY;
    for (int i = 0; i < labels; ++i) max = std::max(max, p[i] = k_.dot(&output_[i * dim], hidden.data(), dim));
    double z = 0;
    for (int i = 0; i < labels; ++i) z += p[i] = std::exp(p[i] - max);
    std::fill(grad.begin(), grad.end(), 0.0f);
    for (int i = 0; i < labels; ++i) {
      p[i] = float(p[i] / z);
      const float alpha = lr * ((i == target ? 1.0f : 0.0f) - p[i]);
      k_.axpy(grad.data(), &output_[i * dim], alpha, dim);
      k_.axpy(&output_[i * dim], hidden.data(), alpha, dim);
    }
    const float scale = 1.0f / float(rows.size());
    for (float& g : grad) g *= scale;
    k_.add_to_rows(input_.data, rows.data(), rows.size(), dim, grad.data());
    return -std::log(p[target] + 1e-5);
  }

  std::string_view text_;
  const TrainOptions& o_;
  const Dictionary& dict_;
  FastMod mod_;
  const RowKernels& k_;
  int64_t rows_;
  Matrix input_;
  std::vector<float> output_;
  std::atomic<int64_t> seen_{0};
  int64_t total_ = 0, examples_ = 0;
  double loss_ = 0;
};

}  // namespace

TrainResult train_file(const std::string& text, const std::string& out, const TrainOptions& options) {
  MappedFile file(text);
  Dictionary dict;
  dict.count_text(file.text());
  dict.threshold(options.args.min_count);
  if (dict.nlabels < 2)
    throw ModelError(text + " has " + std::to_string(dict.nlabels) + " distinct labels; a classifier needs two");
  Trainer trainer(file.text(), options, dict);
  const auto start = std::chrono::steady_clock::now();
  trainer.run();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  trainer.save(out);
  return {dict.nwords, dict.nlabels, dict.ntokens, trainer.loss(), took.count()};
}

}  // namespace nsa::data
