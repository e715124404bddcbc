// SPDX-License-Identifier: Apache-2.0
#include "comm/comm.h"

#include <fmt/core.h>

#include <thread>

#include "bench.h"

namespace ctr::bench {
namespace {

constexpr int kRanks = 2;
constexpr int kRounds = 20;

// Times of kRounds collectives one after the other, by kRanks threads.
template <class Collective>
Seconds time_rounds(const Collective& collective) {
  auto ranks = make_local_comms(kRanks);
  return time_runs([&] {
    std::vector<std::thread> threads;
    for (auto& comm : ranks)
      threads.emplace_back([&] {
        Context ctx;
        for (int round = 0; round < kRounds; ++round) collective(ctx, *comm);
      });
    for (auto& thread : threads) thread.join();
  });
}

}  // namespace

void comm_rates(int) {
  heading(fmt::format("collectives between {} ranks in one process", kRanks));
  row("barrier", time_rounds([](Context&, Comm& comm) { comm.barrier(); }), 1e-3 * kRounds, "kcall");
  for (const int64_t n : {int64_t{1} << 10, int64_t{1} << 16, int64_t{1} << 22}) {
    std::vector<std::vector<float>> data(kRanks, std::vector<float>(static_cast<size_t>(n)));
    const Seconds seconds = time_rounds([&](Context& ctx, Comm& comm) {
      comm.all_reduce_sum(ctx, Tensor(DType::f32, {n}, data[static_cast<size_t>(comm.rank())].data()));
    });
    row(fmt::format("all_reduce_sum of {} floats", n), seconds, 4e-9 * kRounds * static_cast<double>(n),
        "GB");
  }
}

}  // namespace ctr::bench
