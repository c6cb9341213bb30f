// The matrix product of the CPU backend: packed panels, one register tile per ISA, tasks over blocks of C.
#pragma once
#include <vector>

#include "cpu/matmul_bf16.h"
#include "cpu/vec.h"
#include "nsa/abi.h"

namespace nsa::cpu {

// A as [rows, k] or B as [n, k]: element (i, l) lies at x[at + i·row_step + l·k_step]; one of the steps is 1.
struct MatmulSide {
  NsaBuf x;
  int64_t at, row_step, k_step;
};

struct MatmulOut {
  NsaBuf c;
  int64_t at, ldc;
  float alpha, beta;
  NsaBuf bias;      // ptr null: none
  NsaBuf residual;  // leading dimension ldc; ptr null: none
};

// The inner loops of one ISA; bf16 is null where the machine has no bf16 dot product.
struct GemmKernels {
  const VecKernels* vec;
  const Bf16Kernels* bf16;
};
struct NamedKernels {
  const char* name;
  GemmKernels kernels;
};
// Every set that this machine can run, best last.
const std::vector<NamedKernels>& gemm_kernel_sets();
const GemmKernels& gemm_kernels();

// C[m,n] = alpha·A·Bᵀ + beta·C + bias + residual. f32 or bf16 in and out, f32 sums over k in order (when both sides are bf16
// and the machine has the dot product, in order of pairs, see Bf16Kernels): an element does not depend on m, n, the threads
// or the blocks. Returns NsaStatus.
int matmul(void* ctx, int64_t m, int64_t n, int64_t k, const MatmulSide& a, const MatmulSide& b, const MatmulOut& out,
           const GemmKernels& kernels = gemm_kernels());

}  // namespace nsa::cpu
