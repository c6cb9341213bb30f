// Tensor maps of the bulk copy engine (sm_90): a matrix of bf16 rows in global memory, copied as swizzled panels of 64 columns.
#pragma once
#include <cuda.h>
#include <cuda_runtime.h>
#include <stdint.h>

#include "cuda/context.h"

namespace nsa::cuda {

// The map of `rows` rows of `cols` bf16, ld elements apart, copied `box_rows` (at most 256) at a time into panels laid out as by
// tile_offset. The base and ld are multiples of 16 bytes. Copies past the last row bring zeros. The driver's function is found at
// run time, since the library is not linked to it.
inline int tensor_map(void* ctx, CUtensorMap& map, const void* base, int64_t rows, int64_t cols, int64_t ld, int box_rows) {
  using Encode = decltype(&cuTensorMapEncodeTiled);
  static const Encode encode = [] {
    void* f = nullptr;
    cudaDriverEntryPointQueryResult found{};
    const bool ok = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &f, 12000, cudaEnableDefault, &found) == cudaSuccess;
    return reinterpret_cast<Encode>(ok && found == cudaDriverEntryPointSuccess ? f : nullptr);
  }();
  if (!encode) return fail(ctx, NSA_DEVICE_ERROR, "the driver has no cuTensorMapEncodeTiled");
  const cuuint64_t size[2] = {cuuint64_t(cols), cuuint64_t(rows > 0 ? rows : 1)}, stride[1] = {cuuint64_t(ld) * 2};
  const cuuint32_t box[2] = {64, cuuint32_t(box_rows)}, step[2] = {1, 1};
  const CUresult status = encode(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, const_cast<void*>(base), size, stride, box, step, CU_TENSOR_MAP_INTERLEAVE_NONE,
                                 CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return status == CUDA_SUCCESS ? NSA_OK : fail(ctx, NSA_DEVICE_ERROR, "cuTensorMapEncodeTiled failed");
}

}  // namespace nsa::cuda
