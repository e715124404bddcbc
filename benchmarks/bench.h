// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>
#include <vector>

namespace ctr::bench {

using Seconds = std::vector<double>;  // of each run

void heading(std::string_view text);
// One line of the table: the fastest run. `work` is what one run does, in `unit`.
void row(std::string_view what, const Seconds& runs, double work, std::string_view unit);

// How long a row's runs take together.
double seconds_per_row();

template <class Run>
double seconds_of(const Run& run) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  run();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// At least three runs, and as many as fit into seconds_per_row().
template <class Run>
Seconds time_runs(const Run& run) {
  Seconds runs;
  for (double total = 0; runs.size() < 3 || total < seconds_per_row(); total += runs.back())
    runs.push_back(seconds_of(run));
  return runs;
}

// The groups; main.cc is the table of contents.
void gemm_ceilings(int threads);
void gemm_rates(int threads);
void hash_table_rates(int threads);
void hash_table_growth(int threads);
void embedding_rates(int threads);
void update_rates(int threads);
void metric_rates(int threads);
void comm_rates(int threads);
void file_rates(int threads);
void thread_rates(int threads);

}  // namespace ctr::bench
