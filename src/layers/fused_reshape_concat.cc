// SPDX-License-Identifier: Apache-2.0
#include "base/checked.h"
#include "kernels/columns.h"
#include "layers/mover.h"

namespace ctr {
namespace {

// [batch, slots, sum of the last dimensions] of inputs [batch, slots, …].
Shape joined(const InferContext& inputs) {
  Shape y = inputs[0];
  require(y.rank() == 3, "its inputs must be [batch, slots, width], got {}", to_string(y));
  for (const Shape& x : inputs.shapes.subspan(1)) {
    require(x.rank() == 3 && x[0] == y[0] && x[1] == y[1],
            "its inputs must have one batch and number of slots, got {} and {}", to_string(inputs[0]),
            to_string(x));
    y.set(2, y[2] + x[2]);
  }
  return y;
}

class FusedReshapeConcatGeneral final : public Mover {
 public:
  LayerShapes infer(const InferContext& inputs) const override {
    const Shape y = joined(inputs);
    LayerShapes shapes{.outputs = {{checked_product(y[0], y[1]), y[2]}}, .is_view = inputs.size() == 1};
    shapes.move_rows = y[0] * y[1];
    int64_t at = 0;
    for (size_t i = 0; i < inputs.size(); at += inputs[i++][2])
      shapes.moves.push_back({static_cast<int>(i), 0, 0, at, inputs[i][2]});
    return shapes;
  }
};

// The last slot goes to an output of its own.
class FusedReshapeConcat final : public Layer {
 public:
  LayerShapes infer(const InferContext& inputs) const override {
    const Shape y = joined(inputs);
    require(y[1] >= 2, "needs two slots at least, a history and the last, got {}", to_string(inputs[0]));
    return {.outputs = {{{checked_product(y[0], y[1] - 1), y[2]}, ValueType::compute, "history"},
                        {{y[0], y[2]}, ValueType::compute, "last"}},
            .strided_outputs = Strided::rows};
  }
  void forward(Context& ctx, const LayerRun& run) const override {
    int64_t at = 0;
    for (const Tensor& x : run.x) {
      const Shape& s = x.shape();
      copy_columns(ctx, history(x), run.y[0], s[0] * (s[1] - 1), {0, at, s[2]}, false);
      copy_columns(ctx, x, run.y[1], s[0], {(s[1] - 1) * s[2], at, s[2]}, false);
      at += s[2];
    }
  }
  void backward(Context& ctx, const LayerRun& run) const override {
    int64_t at = 0;
    for (size_t i = 0; i < run.x.size(); ++i) {
      const Shape& s = run.x[i].shape();
      if (run.wants(i)) {
        const bool add = run.accumulates(i);
        copy_columns(ctx, run.d_y[0], history(run.d_x[i]), s[0] * (s[1] - 1), {at, 0, s[2]}, add);
        copy_columns(ctx, run.d_y[1], run.d_x[i], s[0], {at, (s[1] - 1) * s[2], s[2]}, add);
      }
      at += s[2];
    }
  }

 private:
  // All slots but the last of a packed tensor.
  static Tensor history(const Tensor& x) {
    const Shape& s = x.shape();
    const int64_t slots = s[1] - 1;
    return {x.dtype(), {s[0], slots, s[2]}, x.raw(), {slots * s[2], s[1] * s[2]}};
  }
};

}  // namespace

LayerDef fused_reshape_concat_layer() {
  return {
      .name = "FusedReshapeConcat",
      .doc =
          "joins [batch, slots, width] tensors along the last dimension, and gives all slots but the last as "
          "[batch (slots - 1), width] and the last as [batch, width]",
      .max_inputs = -1,
      .create = make_layer<FusedReshapeConcat>};
}

LayerDef fused_reshape_concat_general_layer() {
  return {.name = "FusedReshapeConcatGeneral",
          .doc = "joins [batch, slots, width] tensors along the last dimension, as [batch slots, width]",
          .max_inputs = -1,
          .create = make_layer<FusedReshapeConcatGeneral>};
}

}  // namespace ctr
