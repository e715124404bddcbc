// SPDX-License-Identifier: Apache-2.0
#include "base/parallel.h"

#include <sched.h>

#include <cstdlib>

#include "base/error.h"

namespace ctr {

int available_threads() {
  if (const char* text = std::getenv("HUGECTR_NUM_THREADS"); text && *text) {
    char* end = nullptr;
    const long n = std::strtol(text, &end, 10);
    require(*end == 0 && n > 0 && n <= 4096, "HUGECTR_NUM_THREADS must be a positive number, got \"{}\"",
            text);
    return static_cast<int>(n);
  }
  if (const char* text = std::getenv("OMP_NUM_THREADS"))
    if (const int n = std::atoi(text); n > 0) return n;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1u, std::thread::hardware_concurrency());
}

}  // namespace ctr
