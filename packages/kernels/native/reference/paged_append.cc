// paged_append: rope and paged_write of one new token a row.
#include "reference/paged_append.h"

#include "reference/backend.h"
#include "reference/families.h"

namespace nsa::ref {

void register_paged_append(NsaOpFn* ops) {
  ops[NSA_OP_paged_append] = [](void* ctx, const void* params) { return paged_append(backend(), ctx, params); };
}

}  // namespace nsa::ref
