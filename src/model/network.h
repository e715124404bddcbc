// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "model/dense_parameters.h"
#include "model/graph.h"
#include "model/plan.h"
#include "model/profile.h"

namespace ctr {

// Runs a planned graph on one rank. All memory is taken at construction; a call allocates nothing.
class Network {
 public:
  Network(Graph graph, const DenseParameters& parameters, const Context& ctx, bool training);

  void forward(Context& ctx, Profile* profile = nullptr) const;
  // Fills the weight gradients and the gradients of embedding outputs.
  void backward(Context& ctx, Profile* profile = nullptr) const;
  // One row a layer, in order: rows [first, first + nodes) of the profile.
  void add_rows(Profile& profile);

  const Graph& graph() const { return graph_; }
  Tensor value(int id) const { return values_[static_cast<size_t>(id)]; }
  Tensor gradient(int id) const { return gradients_[static_cast<size_t>(id)]; }  // null where there is none
  Tensor loss(size_t label) const;                                               // [1]
  Tensor prediction(size_t label) const;                                         // [batch, dim]

 private:
  struct Step {  // tensors of one node, resolved
    std::vector<Tensor> x, y, saved, scratch, constants, d_x, d_y;
    LayerRun run;
  };
  Tensor tensor_at(const Arena& arena, const Place& place, const Value& value) const;
  Tensor zeroed_part(const ZeroedColumns& columns) const;
  void fill_constants(const Context& ctx);
  Step resolve(size_t node, bool training) const;
  void backward_of(size_t node, Context& ctx) const;
  template <class Work>
  void run(size_t node, const Context& ctx, Profile* profile, Profile::Phase phase, const Work& work) const;

  Graph graph_;
  DType compute_;
  Plan plan_;
  Buffer scratch_;
  std::vector<Tensor> values_, gradients_, zeroed_;
  std::vector<Step> steps_;
  size_t first_row_ = 0;  // in the profile
};

}  // namespace ctr
