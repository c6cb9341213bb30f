// The AMX kernels over emulated tile registers.
#define NSA_EMULATE_TILES
#include "cpu/matmul_amx.cc"
