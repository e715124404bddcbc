// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "device/arena.h"
#include "model/graph.h"

namespace ctr {

struct NodePlan {
  bool backward = false;  // a gradient arrives here and something upstream wants it
  // Runs beside the layers between it and the first one that reads its outputs.
  bool aside = false;
  bool joins_forward = false, joins_backward = false;  // waits for what runs aside
  std::vector<GradMode> d_x_mode;
  std::vector<int> saved;  // handles in Plan::saved
  std::vector<size_t>
      scratch;  // byte offsets in a region that nodes share; those aside have parts of their own
};

// Where every tensor of a graph lives and who writes each gradient first: pure arithmetic on shapes.
struct Plan {
  Arena values{"activations"}, gradients{"activation gradients"}, saved{"saved for backward"};
  size_t scratch_bytes = 0;
  std::vector<int> value_handle;     // by value, the handle of its storage
  std::vector<int> gradient_handle;  // by value, the handle of its storage's gradient; -1 without one
  std::vector<NodePlan> nodes;
  std::vector<size_t> backward_order;  // of nodes: those aside as soon as they can
  std::vector<int> zeroed_gradients;   // storages that nobody writes but somebody reads
};

// `compute` is the storage type of activations and their gradients. Evaluation plans have neither gradients
// nor saved buffers that outlive a layer.
Plan make_plan(const Graph& graph, DType compute, bool training);

DType storage_type(const Value& value, DType compute);
DType storage_type(const BufferDef& buffer, DType compute);

}  // namespace ctr
