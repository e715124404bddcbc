// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor.h"
#include "device/context.h"
#include "layers/initializer.h"
#include "layers/params.h"

namespace ctr {

struct WeightDef {  // trainable; order is the order in the dense model file
  std::string name;
  Shape shape;
  Initializer initializer;
  // A matrix factor: read in the network's compute type, from a copy refreshed after each update. Others stay
  // f32.
  bool in_compute_type = false;
};
struct StateDef {  // not trainable, saved beside the weights: running statistics
  std::string name;
  Shape shape;
  float initial;
};
struct BufferDef {
  DType dtype;
  Shape shape;
  bool in_compute_type = false;  // overrides dtype
};

// What a layer needs for given input shapes. The planner owns all memory; a layer only declares it.
struct LayerShapes {
  std::vector<Shape> outputs;
  std::vector<WeightDef> weights = {};
  std::vector<StateDef> states = {};
  std::vector<BufferDef> saved = {};    // written by forward, read by backward
  std::vector<BufferDef> scratch = {};  // alive within one call only
  // Every output is input 0 under another shape: the planner shares the storage and never calls the layer.
  bool is_view = false;
  double flops = 0;  // of one forward pass where a matrix product dominates: for the profile
};

// How backward writes the gradient of one input: not at all, as its first writer, or on top of other
// consumers'.
enum class GradMode : uint8_t { skip, overwrite, accumulate };

// Everything one call sees. d_w is always overwritten: a weight belongs to one layer. backward() may use d_y
// up: nobody reads it afterwards.
struct LayerRun {
  std::span<const Tensor> x, y, w, state, saved, scratch;
  std::span<const Tensor> d_x, d_y, d_w;  // empty in forward; d_x[i] is null where d_x_mode[i] is skip
  std::span<const GradMode> d_x_mode;
  std::string_view name;  // of the layer as the user wrote it, its first top: keys the dropout mask
  int64_t samples = 1;    // of this rank's part of the batch, padding included
  bool training = false;

  bool wants(size_t i) const { return d_x_mode[i] != GradMode::skip; }
  bool accumulates(size_t i) const { return d_x_mode[i] == GradMode::accumulate; }
};

// Immutable description of one layer's computation; owns no memory and holds no back end branch. Inputs,
// outputs and their gradients are in the network's compute type, all else is f32. Loss layers have two
// outputs, in f32: the mean loss over valid rows [1] and the prediction (probabilities), and their backward
// scales with 1 / global_rows and the loss scale.
class Layer {
 public:
  virtual ~Layer() = default;
  // Throws invalid_argument with the shapes when they do not fit; the graph adds the layer's name.
  virtual LayerShapes infer(std::span<const Shape> inputs) const = 0;
  virtual void forward(Context&, const LayerRun&) const = 0;
  virtual void backward(Context&, const LayerRun&) const = 0;
};

// The labels of a loss are probabilities, from 0 to 1.
struct LabelRule {
  bool may_be_missing = false;  // below -0.5: such a label has neither value nor gradient
  bool is_bounded = false;      // other labels do not make the loss unbounded: a warning, no error
};

struct LayerDef {
  std::string name;  // as in Layer_t and in graph files
  std::vector<std::string> aliases = {};
  std::string doc;
  int min_inputs = 1;
  int max_inputs = 1;  // -1: any number
  // Further names that are accepted: buffers between fused kernels in other releases. Such a bottom is not
  // read, such a top is another name of the first.
  int spare_bottoms = 0, spare_tops = 0;
  std::vector<ParamDef> params = {};
  bool is_loss = false;
  LabelRule labels = {};  // of a loss
  std::unique_ptr<Layer> (*create)(const Params&) = nullptr;
};

// LayerDef::create of a layer that is made from its parameters, or from nothing.
template <class L>
std::unique_ptr<Layer> make_layer(const Params& params) {
  if constexpr (std::is_constructible_v<L, const Params&>)
    return std::make_unique<L>(params);
  else
    return std::make_unique<L>();
}

// Throws unless all inputs have one shape.
void require_equal_shapes(std::span<const Shape> inputs);

// All layers, in alphabetical order. catalog.cc is the table of contents of the layer library.
const std::vector<LayerDef>& layer_catalog();
// By name or alias; an unknown name lists the candidates, one of a layer still to come throws unsupported.
const LayerDef& find_layer(std::string_view name);

}  // namespace ctr
