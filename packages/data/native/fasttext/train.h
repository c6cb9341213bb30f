// Supervised training, upstream's update in upstream's order.
#pragma once
#include <string>

#include "fasttext/model_file.h"

namespace nsa::data {

struct TrainOptions {
  ModelArgs args;
  double lr = 0.1;
  uint64_t seed = 1;
  int threads = 1;
};

struct TrainResult {
  int64_t words = 0, labels = 0, tokens = 0;
  double loss = 0;
  // Of the passes over the text alone, without counting words and writing the model.
  double train_seconds = 0;
};

// Trains on a text file (`__label__x word word …` a line) and writes a `.bin`. With one thread the result depends on
// the options, the text and the instruction set only. Throws ModelError.
TrainResult train_file(const std::string& text, const std::string& out, const TrainOptions& options);

}  // namespace nsa::data
