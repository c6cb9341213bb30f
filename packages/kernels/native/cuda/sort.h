// Stable radix sort of (key, value) pairs by key, on the device and without waiting.
#pragma once
#include <cuda_runtime.h>
#include <stdint.h>

namespace nsa::cuda {

// Bytes of `counts` for n pairs.
size_t sort_bytes(int64_t n);

// Sorts n pairs with keys 0 .. largest; returns the buffer that holds the result (x or y). Check launched() after.
int2* sort_entries(void* ctx, int2* x, int2* y, int32_t* counts, int64_t n, int64_t largest);

}  // namespace nsa::cuda
