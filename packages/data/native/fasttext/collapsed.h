// Scoring by the collapsed table: one float an input row for each label but the first.
#pragma once
#include <string>
#include <vector>

#include "fasttext/model_file.h"

namespace nsa::data {

class CollapsedModel {
 public:
  // Streams the matrix of a `.bin`; holds the dictionary and the table only. Throws ModelError.
  explicit CollapsedModel(const std::string& path);

  size_t labels() const { return size_t(dictionary_.nlabels); }
  // Label without its prefix.
  std::string label(size_t i) const;
  // Probabilities of all labels for each line of the text, appended to out.
  void score(std::string_view text, std::vector<float>& out) const;

 private:
  void score_line(const char* p, const char* end, float* out) const;
  Dictionary dictionary_;
  int word_ngrams_;
  uint32_t buckets_;
  FastMod mod_;
  std::vector<float> table_;  // [rows][labels - 1]
};

}  // namespace nsa::data
