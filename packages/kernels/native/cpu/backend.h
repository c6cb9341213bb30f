// The CPU backend: SIMD per ISA and a thread pool; ops it lacks fall back to the reference.
#pragma once
#include "nsa/abi.h"

namespace nsa::cpu {
const NsaBackend* backend();
}  // namespace nsa::cpu
