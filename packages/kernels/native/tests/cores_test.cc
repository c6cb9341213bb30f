// Prints the quota of the control groups of a process, in CPUs: cores_test <file like /proc/self/cgroup> <folder like /sys/fs/cgroup>.
#include "cpu/cores.h"

#include <cstdio>

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  std::printf("%g\n", nsa::cpu::cgroup_quota(argv[1], argv[2]));
  return 0;
}
