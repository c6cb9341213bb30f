// Reading and writing of upstream's model file.
#include "fasttext/model_file.h"

namespace nsa::data {

constexpr int32_t kMagic = 793712314, kVersion = 12;
// The order of the header's integers.
constexpr int32_t ModelArgs::*kArgOrder[] = {
    &ModelArgs::dim,    &ModelArgs::ws,   &ModelArgs::epoch, &ModelArgs::min_count,
    &ModelArgs::neg,    &ModelArgs::word_ngrams, &ModelArgs::loss,  &ModelArgs::model,
    &ModelArgs::bucket, &ModelArgs::minn, &ModelArgs::maxn,  &ModelArgs::lr_update_rate};

ModelHeader read_header(File& f) {
  ModelHeader h;
  if (f.get<int32_t>() != kMagic) throw ModelError("wrong magic number: this is not a fastText model");
  const auto version = f.get<int32_t>();
  if (version < 11 || version > kVersion) throw ModelError("unknown version " + std::to_string(version));
  for (auto field : kArgOrder) h.args.*field = f.get<int32_t>();
  h.args.t = f.get<double>();
  if (version == 11) h.args.maxn = 0;
  if (h.args.model != 3) throw ModelError("not a supervised model");
  if (h.args.loss != 3) throw ModelError("its loss is not softmax, so it cannot be collapsed");
  if (h.args.maxn > 0) throw ModelError("it uses character n-grams (maxn > 0)");
  const auto size = f.get<int32_t>();
  f.get<int32_t>();
  f.get<int32_t>();
  h.dictionary.ntokens = f.get<int64_t>();
  if (f.get<int64_t>() >= 0) throw ModelError("it is pruned (quantized with a cutoff)");
  std::string word;
  for (int32_t i = 0; i < size; ++i) {
    word.clear();
    for (int c; (c = f.get_char()) != 0;) {
      if (c == EOF || word.size() > (1 << 20)) throw ModelError("a word without an end: the file is corrupt");
      word.push_back(char(c));
    }
    const auto count = f.get<int64_t>();
    f.get<int8_t>();
    h.dictionary.insert(word, hash_word(word), count);
  }
  h.dictionary.finish();
  if (f.get<uint8_t>() != 0) throw ModelError("it is quantized (.ftz)");
  h.input_rows = f.get<int64_t>();
  if (f.get<int64_t>() != h.args.dim || h.input_rows != h.dictionary.nwords + int64_t(h.args.bucket))
    throw ModelError("the input matrix does not fit the dictionary");
  h.input_offset = f.tell();
  return h;
}

void write_header(File& f, const ModelArgs& args, const Dictionary& d) {
  f.put(kMagic);
  f.put(kVersion);
  for (auto field : kArgOrder) f.put<int32_t>(args.*field);
  f.put<double>(args.t);
  f.put<int32_t>(int32_t(d.entries().size()));
  f.put<int32_t>(d.nwords);
  f.put<int32_t>(d.nlabels);
  f.put<int64_t>(d.ntokens);
  f.put<int64_t>(-1);
  for (size_t id = 0; id < d.entries().size(); ++id) {
    const auto word = d.word(int32_t(id));
    f.write(word.data(), word.size());
    f.put<uint8_t>(0);
    f.put<int64_t>(d.entries()[id].count);
    f.put<int8_t>(d.entries()[id].label ? 1 : 0);
  }
}

void write_matrix(File& f, const float* data, int64_t rows, int64_t dim) {
  f.put<uint8_t>(0);
  f.put<int64_t>(rows);
  f.put<int64_t>(dim);
  f.write(data, size_t(rows) * size_t(dim) * sizeof(float));
}

}  // namespace nsa::data
