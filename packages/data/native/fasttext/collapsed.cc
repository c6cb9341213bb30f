// logit_i - logit_0 = mean over rows of W_in[row] · (W_out[i] - W_out[0]): the dot products are made once.
#include "fasttext/collapsed.h"

#include <algorithm>
#include <cmath>

#include "fasttext/row_kernels.h"

namespace nsa::data {

CollapsedModel::CollapsedModel(const std::string& path) : mod_(1) {
  File f(path, "rb");
  ModelHeader h = read_header(f);
  const auto dim = size_t(h.args.dim);
  const int64_t output_at = h.input_offset + h.input_rows * int64_t(dim) * 4;
  f.seek(output_at);
  if (f.get<uint8_t>() != 0) throw ModelError("its output is quantized");
  const auto labels = f.get<int64_t>();
  if (f.get<int64_t>() != h.args.dim || labels != h.dictionary.nlabels || labels < 2)
    throw ModelError("the output matrix does not fit the labels");
  std::vector<float> output(size_t(labels) * dim);
  f.read(output.data(), output.size() * 4);
  for (int64_t i = labels - 1; i >= 0; --i)
    for (size_t k = 0; k < dim; ++k) output[size_t(i) * dim + k] -= output[k];

  const auto others = size_t(labels - 1);
  table_.resize(size_t(h.input_rows) * others);
  constexpr int64_t kBlock = 4096;
  std::vector<float> block(size_t(kBlock) * dim);
  const RowKernels& kernels = row_kernels();
  f.seek(h.input_offset);
  for (int64_t row = 0; row < h.input_rows; row += kBlock) {
    const auto n = size_t(std::min(kBlock, h.input_rows - row));
    f.read(block.data(), n * dim * 4);
    for (size_t r = 0; r < n; ++r)
      for (size_t i = 0; i < others; ++i)
        table_[(size_t(row) + r) * others + i] = kernels.dot(&block[r * dim], &output[(i + 1) * dim], dim);
  }
  word_ngrams_ = h.args.word_ngrams;
  buckets_ = uint32_t(h.args.bucket);
  mod_ = FastMod(std::max<uint64_t>(1, buckets_));
  dictionary_ = std::move(h.dictionary);
}

std::string CollapsedModel::label(size_t i) const {
  return std::string(dictionary_.word(dictionary_.nwords + int32_t(i)).substr(kLabelPrefix.size()));
}

void CollapsedModel::score_line(const char* p, const char* end, float* out) const {
  const size_t others = labels() - 1;
  int64_t count = 0;
  if (others == 1) {
    double sum = 0;
    walk_line(
        dictionary_, mod_, word_ngrams_, buckets_, p, end,
        [&](int32_t row) {
          sum += table_[size_t(row)];
          ++count;
        },
        [](int32_t) {});
    const double p1 = 1.0 / (1.0 + std::exp(count > 0 ? -sum / double(count) : 0.0));
    out[0] = float(1.0 - p1);
    out[1] = float(p1);
    return;
  }
  std::vector<double> logits(others + 1, 0.0);
  walk_line(
      dictionary_, mod_, word_ngrams_, buckets_, p, end,
      [&](int32_t row) {
        const float* t = &table_[size_t(row) * others];
        for (size_t i = 0; i < others; ++i) logits[i + 1] += t[i];
        ++count;
      },
      [](int32_t) {});
  double max = 0, z = 0;
  for (double& l : logits) max = std::max(max, l = count > 0 ? l / double(count) : 0.0);
  for (double& l : logits) z += l = std::exp(l - max);
  for (size_t i = 0; i <= others; ++i) out[i] = float(logits[i] / z);
}

void CollapsedModel::score(std::string_view text, std::vector<float>& out) const {
  for (size_t at = 0; at < text.size();) {
    const size_t nl = std::min(text.find('\n', at), text.size());
    out.resize(out.size() + labels());
    score_line(text.data() + at, text.data() + nl, out.data() + out.size() - labels());
    at = nl + 1;
  }
}

}  // namespace nsa::data
