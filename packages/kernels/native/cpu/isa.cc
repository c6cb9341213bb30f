#include "cpu/isa.h"

#include <cstdlib>
#include <cstring>
#include <string>

namespace nsa::cpu {
namespace {

constexpr const char* kNames[] = {"baseline", "avx2", "avx512", "avx512-bf16"};

Isa machine() {
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return Isa::baseline;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl") ||
      !__builtin_cpu_supports("avx512dq"))
    return Isa::avx2;
  return __builtin_cpu_supports("avx512bf16") ? Isa::avx512_bf16 : Isa::avx512;
#else
  return Isa::baseline;
#endif
}

struct Choice {
  Isa isa = machine();
  std::string error;

  Choice() {
    const char* asked = std::getenv("NSA_CPU_ISA");
    if (!asked || !*asked) return;
    for (int level = 0; level < 4; level++) {
      if (std::strcmp(asked, kNames[level])) continue;
      if (Isa(level) <= isa) isa = Isa(level);
      else error = std::string("NSA_CPU_ISA=") + asked + ": this machine has no more than " + isa_name(isa);
      return;
    }
    error = std::string("NSA_CPU_ISA=") + asked + ": not one of baseline, avx2, avx512, avx512-bf16";
  }
};

const Choice& choice() {
  static const Choice made;
  return made;
}

}  // namespace

Isa isa() { return choice().isa; }
const char* isa_name(Isa isa) { return kNames[int(isa)]; }
const char* isa_error() { return choice().error.c_str(); }

}  // namespace nsa::cpu
