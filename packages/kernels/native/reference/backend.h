// The reference backend: every op as plain loops in double. Oracle of the tests and fall-back of young backends.
#pragma once
#include "nsa/abi.h"

namespace nsa::ref {
// Fills the table with every op of this backend.
void register_all(NsaOpFn* ops);
const NsaBackend* backend();
}  // namespace nsa::ref
