// The flash kernels without tensor cores.
#pragma once
#include "cuda/flash.h"

namespace nsa::cuda {
template <class T>
int flash_fwd_plain(void* ctx, const FlashArgs& a);
template <class T>
int flash_bwd_plain(void* ctx, FlashArgs a);
}  // namespace nsa::cuda
