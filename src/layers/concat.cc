// SPDX-License-Identifier: Apache-2.0
#include "layers/mover.h"

namespace ctr {
namespace {

class Concat final : public Mover {
 public:
  explicit Concat(const Params& p) : axis_(p.integer("axis")) {}

  LayerShapes infer(const InferContext& inputs) const override {
    Shape y = inputs[0];
    require(y.rank() == 2 || y.rank() == 3, "its inputs must have two or three dimensions, got {}",
            to_string(y));
    const int axis = axis_of(y);
    for (const Shape& x : inputs.shapes.subspan(1)) {
      Shape rest = x;
      if (x.rank() == y.rank()) rest.set(axis, y[axis]);
      require(rest == y, "inputs may differ in axis {} only, got {} and {}", axis, to_string(inputs[0]),
              to_string(x));
      y.set(axis, y[axis] + x[axis]);
    }
    LayerShapes shapes{.outputs = {y}, .is_view = inputs.size() == 1};
    shapes.move_rows = axis == 1 ? y[0] : y[0] * y[1];  // matrices cut before the axis
    int64_t at = 0;
    for (size_t i = 0; shapes.move_rows > 0 && i < inputs.size(); ++i) {
      const int64_t width = inputs[i].numel() / shapes.move_rows;
      shapes.moves.push_back({static_cast<int>(i), 0, 0, at, width});
      at += width;
    }
    return shapes;
  }

 private:
  int axis_of(const Shape& x) const { return x.rank() == 2 ? 1 : static_cast<int>(axis_); }

  int64_t axis_;
};

}  // namespace

LayerDef concat_layer() {
  return {.name = "Concat",
          .doc = "joins tensors along axis 1, or along axis 1 or 2 when they have three dimensions",
          .max_inputs = -1,
          .params = {{.keyword = "axis",
                      .json_path = "axis",
                      .initial = int64_t{1},
                      .rule = JsonRule::optional,
                      .doc = "axis to join along, 1 or 2; two dimensions: always 1",
                      .min = 1,
                      .max = 2}},
          .create = make_layer<Concat>};
}

}  // namespace ctr
