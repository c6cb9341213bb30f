// The inner loops of the dense ops on the CPU, compiled once per ISA: matrix tiles, norms, SwiGLU, softmax statistics, AdamW.
//
// All operands are f32. Sums run in a fixed order (16 lanes, then a fixed fold), so no result depends on the number of
// rows or threads.
#pragma once
#include <cstdint>

namespace nsa::cpu {

struct DenseKernels {
  // Tile of the matrix product: mr x nr registers; b is a packed panel [k][nr], a a packed strip [k][mr].
  int64_t mr, nr;
  // c[mr, nr] = (first ? 0 : c) + a·b, one fused multiply-add per element and k, in order of k.
  void (*tile)(int64_t k, const float* a, const float* b, float* c, int64_t ldc, bool first);
  float (*dot)(const float* a, const float* b, int64_t n);
  float (*sum)(const float* x, int64_t n);
  // y = alpha·x + beta·z.
  void (*axpby)(float alpha, const float* x, float beta, const float* z, float* y, int64_t n);
  void (*swiglu_fwd)(const float* g, const float* u, float* y, int64_t n);
  void (*swiglu_bwd)(const float* dy, const float* g, const float* u, float* dg, float* du, int64_t n);
  // y = x·rstd·w.
  void (*norm_scale)(const float* x, const float* w, float rstd, float* y, int64_t n);
  // Softmax statistics of scale·z: largest, Σ exp(z − top), Σ exp(z − top)·z.
  void (*softmax_stats)(float* z, float scale, int64_t n, float* top, float* sum, float* weighted);
  // z becomes scale·(dlse·p − dlogp·p − dentropy·p·(log p + entropy)) with log p = z − lse.
  void (*softmax_grad)(float* z, float lse, float entropy, float dlogp, float dlse, float dentropy, float scale, int64_t n);
  void (*adamw)(float* p, const float* g, float* m, float* v, int64_t n, float lr, float scale, float beta1, float beta2,
                float inv_c1, float inv_c2, float eps, float decay);
};

// The best set for this machine.
const DenseKernels& dense_kernels();

namespace avx512 {
extern const DenseKernels kDense;
}
namespace avx2 {
extern const DenseKernels kDense;
}
namespace baseline {
extern const DenseKernels kDense;
}

}  // namespace nsa::cpu
