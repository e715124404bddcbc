// SPDX-License-Identifier: Apache-2.0
#include "layers/relu.h"

#include "kernels/elementwise.h"
#include "layers/layer.h"

namespace ctr {
namespace {

class Relu final : public Layer {
 public:
  LayerShapes infer(const InferContext& inputs) const override {
    return {.outputs = {inputs[0]}, .strided_inputs = Strided::runs, .strided_outputs = Strided::runs};
  }
  void forward(Context& ctx, const LayerRun& run) const override { relu_forward(ctx, run.x[0], run.y[0]); }
  void backward(Context& ctx, const LayerRun& run) const override {
    if (run.wants(0)) relu_backward(ctx, run.y[0], run.d_y[0], run.d_x[0], run.accumulates(0));
  }
};

template <class T>
void forward_cpu(Context& ctx, const Tensor& x, const Tensor& y) {
  map_forward<T>(ctx, x, y, [](float v) { return ReluMath::forward(v); });
}

template <class T>
void backward_cpu(Context& ctx, const Tensor& y, const Tensor& d_y, const Tensor& d_x, bool accumulate) {
  map_backward<T>(ctx, y, d_y, d_x, accumulate, [](float v, float g) { return ReluMath::backward(v, g); });
}

}  // namespace

constinit decltype(relu_forward) relu_forward{
    "ReLU.forward", {DType::f32, forward_cpu<float>}, {DType::bf16, forward_cpu<bf16>}};
constinit decltype(relu_backward) relu_backward{
    "ReLU.backward", {DType::f32, backward_cpu<float>}, {DType::bf16, backward_cpu<bf16>}};

LayerDef relu_layer() {
  return {.name = "ReLU", .aliases = {"ReLUHalf"}, .doc = "y = max(x, 0)", .create = make_layer<Relu>};
}

}  // namespace ctr
