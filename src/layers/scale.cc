// SPDX-License-Identifier: Apache-2.0
#include "base/checked.h"
#include "kernels/reduce.h"
#include "layers/layer.h"

namespace ctr {
namespace {

// Repeats elements, or rows: despite its name it multiplies nothing.
class Scale final : public Layer {
 public:
  explicit Scale(const Params& p) : by_rows_(p.integer("axis") == 1) {
    require(by_rows_ || p.integer("axis") == 0, "axis must be 0 or 1, got {}", p.integer("axis"));
    const double factor = p.get<double>("factor");
    require(factor >= 1, "factor must be a number of repetitions, at least 1, got {}", factor);
    factor_ = static_cast<int64_t>(factor);
  }

  LayerShapes infer(const InferContext& inputs) const override {
    Shape y = inputs[0];
    require(y.rank() == 2, "its input must be [batch, width], got {}", to_string(y));
    const int axis = by_rows_ ? 0 : 1;
    y.set(axis, checked_product(y[axis], factor_));
    return {.outputs = {y}, .is_view = factor_ == 1};
  }
  void forward(Context& ctx, const LayerRun& run) const override {
    broadcast_sum(ctx, run.x[0], run.y[0], repeats(run.x[0].shape()), 1.0f, false);
  }
  void backward(Context& ctx, const LayerRun& run) const override {
    if (run.wants(0))
      reduce_sum(ctx, run.d_y[0], run.d_x[0], repeats(run.x[0].shape()), 1.0f, run.accumulates(0));
  }

 private:
  // The output; its middle is what repeats.
  ReduceShape repeats(const Shape& x) const {
    return by_rows_ ? ReduceShape{x[0], factor_, x[1]} : ReduceShape{x.numel(), factor_, 1};
  }

  bool by_rows_;
  int64_t factor_;
};

}  // namespace

LayerDef scale_layer() {
  return {
      .name = "Scale",
      .doc =
          "repeats every element (axis 0) or every row (axis 1) `factor` times in a row; multiplies nothing",
      .params = {{.keyword = "axis",
                  .json_path = "scale_param.axis",
                  .initial = int64_t{1},
                  .doc = "0: [batch, width factor], 1: [batch factor, width]"},
                 {.keyword = "factor",
                  .json_path = "scale_param.factor",
                  .initial = 1.0,
                  .doc = "number of repetitions; what is behind the point does not count",
                  .max = kMaxExtent}},
      .create = make_layer<Scale>};
}

}  // namespace ctr
