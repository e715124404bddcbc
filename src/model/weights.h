// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "device/arena.h"
#include "model/graph.h"
#include "optim/dense_update.h"

namespace ctr {

// All dense weights of one rank with their copies in the compute type and the running statistics: what a
// model needs to run forward. Weights are in layer order, each at a multiple of a cache line with zeros in
// between, or without gaps where `packed`. Files hold them packed.
class Weights {
 public:
  // Also fills the initial values, drawn from ctx.seed: the same on every rank.
  Weights(Context& ctx, const Graph& graph, DType compute, bool packed = false);

  int64_t count() const { return count_; }
  Tensor memory() const { return values_.whole(DType::f32); }  // of all of them
  Tensor statistics() const { return statistics_.whole(DType::f32); }

  // As files hold them: [count].
  std::vector<float> packed(const Context& ctx) const { return packed(ctx, memory()); }
  void set(const Context& ctx, const std::vector<float>& values) const { unpack(ctx, values, memory()); }
  // The same of arrays that lie in `memory` like the weights, one array after the other.
  std::vector<float> packed(const Context& ctx, const Tensor& memory) const;
  void unpack(const Context& ctx, const std::vector<float>& values, const Tensor& memory) const;

  DType compute_type() const { return compute_; }
  // Copies of weights in the compute type, ascending; dense_update() writes them with the weights.
  const std::vector<WeightCopy>& copies() const { return copies_; }
  // Brings them up to date after anything else that writes the weights.
  void refresh(Context& ctx) const;

  // Tensors of one node of the graph, in the order its layer declared them.
  const std::vector<Tensor>& values_of(size_t node) const { return node_values_[node]; }
  // The same as layers read them: matrix factors in the compute type, the rest in f32.
  const std::vector<Tensor>& compute_values_of(size_t node) const { return node_compute_values_[node]; }
  const std::vector<Tensor>& statistics_of(size_t node) const { return node_statistics_[node]; }
  int64_t offset_of(const Tensor& weight) const { return weight.data<float>() - memory().data<float>(); }

 private:
  template <class Copy>
  void for_each_array(int64_t elements, const Copy& copy) const;
  void bind_copies(const Graph& graph, Device device);
  void initialize_node(const Context& ctx, const LayerShapes& shapes, size_t node, uint32_t& tensor_index);

  DType compute_;
  int64_t count_ = 0;
  Arena values_{"dense weights"}, compute_values_{"compute copies of weights"},
      statistics_{"running statistics"};
  std::vector<WeightCopy> copies_;
  std::vector<std::vector<Tensor>> node_values_, node_compute_values_, node_statistics_;
};

}  // namespace ctr
