// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "device/arena.h"
#include "model/graph.h"
#include "optim/dense_update.h"
#include "optim/rules.h"

namespace ctr {

// All dense weights of one rank with their gradients, optimizer states and running statistics. Weights are in
// layer order, each at a multiple of a cache line, with zeros in between: gradients and each optimizer state
// likewise, so that one pass over the memory serves all of them. Files hold them packed.
class DenseParameters {
 public:
  // Also fills the initial values, drawn from ctx.seed: the same on every rank.
  DenseParameters(Context& ctx, const Graph& graph, const OptimizerSpec& optimizer, DType compute);

  int64_t count() const { return count_; }
  // The memory of all of them.
  Tensor weights() const { return weights_.whole(DType::f32); }
  Tensor gradients() const { return gradients_.whole(DType::f32); }
  Tensor optimizer_states() const {
    return optimizer_states_.whole(DType::f32);
  }  // one state after the other

  // As files hold them: [count], and [state_count * count].
  std::vector<float> packed_weights(const Context& ctx) const { return packed(ctx, weights()); }
  std::vector<float> packed_states(const Context& ctx) const { return packed(ctx, optimizer_states()); }
  void set_weights(const Context& ctx, const std::vector<float>& values) const {
    unpack(ctx, values, weights());
  }
  void set_states(const Context& ctx, const std::vector<float>& values) const {
    unpack(ctx, values, optimizer_states());
  }

  Tensor running_statistics() const { return states_.whole(DType::f32); }

  DType compute_type() const { return compute_; }
  // Copies of weights in the compute type, ascending; dense_update() writes them with the weights.
  const std::vector<WeightCopy>& copies() const { return copies_; }
  // Brings them up to date after anything else that writes the weights.
  void refresh(Context& ctx) const;

  // Tensors of one node of the graph, in the order its layer declared them.
  const std::vector<Tensor>& weights_of(size_t node) const { return node_weights_[node]; }
  // The same as layers read them: matrix factors in the compute type, the rest in f32.
  const std::vector<Tensor>& compute_weights_of(size_t node) const { return node_compute_weights_[node]; }
  const std::vector<Tensor>& gradients_of(size_t node) const { return node_gradients_[node]; }
  const std::vector<Tensor>& states_of(size_t node) const { return node_states_[node]; }

 private:
  std::vector<float> packed(const Context& ctx, const Tensor& memory) const;
  void unpack(const Context& ctx, const std::vector<float>& values, const Tensor& memory) const;
  void bind_copies(const Graph& graph, Device device);
  void initialize_node(const Context& ctx, const LayerShapes& shapes, size_t node, uint32_t& tensor_index);

  DType compute_;
  int64_t count_ = 0;
  Arena weights_{"dense weights"}, compute_weights_{"compute copies of weights"},
      gradients_{"dense gradients"}, states_{"running statistics"},
      optimizer_states_{"dense optimizer states"};
  std::vector<WeightCopy> copies_;
  std::vector<std::vector<Tensor>> node_weights_, node_compute_weights_, node_gradients_, node_states_;
};

}  // namespace ctr
