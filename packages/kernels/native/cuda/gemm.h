// The matmul as other ops call it.
#pragma once
#include "nsa/abi.h"

namespace nsa::cuda {
int gemm(void* ctx, const void* params);
}
