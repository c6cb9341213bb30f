// rope and paged_write as other ops call them.
#pragma once

namespace nsa::cuda {
int rope(void* ctx, const void* params);
int paged_write(void* ctx, const void* params);
}  // namespace nsa::cuda
