// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "device/stream.h"
#include "model/graph.h"
#include "model/plan.h"
#include "model/profile.h"
#include "model/weights.h"

namespace ctr {

// Runs a planned graph's layers on one rank: all that a prediction needs beside embeddings. All memory is
// taken at construction; a call allocates nothing.
class Forward {
 public:
  // The weights must outlive it. In training, what a Backward needs is kept.
  Forward(Graph graph, const Weights& weights, const Context& ctx, bool training);
  Forward(const Forward&) = delete;
  Forward& operator=(const Forward&) = delete;

  void run(Context& ctx, Profile* profile = nullptr) const;
  // One row a layer, in order: rows [first, first + nodes) of the profile.
  void add_rows(Profile& profile);

  const Graph& graph() const { return graph_; }
  Tensor value(int id) const { return values_[static_cast<size_t>(id)]; }
  Tensor loss(size_t label) const;        // [1]
  Tensor prediction(size_t label) const;  // [batch, dim]

 private:
  friend class Backward;
  struct Step {  // tensors of one node, resolved
    std::vector<Tensor> x, y, saved, scratch, constants;
    LayerRun run;
  };
  Tensor tensor_at(const Arena& arena, const Place& place, const Value& value) const;
  void fill_constants(const Context& ctx);
  Step resolve(size_t node) const;
  template <class Work>
  void run_node(size_t node, const Context& ctx, Profile* profile, Profile::Phase phase,
                const Work& work) const;

  Graph graph_;
  DType compute_;
  Plan plan_;
  Buffer scratch_;
  std::vector<Tensor> values_;
  std::vector<Step> steps_;
  size_t first_row_ = 0;  // in the profile
};

// Runs one node's operation, measured; its errors get the layer's name.
template <class Work>
void Forward::run_node(size_t i, const Context& ctx, Profile* profile, Profile::Phase phase,
                       const Work& work) const {
  try {
    const Aside aside(ctx, plan_.nodes[i].aside ? Lane::branch : Lane::main);
    measured(profile, ctx, first_row_ + i, phase, work);
  } catch (const Error& error) {
    throw Error(error.kind(), describe(graph_.nodes[i].spec) + ": " + error.what());
  }
}

}  // namespace ctr
