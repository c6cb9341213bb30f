// N-API glue of @nsa/data and nothing else.
#include <node_api.h>

#include <cstring>
#include <memory>
#include <string>

#include "dedup/minhash.h"
#include "fasttext/collapsed.h"
#include "fasttext/row_kernels.h"
#include "fasttext/train.h"

namespace {

using nsa::data::CollapsedModel;

struct Args {
  napi_env env;
  napi_value v[8];
  size_t n = 8;
  Args(napi_env e, napi_callback_info info) : env(e) { napi_get_cb_info(e, info, &n, v, nullptr, nullptr); }
  std::string text(size_t i) const {
    size_t length = 0;
    napi_get_value_string_utf8(env, v[i], nullptr, 0, &length);
    std::string s(length, '\0');
    napi_get_value_string_utf8(env, v[i], s.data(), length + 1, &length);
    return s;
  }
  double field(size_t i, const char* name) const {
    napi_value f;
    double d = 0;
    napi_get_named_property(env, v[i], name, &f);
    napi_get_value_double(env, f, &d);
    return d;
  }
  std::string_view bytes(size_t i) const {
    void* data = nullptr;
    size_t length = 0;
    napi_get_buffer_info(env, v[i], &data, &length);
    return {static_cast<const char*>(data), length};
  }
};

napi_value fail(napi_env env, const char* code, const std::exception& e) {
  napi_throw_error(env, code, e.what());
  return nullptr;
}

void set(napi_env env, napi_value object, const char* name, double value) {
  napi_value v;
  napi_create_double(env, value, &v);
  napi_set_named_property(env, object, name, v);
}

// A typed array of four-byte elements.
napi_value typed_array(napi_env env, napi_typedarray_type type, const void* values, size_t count) {
  void* data = nullptr;
  napi_value buffer, array;
  napi_create_arraybuffer(env, count * 4, &data, &buffer);
  if (count > 0) std::memcpy(data, values, count * 4);
  napi_create_typedarray(env, type, count, buffer, 0, &array);
  return array;
}

// trainFastText(textPath, outPath, {dim, wordNgrams, minCount, epoch, bucket, lr, seed, threads}) → figures
napi_value train(napi_env env, napi_callback_info info) {
  Args a(env, info);
  nsa::data::TrainOptions o;
  o.args.dim = int32_t(a.field(2, "dim"));
  o.args.word_ngrams = int32_t(a.field(2, "wordNgrams"));
  o.args.min_count = int32_t(a.field(2, "minCount"));
  o.args.epoch = int32_t(a.field(2, "epoch"));
  o.args.bucket = int32_t(a.field(2, "bucket"));
  o.lr = a.field(2, "lr");
  o.seed = uint64_t(a.field(2, "seed"));
  o.threads = int(a.field(2, "threads"));
  try {
    const auto r = nsa::data::train_file(a.text(0), a.text(1), o);
    napi_value out;
    napi_create_object(env, &out);
    set(env, out, "words", double(r.words));
    set(env, out, "labels", double(r.labels));
    set(env, out, "tokens", double(r.tokens));
    set(env, out, "loss", r.loss);
    set(env, out, "trainSeconds", r.train_seconds);
    return out;
  } catch (const std::exception& e) {
    return fail(env, "fasttext_train", e);
  }
}

// openCollapsed(path) → handle, freed with its last reference
napi_value open_collapsed(napi_env env, napi_callback_info info) {
  Args a(env, info);
  try {
    auto model = std::make_unique<CollapsedModel>(a.text(0));
    napi_value out;
    napi_create_external(
        env, model.release(), [](napi_env, void* p, void*) { delete static_cast<CollapsedModel*>(p); }, nullptr,
        &out);
    return out;
  } catch (const std::exception& e) {
    return fail(env, "fasttext_model_bad", e);
  }
}

CollapsedModel* model_of(const Args& a) {
  void* p = nullptr;
  napi_get_value_external(a.env, a.v[0], &p);
  return static_cast<CollapsedModel*>(p);
}

// labelsOf(handle) → string[]
napi_value labels_of(napi_env env, napi_callback_info info) {
  Args a(env, info);
  const CollapsedModel* m = model_of(a);
  napi_value out, s;
  napi_create_array(env, &out);
  for (size_t i = 0; i < m->labels(); ++i) {
    const std::string label = m->label(i);
    napi_create_string_utf8(env, label.data(), label.size(), &s);
    napi_set_element(env, out, uint32_t(i), s);
  }
  return out;
}

// scoreLines(handle, buffer) → Float32Array [lines × labels]
napi_value score_lines(napi_env env, napi_callback_info info) {
  Args a(env, info);
  std::vector<float> out;
  model_of(a)->score(a.bytes(1), out);
  return typed_array(env, napi_float32_array, out.data(), out.size());
}

// minhash(buffer of newline-ended documents, {shingleWords, hashes, seed}) → Uint32Array [documents × hashes]
napi_value minhash(napi_env env, napi_callback_info info) {
  Args a(env, info);
  std::vector<uint32_t> out;
  nsa::data::minhash(a.bytes(0), int(a.field(1, "shingleWords")), int(a.field(1, "hashes")),
                     uint32_t(a.field(1, "seed")), out);
  return typed_array(env, napi_uint32_array, out.data(), out.size());
}

napi_value isa(napi_env env, napi_callback_info) {
  napi_value s;
  napi_create_string_utf8(env, nsa::data::row_kernels().isa, NAPI_AUTO_LENGTH, &s);
  return s;
}

napi_value init(napi_env env, napi_value exports) {
  const struct {
    const char* name;
    napi_callback f;
  } functions[] = {{"trainFastText", train},
                   {"openCollapsed", open_collapsed},
                   {"labelsOf", labels_of},
                   {"scoreLines", score_lines},
                   {"minhash", minhash},
                   {"isa", isa}};
  for (const auto& [name, f] : functions) {
    napi_value fn;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, f, nullptr, &fn);
    napi_set_named_property(env, exports, name, fn);
  }
  return exports;
}

}  // namespace

NAPI_MODULE(nsa_data, init)
