// The instruction set that the CPU backend's kernels are chosen for.
#pragma once

namespace nsa::cpu {

// Each level has all before it. On other processors than x86-64 there is only the first.
enum class Isa { baseline, avx2, avx512, avx512_bf16, amx_bf16 };

// What this machine has, or the lower level that NSA_CPU_ISA names: machines that differ then run the same kernels.
Isa isa();
const char* isa_name(Isa isa);

// Empty when NSA_CPU_ISA is unset or names a level that this machine has, else what is wrong with it.
const char* isa_error();

}  // namespace nsa::cpu
