// SPDX-License-Identifier: Apache-2.0
// hugectr_bench [group ...]: rates of single operations on this machine. Threads: HUGECTR_NUM_THREADS.
#include <algorithm>
#include <cstdio>

#include "base/parallel.h"
#include "bench.h"

namespace ctr::bench {

void heading(std::string_view text) {
  std::printf("\n%-52.*s %12s %22s\n", static_cast<int>(text.size()), text.data(), "time", "rate");
}

void row(std::string_view what, double seconds, double work, std::string_view unit) {
  std::printf("  %-50.*s %9.3f ms %12.1f %.*s/s\n", static_cast<int>(what.size()), what.data(), seconds * 1e3,
              work / seconds, static_cast<int>(unit.size()), unit.data());
  std::fflush(stdout);
}

}  // namespace ctr::bench

int main(int argc, char** argv) {
  struct Group {
    std::string_view name;
    void (*run)(int threads);
  };
  constexpr Group kGroups[] = {
      {"gemm", ctr::bench::gemm_rates},     {"hash", ctr::bench::hash_table_rates},
      {"update", ctr::bench::update_rates}, {"metrics", ctr::bench::metric_rates},
      {"comm", ctr::bench::comm_rates},     {"file", ctr::bench::file_rates},
  };
  const int threads = ctr::available_threads();
  std::printf("threads: %d\n", threads);
  for (const Group& group : kGroups)
    if (argc == 1 || std::find(argv + 1, argv + argc, group.name) != argv + argc) group.run(threads);
}
