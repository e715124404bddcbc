// SPDX-License-Identifier: Apache-2.0
#include "kernels/softmax.h"

#include "device/memory.h"
#include "layers/layer.h"

namespace ctr {
namespace {

class Softmax final : public Layer {
 public:
  explicit Softmax(const Params& p) : factor_(p.real("factor")) {}

  LayerShapes infer(const InferContext& inputs) const override {
    const Shape& x = inputs[0];
    if (inputs.size() == 2)
      require(x.rank() == 4 && inputs[1] == Shape{x[0], 1, x[2], x[3]},
              "with a mask, its inputs must be [batch, heads, queries, keys] and [batch, 1, queries, keys], "
              "got {} and {}",
              to_string(x), to_string(inputs[1]));
    return {.outputs = {x}, .strided_inputs = Strided::rows, .strided_outputs = Strided::rows};
  }
  void forward(Context& ctx, const LayerRun& run) const override {
    softmax(ctx, run.x[0], run.y[0], options(run));
  }
  void backward(Context& ctx, const LayerRun& run) const override {
    if (run.wants(0))
      softmax_backward(ctx, run.x[0], run.d_y[0], run.d_x[0], options(run), run.accumulates(0));
    if (run.x.size() == 2 && run.wants(1) && !run.accumulates(1))
      fill_zero(ctx, run.d_x[1]);  // a mask has no gradient
  }

 private:
  SoftmaxOptions options(const LayerRun& run) const {
    if (run.x.size() == 1) return {.scale = factor_};
    return {.scale = factor_, .mask = run.x[1], .inner = run.x[1].shape()[2]};
  }

  float factor_;
};

}  // namespace

LayerDef softmax_layer() {
  return {
      .name = "Softmax",
      .doc =
          "y = exp(a) / sum exp(a) over the last dimension, a = factor x; with a mask as second input, a = "
          "factor x - 10000 (1 - mask), and 1e-6 is added to the sum",
      .max_inputs = 2,
      .params = {{"factor", "softmax_param.factor", 1.0, JsonRule::if_changed, "factor of the logits"}},
      .create = make_layer<Softmax>};
}

}  // namespace ctr
