// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <vector>

#include "base/parallel.h"
#include "bench.h"
#include "kernels/exponential.h"

namespace ctr::bench {
namespace {

void exponentials(const std::vector<float>& x, std::vector<float>& y, int threads) {
  parallel_for(threads, std::ssize(x), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) y[static_cast<size_t>(i)] = exponential(x[static_cast<size_t>(i)]);
  });
}

}  // namespace

// What a loop costs with more threads than this machine has, and with another number than the loop before.
void thread_rates(int) {
  for (const int64_t n : {int64_t{1} << 12, int64_t{1} << 16, int64_t{1} << 20}) {
    heading(fmt::format("exp of {} floats", n));
    std::vector<float> x(static_cast<size_t>(n)), y(x.size());
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 64) - 32;
    for (const int threads : {1, 2, 8, 64})
      row(fmt::format("{} threads", threads), time_runs([&] { exponentials(x, y, threads); }),
          1e-6 * static_cast<double>(n), "M");
    row("8 and 3 threads in turns", time_runs([&] {
          exponentials(x, y, 8);
          exponentials(x, y, 3);
        }),
        2e-6 * static_cast<double>(n), "M");
  }
}

}  // namespace ctr::bench
