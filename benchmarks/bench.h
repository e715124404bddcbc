// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <string_view>

namespace ctr::bench {

void heading(std::string_view text);
// One line of the table; `work` is what one run does, in `unit`.
void row(std::string_view what, double seconds, double work, std::string_view unit);

// The best time of one run: at least three runs, and as many as fit into half a second.
template <class Run>
double best_seconds(const Run& run) {
  using Clock = std::chrono::steady_clock;
  double best = std::numeric_limits<double>::infinity(), total = 0;
  for (int runs = 0; runs < 3 || total < 0.5; ++runs) {
    const auto start = Clock::now();
    run();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::min(best, seconds);
    total += seconds;
  }
  return best;
}

// The groups; main.cc is the table of contents.
void gemm_rates(int threads);
void hash_table_rates(int threads);
void update_rates(int threads);
void metric_rates(int threads);
void comm_rates(int threads);
void file_rates(int threads);

}  // namespace ctr::bench
