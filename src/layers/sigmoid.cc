// SPDX-License-Identifier: Apache-2.0
#include "layers/sigmoid.h"

#include "kernels/elementwise.h"
#include "layers/layer.h"

namespace ctr {
namespace {

class Sigmoid final : public Layer {
 public:
  LayerShapes infer(const InferContext& inputs) const override {
    return {.outputs = {inputs[0]}, .strided_inputs = Strided::runs, .strided_outputs = Strided::runs};
  }
  void forward(Context& ctx, const LayerRun& run) const override { sigmoid_forward(ctx, run.x[0], run.y[0]); }
  void backward(Context& ctx, const LayerRun& run) const override {
    if (run.wants(0)) sigmoid_backward(ctx, run.y[0], run.d_y[0], run.d_x[0], run.accumulates(0));
  }
};

template <class T>
void forward_cpu(Context& ctx, const Tensor& x, const Tensor& y) {
  map_forward<T>(ctx, x, y, [](float v) { return SigmoidMath::forward(v); });
}

template <class T>
void backward_cpu(Context& ctx, const Tensor& y, const Tensor& d_y, const Tensor& d_x, bool accumulate) {
  map_backward<T>(ctx, y, d_y, d_x, accumulate, [](float v, float g) { return SigmoidMath::backward(v, g); });
}

}  // namespace

constinit decltype(sigmoid_forward) sigmoid_forward{
    "Sigmoid.forward", {DType::f32, forward_cpu<float>}, {DType::bf16, forward_cpu<bf16>}};
constinit decltype(sigmoid_backward) sigmoid_backward{
    "Sigmoid.backward", {DType::f32, backward_cpu<float>}, {DType::bf16, backward_cpu<bf16>}};

LayerDef sigmoid_layer() {
  return {.name = "Sigmoid",
          .aliases = {"SigmoidHalf"},
          .doc = "y = 1 / (1 + exp(-x))",
          .create = make_layer<Sigmoid>};
}

}  // namespace ctr
