// The rotary op as other ops call it.
#pragma once

namespace nsa::cuda {
int rope(void* ctx, const void* params);
}  // namespace nsa::cuda
