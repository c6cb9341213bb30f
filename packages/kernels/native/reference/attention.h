// Pieces shared by the attention ops of the reference backend: documents, and one query head against a list of keys.
#pragma once
#include <algorithm>
#include <vector>

#include "reference/common.h"

namespace nsa::ref {

// Number of compressed blocks (or dense keys, with block_size = stride = 1) that lie wholly at or before token t.
inline int64_t visible_blocks(int64_t t, int64_t block_size, int64_t stride) {
  return t + 1 < block_size ? 0 : (t + 1 - block_size) / stride + 1;
}

// Element offsets of one key and its value.
struct KeyAt {
  int64_t k, v;
};

// The operands of softmax attention for one query head: q at q_at against the listed keys.
struct Attend {
  const NsaBuf &q, &k, &v;
  int64_t dim_k, dim_v;
  double scale;

  double score(int64_t q_at, int64_t k_at) const {
    double s = 0;
    for (int64_t c = 0; c < dim_k; ++c) s += get(q, q_at + c) * get(k, k_at + c);
    return s * scale;
  }

  // Writes o and returns the natural log of the softmax's denominator; no key gives o = 0 and −inf.
  double forward(int64_t q_at, const std::vector<KeyAt>& keys, const NsaBuf& o, int64_t o_at) const {
    std::vector<double> s(keys.size()), sum(dim_v, 0.0);
    double top = -std::numeric_limits<double>::infinity(), total = 0;
    for (size_t i = 0; i < keys.size(); ++i) top = std::max(top, s[i] = score(q_at, keys[i].k));
    for (size_t i = 0; i < keys.size(); ++i) {
      double p = std::exp(s[i] - top);
      total += p;
      for (int64_t c = 0; c < dim_v; ++c) sum[c] += p * get(v, keys[i].v + c);
    }
    for (int64_t c = 0; c < dim_v; ++c) set(o, o_at + c, keys.empty() ? 0 : sum[c] / total);
    return top + std::log(total);
  }

  // Adds this head's gradients: dq [dim_k] and, at the offsets of k and v, dk and dv.
  //   p = exp(s − lse), ds = p·(do·v − do·o)
  void backward(int64_t q_at, const std::vector<KeyAt>& keys, double lse, const NsaBuf& o, const NsaBuf& do_, int64_t o_at,
                std::vector<double>& dq, std::vector<double>& dk, std::vector<double>& dv) const {
    double delta = 0;
    for (int64_t c = 0; c < dim_v; ++c) delta += get(do_, o_at + c) * get(o, o_at + c);
    for (const KeyAt& at : keys) {
      double p = std::exp(score(q_at, at.k) - lse), dp = 0;
      for (int64_t c = 0; c < dim_v; ++c) {
        dp += get(do_, o_at + c) * get(v, at.v + c);
        dv[at.v + c] += p * get(do_, o_at + c);
      }
      double ds = p * (dp - delta) * scale;
      for (int64_t c = 0; c < dim_k; ++c) {
        dq[q_at + c] += ds * get(k, at.k + c);
        dk[at.k + c] += ds * get(q, q_at + c);
      }
    }
  }
};

// Writes [rows, cols] of a gradient held in double, ld apart; adds to what is there when `add`.
inline void store_rows(const NsaBuf& to, const std::vector<double>& from, int64_t rows, int64_t cols, int64_t ld, bool add) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < cols; ++c) set(to, r * ld + c, from[r * ld + c] + (add ? get(to, r * ld + c) : 0.0));
}

}  // namespace nsa::ref
