// SPDX-License-Identifier: Apache-2.0
#include "kernels/columns.h"
#include "layers/layer.h"

namespace ctr {
namespace {

class Concat final : public Layer {
 public:
  explicit Concat(const Params& p) : axis_(p.integer("axis")) {}

  LayerShapes infer(std::span<const Shape> inputs) const override {
    Shape y = inputs[0];
    require(y.rank() == 2 || y.rank() == 3, "its inputs must have two or three dimensions, got {}",
            to_string(y));
    const int axis = axis_of(y);
    for (const Shape& x : inputs.subspan(1)) {
      Shape rest = x;
      if (x.rank() == y.rank()) rest.set(axis, y[axis]);
      require(rest == y, "inputs may differ in axis {} only, got {} and {}", axis, to_string(inputs[0]),
              to_string(x));
      y.set(axis, y[axis] + x[axis]);
    }
    return {.outputs = {y}, .is_view = inputs.size() == 1};
  }

  void forward(Context& ctx, const LayerRun& run) const override {
    int64_t offset = 0;
    for (const Tensor& x : run.x) {
      const ColumnBlock block{0, offset, width(x.shape())};
      copy_columns(ctx, x, run.y[0], rows(x.shape()), block, false);
      offset += block.width;
    }
  }

  void backward(Context& ctx, const LayerRun& run) const override {
    int64_t offset = 0;
    for (size_t i = 0; i < run.x.size(); ++i) {
      const Shape& x = run.x[i].shape();
      const ColumnBlock block{offset, 0, width(x)};
      if (run.wants(i)) copy_columns(ctx, run.d_y[0], run.d_x[i], rows(x), block, run.accumulates(i));
      offset += block.width;
    }
  }

 private:
  int axis_of(const Shape& x) const { return x.rank() == 2 ? 1 : static_cast<int>(axis_); }
  // The tensor as a matrix cut before the axis.
  int64_t rows(const Shape& x) const { return axis_of(x) == 1 ? x[0] : x[0] * x[1]; }
  int64_t width(const Shape& x) const { return x.numel() / rows(x); }

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
