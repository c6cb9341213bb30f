// The sum of rows as other ops call it.
#pragma once
namespace nsa::cuda {
int col_sum(void* ctx, const void* params);
}
