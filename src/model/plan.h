// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "device/arena.h"
#include "model/layout.h"

namespace ctr {

// Where a value or its gradient lies in its arena: a root's memory, from which element on, and in which runs.
struct Place {
  int handle = -1;  // -1: nowhere
  int64_t first = 0;
  Tensor::Runs runs{0, 0};  // no length: packed
  bool is_root = false;     // else it is part of another tensor's memory
};

struct NodePlan {
  bool forward = false;   // there is something to compute: neither a view nor a move in place
  bool backward = false;  // a gradient arrives here, something upstream wants it, and it is not there already
  // Runs beside the layers between it and the first one that reads its outputs.
  bool aside = false;
  bool joins_forward = false, joins_backward = false;  // waits for what runs aside
  bool weights_aside = false;  // the gradients of its weights are computed beside those of its inputs
  std::vector<GradMode> d_x_mode;
  std::vector<int> saved, scratch;  // handles in Plan::memory
  std::vector<int> constants;       // in Plan::constants
};

// Columns [first, first + width) of a root's gradient, seen as rows of `row`, that somebody reads or adds to
// before anybody writes them. Row 0: all of it.
struct ZeroedColumns {
  int root;
  int64_t row, first, width;
};

// Where every tensor of a graph lives and who writes each gradient first: pure arithmetic on shapes.
struct Plan {
  Arena memory{"activations and buffers"}, gradients{"activation gradients"},
      constants{"constants of layers"};
  std::vector<Place> value_places, gradient_places;  // by value
  std::vector<NodePlan> nodes;
  std::vector<size_t> backward_order;  // of nodes: those aside as soon as they can
  std::vector<ZeroedColumns> zeroed_gradients;
  std::vector<ColumnCopy> copies;  // that Concat, Slice and Reshape still make, and why
};

struct PlanOptions {
  DType compute = DType::f32;  // the storage type of activations and their gradients
  bool training = true;        // else there are no gradients, and memory is used again (model/liveness.h)
  LayoutOptions layout = {};
  bool keeps_sums = true;  // gradients are summed in the order in which layers run, move by move
};
// What a plan is made with on a device.
PlanOptions plan_options(Device device, DType compute, bool training);
// From now on, plans of any device are made like those of a GPU, and pad rows however short: for tests.
void plan_like_gpu(bool on);

Plan make_plan(const Graph& graph, const PlanOptions& options);

DType storage_type(const Value& value, DType compute);
DType storage_type(const BufferDef& buffer, DType compute);

}  // namespace ctr
