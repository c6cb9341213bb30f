// paged_append: rope and paged_write of one new token a row.
#include "reference/paged_append.h"

#include "cpu/backend.h"
#include "cpu/families.h"

namespace nsa::cpu {

void register_paged_append(NsaOpFn* ops) {
  ops[NSA_OP_paged_append] = [](void* ctx, const void* params) { return paged_append(backend(), ctx, params); };
}

}  // namespace nsa::cpu
