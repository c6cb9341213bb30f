// The write into a paged cache as other ops call it.
#pragma once

namespace nsa::cuda {
int paged_write(void* ctx, const void* params);
}  // namespace nsa::cuda
