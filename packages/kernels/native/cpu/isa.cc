#include "cpu/isa.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string>

namespace nsa::cpu {
namespace {

constexpr const char* kNames[] = {"baseline", "avx2", "avx512", "avx512-bf16", "amx-bf16"};

#if defined(__x86_64__)
// Whether the processor has tile registers with bf16 products, and the system lets this process use them: Linux grants their 8 KiB of
// state to a process that asks.
bool has_amx() {
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  constexpr unsigned kAmxBf16 = 1u << 22, kAmxTile = 1u << 24;
  if ((d & (kAmxBf16 | kAmxTile)) != (kAmxBf16 | kAmxTile)) return false;
#if defined(__linux__)
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}
#endif

Isa machine() {
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return Isa::baseline;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl") ||
      !__builtin_cpu_supports("avx512dq"))
    return Isa::avx2;
  if (!__builtin_cpu_supports("avx512bf16")) return Isa::avx512;
  return has_amx() ? Isa::amx_bf16 : Isa::avx512_bf16;
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
    for (int level = 0; level < int(std::size(kNames)); level++) {
      if (std::strcmp(asked, kNames[level])) continue;
      if (Isa(level) <= isa) isa = Isa(level);
      else error = std::string("NSA_CPU_ISA=") + asked + ": this machine has no more than " + isa_name(isa);
      return;
    }
    error = std::string("NSA_CPU_ISA=") + asked + ": not one of baseline, avx2, avx512, avx512-bf16, amx-bf16";
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
