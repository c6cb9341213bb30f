// cuBLASLt without its headers: dlopened, with the few declarations that a matmul needs; plans are cached per shape.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>
#include <string>

#include "nsa/abi.h"

namespace nsa::cuda {

struct CublasLt;

// Null when no library was found; cublaslt_describe says which, or why not.
CublasLt* cublaslt_open();
void cublaslt_close(CublasLt* lt);
std::string cublaslt_describe(const CublasLt* lt);

// Column-major: D[m,n] = alpha·op(A)·op(B) + beta·C. Types are bf16 or f32; accumulation is f32.
struct LtMatmul {
  const void *a, *b, *c;
  void* d;
  int64_t m, n, k, lda, ldb, ldd;
  bool trans_a, trans_b, a_bf16, d_bf16;
  float alpha, beta;
};
// From now on a new shape is timed with several algorithms and takes the fastest; not inside captured steps.
void cublaslt_tune(CublasLt* lt, const NsaScratch& scratch);
// The algorithm of every shape met so far, a line each; and its inverse for shapes to come.
std::string cublaslt_plans(const CublasLt* lt);
bool cublaslt_read_plans(CublasLt* lt, const std::string& lines);
// False when the library refuses this shape; `why` then says so.
bool cublaslt_matmul(CublasLt* lt, const LtMatmul& p, void* workspace, size_t workspace_bytes, cudaStream_t stream, std::string& why);

}  // namespace nsa::cuda
