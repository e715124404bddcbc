// SPDX-License-Identifier: Apache-2.0
#include "kernels/reduce.h"
#include "layers/layer.h"

namespace ctr {
namespace {

// Sum or mean over one axis, which keeps extent 1.
class Reduce : public Layer {
 public:
  Reduce(const Params& p, bool mean) : axis_(p.integer("axis")), mean_(mean) {}

  LayerShapes infer(const InferContext& inputs) const override {
    Shape y = inputs[0];
    require(axis_ >= 0 && axis_ < y.rank(), "axis {} is outside the dimensions of {}", axis_, to_string(y));
    const bool is_last = axis_ + 1 == y.rank();
    y.set(static_cast<int>(axis_), 1);
    return {.outputs = {y}, .strided_inputs = is_last ? Strided::rows : Strided::no};
  }
  void forward(Context& ctx, const LayerRun& run) const override {
    const ReduceShape shape = cut(run.x[0].shape());
    reduce_sum(ctx, run.x[0], run.y[0], shape, scale(shape), false);
  }
  void backward(Context& ctx, const LayerRun& run) const override {
    const ReduceShape shape = cut(run.x[0].shape());
    if (run.wants(0)) broadcast_sum(ctx, run.d_y[0], run.d_x[0], shape, scale(shape), run.accumulates(0));
  }

 private:
  ReduceShape cut(const Shape& x) const {
    ReduceShape shape{1, x[static_cast<int>(axis_)], 1};
    for (int i = 0; i < axis_; ++i) shape.outer *= x[i];
    for (int i = static_cast<int>(axis_) + 1; i < x.rank(); ++i) shape.inner *= x[i];
    return shape;
  }
  float scale(const ReduceShape& shape) const {
    return mean_ ? 1.0f / static_cast<float>(shape.extent) : 1.0f;
  }

  int64_t axis_;
  bool mean_;
};

struct ReduceSum final : Reduce {
  explicit ReduceSum(const Params& p) : Reduce(p, false) {}
};
struct ReduceMean final : Reduce {
  explicit ReduceMean(const Params& p) : Reduce(p, true) {}
};

std::vector<ParamDef> parameters() {
  return {{"axis", "axis", int64_t{1}, JsonRule::always, "axis to reduce; it stays with extent 1"}};
}

}  // namespace

LayerDef reduce_sum_layer() {
  return {.name = "ReduceSum",
          .doc = "sum over one axis",
          .params = parameters(),
          .create = make_layer<ReduceSum>};
}

LayerDef reduce_mean_layer() {
  return {.name = "ReduceMean",
          .doc = "mean over one axis",
          .params = parameters(),
          .create = make_layer<ReduceMean>};
}

}  // namespace ctr
