// SPDX-License-Identifier: Apache-2.0
#include "base/parallel.h"

#include <sched.h>

#include <cstdlib>

namespace ctr {

int available_threads() {
  for (const char* name : {"HUGECTR_NUM_THREADS", "OMP_NUM_THREADS"}) {
    if (const char* text = std::getenv(name))
      if (const int n = std::atoi(text); n > 0) return n;
  }
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1u, std::thread::hardware_concurrency());
}

}  // namespace ctr
