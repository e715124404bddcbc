// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <vector>

#include "bench.h"
#include "optim/dense_update.h"

namespace ctr::bench {

void update_rates(int threads) {
  heading("dense optimizer step, 16 M weights");
  constexpr int64_t kWeights = 1 << 24;
  std::vector<float> w(kWeights, 1.0f), g(kWeights, 0.01f);
  StepState state{.learning_rate = 1e-4f};
  Context ctx;
  ctx.threads = threads;
  ctx.step = &state;
  for (const auto type : {OptimizerType::sgd, OptimizerType::adagrad, OptimizerType::adam}) {
    const int states = state_count(type);
    std::vector<float> s(static_cast<size_t>(states * kWeights));
    const Tensor weights(DType::f32, {kWeights}, w.data()), grads(DType::f32, {kWeights}, g.data());
    const Tensor all_states(DType::f32, {states * kWeights}, s.data());
    state.dense_step = 0;
    const Seconds seconds = time_runs([&] {
      ++state.dense_step;
      dense_update(ctx, weights, grads, all_states, {.type = type}, {});
    });
    // Reads gradients; reads and writes weights and states.
    row(name_of(type), seconds, 1e-9 * 4 * static_cast<double>(kWeights) * (3 + 2 * states), "GB");
  }
}

}  // namespace ctr::bench
