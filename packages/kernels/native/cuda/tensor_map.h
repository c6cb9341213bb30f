// Tensor maps of the bulk copy engine (sm_90): a matrix of bf16 rows in global memory, copied as swizzled panels of 64 columns.
#pragma once
#include <cuda.h>
#include <cuda_runtime.h>
#include <stdint.h>

#include "cuda/context.h"

namespace nsa::cuda {

// A map of `rank` sizes, contiguous first; strides, in bytes, of those after it. Boxes are 64 elements wide. The driver's function is found
// at run time, since the library is not linked to it.
inline int encode_map(void* ctx, CUtensorMap& map, const void* base, int rank, const cuuint64_t* size, const cuuint64_t* stride, const cuuint32_t* box) {
  using Encode = decltype(&cuTensorMapEncodeTiled);
  static const Encode encode = [] {
    void* f = nullptr;
    cudaDriverEntryPointQueryResult found{};
    const bool ok = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &f, 12000, cudaEnableDefault, &found) == cudaSuccess;
    return reinterpret_cast<Encode>(ok && found == cudaDriverEntryPointSuccess ? f : nullptr);
  }();
  if (!encode) return fail(ctx, NSA_DEVICE_ERROR, "the driver has no cuTensorMapEncodeTiled");
  const cuuint32_t step[3] = {1, 1, 1};
  const CUresult status = encode(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, cuuint32_t(rank), const_cast<void*>(base), size, stride, box, step,
                                 CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                                 CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return status == CUDA_SUCCESS ? NSA_OK : fail(ctx, NSA_DEVICE_ERROR, "cuTensorMapEncodeTiled failed");
}

// The map of `rows` rows of `cols` bf16, ld elements apart, copied `box_rows` (at most 256) at a time into panels laid out as by
// tile_offset. The base and ld are multiples of 16 bytes. Copies past the last row bring zeros.
inline int tensor_map(void* ctx, CUtensorMap& map, const void* base, int64_t rows, int64_t cols, int64_t ld, int box_rows) {
  const cuuint64_t size[2] = {cuuint64_t(cols), cuuint64_t(rows > 0 ? rows : 1)}, stride[1] = {cuuint64_t(ld) * 2};
  const cuuint32_t box[2] = {64, cuuint32_t(box_rows)};
  return encode_map(ctx, map, base, 2, size, stride, box);
}

// The map of `rows` rows of `heads` heads of `dim`, ld elements from row to row, whose heads are copied `box_heads` at a time: as many rows
// of a panel.
inline int heads_map(void* ctx, CUtensorMap& map, const void* base, int64_t rows, int64_t heads, int64_t dim, int64_t ld, int box_heads) {
  const cuuint64_t size[3] = {cuuint64_t(dim), cuuint64_t(heads), cuuint64_t(rows > 0 ? rows : 1)}, stride[2] = {cuuint64_t(dim) * 2, cuuint64_t(ld) * 2};
  const cuuint32_t box[3] = {64, cuuint32_t(box_heads), 1};
  return encode_map(ctx, map, base, 3, size, stride, box);
}

}  // namespace nsa::cuda
