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

// The element type of a tensor between layers.
enum class ValueType : uint8_t { compute, f32, i32, i64 };  // compute: that of the network's activations

struct OutputDef {
  // NOLINTNEXTLINE(google-explicit-constructor): most outputs are nothing but a shape
  OutputDef(const Shape& shape, ValueType type = ValueType::compute, std::string name = "")
      : shape(shape), type(type), name(std::move(name)) {}
  OutputDef(std::initializer_list<int64_t> extents) : shape(extents) {}

  Shape shape;
  ValueType type = ValueType::compute;
  std::string name;  // of what it is, where a layer has several
};

// Columns [source, source + width) of an input's rows, unchanged, are columns [target, target + width) of an
// output's.
struct ColumnMove {
  int input, output;
  int64_t source, target, width;
};

// Which tensors may lie in runs (base/tensor.h), their gradients with them: none, such with runs of a row of
// the last dimension, of everything of one element of the first dimension, or of any length, as long as all
// have the same.
enum class Strided : uint8_t { no, rows, samples, runs };

// Numbers that kernels read, known when the layer is made.
struct ConstantDef {
  explicit ConstantDef(const std::vector<float>& values)
      : ConstantDef(DType::f32, values.data(), values.size()) {}
  explicit ConstantDef(const std::vector<int32_t>& values)
      : ConstantDef(DType::i32, values.data(), values.size()) {}

  DType dtype;
  Shape shape;
  std::vector<std::byte> bytes;

 private:
  ConstantDef(DType dtype, const void* values, size_t n) : dtype(dtype), shape{static_cast<int64_t>(n)} {
    const auto* first = static_cast<const std::byte*>(values);
    bytes.assign(first, first + n * size_of(dtype));
  }
};

// What a layer needs for given inputs. The planner owns all memory; a layer only declares it.
struct LayerShapes {
  std::vector<OutputDef> outputs;
  std::vector<WeightDef> weights = {};
  std::vector<StateDef> states = {};
  std::vector<BufferDef> saved = {};    // written by forward, read by backward
  std::vector<BufferDef> scratch = {};  // alive within one call only
  std::vector<ConstantDef> constants = {};
  Strided strided_inputs = Strided::no, strided_outputs = Strided::no;
  // Every output is input 0 under another shape: the planner shares the storage and never calls the layer.
  bool is_view = false;
  // All that the layer does is to move columns between matrices of `move_rows` rows. Where the planner finds
  // one place for both sides of a move, nothing is left of it; any tensor may be strided.
  std::vector<ColumnMove> moves = {};
  int64_t move_rows = 0;
  bool splits_backward = false;  // backward_weights() computes something
  double flops = 0;              // of one forward pass where a matrix product dominates: for the profile
};

// The inputs of a layer and where it will run.
struct InferContext {
  std::span<const Shape> shapes;
  std::span<const ValueType> types = {};
  Backend backend = Backend::cpu;

  const Shape& operator[](size_t i) const { return shapes[i]; }
  size_t size() const { return shapes.size(); }
  auto begin() const { return shapes.begin(); }
  auto end() const { return shapes.end(); }
};

// How backward writes the gradient of one input: not at all, as its first writer, or on top of other
// consumers'.
enum class GradMode : uint8_t { skip, overwrite, accumulate };

// Everything one call sees. d_w is always overwritten: a weight belongs to one layer. Backward may use d_y
// up: nobody reads it afterwards.
struct LayerRun {
  std::span<const Tensor> x, y, w, state, saved, scratch, constants;
  std::span<const Tensor> d_x, d_y,
      d_w;  // empty in forward; d_x[i] is not to be touched where its mode is skip
  std::span<const GradMode> d_x_mode;
  std::span<const ColumnMove> moves;  // LayerShapes::moves, and their matrices' rows
  int64_t move_rows = 0;
  std::string_view name;  // of the layer as the user wrote it, its first top: keys the dropout mask
  int64_t samples = 1;    // of this rank's part of the batch, padding included
  bool training = false;

  bool wants(size_t i) const { return d_x_mode[i] != GradMode::skip; }
  bool accumulates(size_t i) const { return d_x_mode[i] == GradMode::accumulate; }
};

// Immutable description of one layer's computation; owns no memory and holds no back end branch. Inputs,
// outputs and their gradients are in the network's compute type unless the layer says otherwise, all else is
// f32. Loss layers have two outputs, in f32: the mean loss over valid rows [1] and the prediction
// (probabilities), and their backward scales with 1 / global_rows and the loss scale.
class Layer {
 public:
  virtual ~Layer() = default;
  // Throws invalid_argument with the shapes when they do not fit; the graph adds the layer's name.
  virtual LayerShapes infer(const InferContext& inputs) const = 0;
  virtual void forward(Context&, const LayerRun&) const = 0;

  // Backward is three calls, so that the planner can run the gradients of weights beside those of inputs:
  // what both begin with; d_w, without scratch; d_x, and d_w where one pass makes both.
  virtual void begin_backward(Context&, const LayerRun&) const {}
  virtual void backward_weights(Context&, const LayerRun&) const {}
  virtual void backward(Context&, const LayerRun&) const = 0;
};

// All of backward, one after the other.
inline void run_backward(const Layer& layer, Context& ctx, const LayerRun& run) {
  layer.begin_backward(ctx, run);
  layer.backward_weights(ctx, run);
  layer.backward(ctx, run);
}

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
  LabelRule labels = {};           // of a loss
  bool is_of_two_classes = false;  // a loss whose predictions are a pair: metrics see the second
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
void require_equal_shapes(const InferContext& inputs);

// All layers, in alphabetical order. catalog.cc is the table of contents of the layer library.
const std::vector<LayerDef>& layer_catalog();
// By name or alias; an unknown name lists the candidates.
const LayerDef& find_layer(std::string_view name);

}  // namespace ctr
