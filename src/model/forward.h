// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "device/stream.h"
#include "model/graph.h"
#include "model/plan.h"
#include "model/profile.h"
#include "model/weights.h"

namespace ctr {

// Runs a planned graph's layers on one rank: all that a prediction needs beside embeddings. It takes its
// memory when it is made, for the largest batch; smaller ones lie in the same memory.
class Forward {
 public:
  // The weights must outlive it. In training, what a Backward needs is kept.
  Forward(Graph graph, const Weights& weights, const Context& ctx, bool training);
  Forward(const Forward&) = delete;
  Forward& operator=(const Forward&) = delete;

  // Gets ready for batches of fewer samples, of which `graph` is the same model's. False where the model
  // depends on how many there are.
  bool add_size(Graph graph);
  // What follows is about batches of so many samples; false where it has not got ready for them.
  bool choose_size(int64_t samples);
  int64_t samples() const { return current_->samples; }

  // Allocates nothing.
  void run(Context& ctx, Profile* profile = nullptr) const;
  // One row a layer, in order: rows [first, first + nodes) of the profile.
  void add_rows(Profile& profile);

  const Graph& graph() const { return graph_; }  // of the largest batch
  Tensor value(int id) const { return current_->values[static_cast<size_t>(id)]; }
  Tensor loss(size_t label) const;        // [1]
  Tensor prediction(size_t label) const;  // [samples, dim]

 private:
  friend class Backward;
  struct Step {  // tensors of one node, resolved
    std::vector<Tensor> x, y, saved, scratch, constants;
    LayerRun run;
  };
  struct Size {  // all tensors of a batch of so many samples
    int64_t samples;
    std::vector<Tensor> values;
    std::vector<Step> steps;
  };
  Tensor tensor_at(const Arena& arena, const Place& place, const Value& value) const;
  void fill_constants(const Context& ctx);
  void add(const Graph& graph);
  Step resolve(const Node& node, const NodePlan& plan, const std::vector<Tensor>& values) const;
  template <class Work>
  void run_node(size_t node, const Context& ctx, Profile* profile, Profile::Phase phase,
                const Work& work) const;

  Graph graph_;
  const Weights& weights_;
  bool training_;
  Plan plan_;
  std::vector<std::unique_ptr<Size>> sizes_;  // the largest first
  const Size* current_ = nullptr;
  size_t first_row_ = 0;  // in the profile
};

// Numbers of samples that batches of up to `largest` are rounded up to, so that what is prepared for each
// number, such as matrix products, is prepared for few: a quarter apart at most. Ends with `largest`.
std::vector<int64_t> batch_sizes(int64_t largest);

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
