// SPDX-License-Identifier: Apache-2.0
// hugectr_bench [--json] [--seconds S] [group ...]: rates of single operations on this machine, as a table or
// as one JSON object a line with the time of every run. S is for one row. Threads: HUGECTR_NUM_THREADS.
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/parallel.h"
#include "bench.h"

namespace ctr::bench {
namespace {

struct Output {
  bool json = false;
  double seconds = 0.5;
  std::string heading;
};
Output output;

}  // namespace

double seconds_per_row() { return output.seconds; }

void heading(std::string_view text) {
  output.heading = text;
  if (!output.json) fmt::print("\n{:<52} {:>12} {:>22}\n", text, "time", "rate");
}

void row(std::string_view what, const Seconds& runs, double work, std::string_view unit) {
  const double best = *std::min_element(runs.begin(), runs.end());
  if (output.json)
    fmt::print(R"({{"group": "{}", "row": "{}", "unit": "{}/s", "work": {}, "seconds": [{:.4g}]}})"
               "\n",
               output.heading, what, unit, work, fmt::join(runs, ", "));
  else
    fmt::print("  {:<50} {:9.3f} ms {:12.1f} {}/s\n", what, best * 1e3, work / best, unit);
  std::fflush(stdout);
}

}  // namespace ctr::bench

int main(int argc, char** argv) {
  using namespace ctr::bench;
  struct Group {
    std::string_view name;
    void (*run)(int threads);
  };
  constexpr Group kGroups[] = {
      {"ceiling", gemm_ceilings},    {"gemm", gemm_rates},           {"hash", hash_table_rates},
      {"growth", hash_table_growth}, {"embedding", embedding_rates}, {"update", update_rates},
      {"metrics", metric_rates},     {"comm", comm_rates},           {"file", file_rates},
      {"threads", thread_rates},
  };
  std::vector<std::string_view> wanted;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--json")
      output.json = true;
    else if (argument == "--seconds" && i + 1 < argc)
      output.seconds = std::atof(argv[++i]);
    else
      wanted.push_back(argument);
  }
  const int threads = ctr::available_threads();
  if (!output.json) fmt::print("threads: {}\n", threads);
  for (const Group& group : kGroups)
    if (wanted.empty() || std::find(wanted.begin(), wanted.end(), group.name) != wanted.end())
      group.run(threads);
}
