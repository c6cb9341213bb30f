// The fields of every op's parameters, by the list of nsa/ops.h: names, kinds and places, so that one function fills any of them.
#pragma once

#include <cstddef>

#include "nsa/ops.h"

namespace nsa::addon {

struct Field {
  const char* name;
  char kind;  // T, O, I, F
  size_t offset;
};
struct OpInfo {
  const char* name;
  const Field* fields;
  int count;
  size_t size;
};

#define NSA_ROW_T(f) {#f, 'T', offsetof(Params, f)},
#define NSA_ROW_O(f) {#f, 'O', offsetof(Params, f)},
#define NSA_ROW_I(f) {#f, 'I', offsetof(Params, f)},
#define NSA_ROW_F(f) {#f, 'F', offsetof(Params, f)},
#define NSA_DESCRIBE(op) \
  inline OpInfo describe_##op() { \
    using Params = Nsa_##op##_params; \
    static const Field fields[] = {NSA_FIELDS_##op(NSA_ROW_T, NSA_ROW_O, NSA_ROW_I, NSA_ROW_F)}; \
    return {#op, fields, int(sizeof fields / sizeof fields[0]), sizeof(Params)}; \
  }
NSA_OP_LIST(NSA_DESCRIBE)

inline const OpInfo* op_table() {
#define NSA_INFO(op) describe_##op(),
  static const OpInfo table[] = {NSA_OP_LIST(NSA_INFO)};
  return table;
}

}  // namespace nsa::addon
