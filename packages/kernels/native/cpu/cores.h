// How many threads this process may run at once: its CPU affinity (taskset, Slurm, cpusets), cut by a quota of its control group (containers).
#pragma once
#ifdef __linux__
#include <sched.h>
#endif

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <thread>

namespace nsa::cpu {

// CPUs of the quota of one control group, from the text of its cpu.max ("200000 100000" is two); 0 where there is no limit.
inline double quota_of(std::istream& text) {
  std::string quota;
  double period = 0;
  if (!(text >> quota >> period) || quota == "max" || period <= 0) return 0;
  return std::atof(quota.c_str()) / period;
}

// The least quota of this process's control group and of those above it (version 2), in CPUs; 0 where there is no limit.
// `groups_file` names the groups of the process, `root` is where their folders are.
inline double cgroup_quota(const char* groups_file = "/proc/self/cgroup", const std::string& root = "/sys/fs/cgroup") {
  std::ifstream groups(groups_file);
  std::string line, path = "/";
  while (std::getline(groups, line))
    if (line.rfind("0::/", 0) == 0) path = line.substr(3);
  double least = 0;
  for (;;) {
    std::ifstream file(root + path + "/cpu.max");
    const double quota = quota_of(file);
    if (quota > 0 && (least == 0 || quota < least)) least = quota;
    if (path.size() <= 1) return least;
    path.resize(std::max<size_t>(1, path.find_last_of('/')));
  }
}

// At least 1. Where affinity cannot be read, the number of CPUs of the machine.
inline int usable_cores() {
  int cores = int(std::thread::hardware_concurrency());
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cores = CPU_COUNT(&set);
  if (const double quota = cgroup_quota(); quota > 0) cores = std::min(cores, int(std::ceil(quota)));
#endif
  return std::max(1, cores);
}

}  // namespace nsa::cpu
