// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "device/buffer.h"
#include "model/weights.h"
#include "optim/rules.h"

namespace ctr {

// What training keeps beside the weights: a gradient of each, and the optimizer's states. They lie like the
// weights, so that one pass over the memory serves all of them.
class TrainState {
 public:
  // Between weights that are apart, an update without epsilon would divide zero by zero.
  static bool needs_packed_weights(const OptimizerSpec& optimizer) { return optimizer.epsilon == 0; }

  // Both must outlive it.
  TrainState(const Context& ctx, const Graph& graph, const Weights& weights, const OptimizerSpec& optimizer);

  Tensor gradients() const { return part_of(gradients_); }
  Tensor optimizer_states() const { return part_of(optimizer_states_); }  // one state after the other
  const std::vector<Tensor>& gradients_of(size_t node) const { return node_gradients_[node]; }

  // As files hold them: [state_count * count].
  std::vector<float> packed_states(const Context& ctx) const {
    return weights_.packed(ctx, optimizer_states());
  }
  void set_states(const Context& ctx, const std::vector<float>& values) const {
    weights_.unpack(ctx, values, optimizer_states());
  }

 private:
  static Tensor part_of(const Buffer& b) {
    return {DType::f32, {static_cast<int64_t>(b.bytes() / sizeof(float))}, b.data()};
  }

  const Weights& weights_;
  Buffer gradients_, optimizer_states_;
  std::vector<std::vector<Tensor>> node_gradients_;
};

}  // namespace ctr
