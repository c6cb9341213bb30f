// Finding the document of a row on the device.
#pragma once
#include <stdint.h>

namespace nsa::cuda {

// The last i < n with cu[i] <= row: among documents that start at the same row, the one that is not empty.
__device__ inline int64_t document_of(const int32_t* cu, int64_t n, int64_t row) {
  int64_t low = 0, up = n - 1;
  while (low < up) {
    int64_t mid = (low + up + 1) / 2;
    if (cu[mid] <= row) low = mid;
    else up = mid - 1;
  }
  return low;
}

}  // namespace nsa::cuda
