// SPDX-License-Identifier: Apache-2.0
#include "layers/elu.h"

#include "kernels/elementwise.h"
#include "layers/layer.h"

namespace ctr {
namespace {

class Elu final : public Layer {
 public:
  explicit Elu(const Params& p) : alpha_(p.real("elu_alpha")) {}
  LayerShapes infer(const InferContext& inputs) const override {
    return {.outputs = {inputs[0]}, .strided_inputs = Strided::runs, .strided_outputs = Strided::runs};
  }
  void forward(Context& ctx, const LayerRun& run) const override {
    elu_forward(ctx, run.x[0], run.y[0], alpha_);
  }
  void backward(Context& ctx, const LayerRun& run) const override {
    if (run.wants(0)) elu_backward(ctx, run.x[0], run.d_y[0], run.d_x[0], alpha_, run.accumulates(0));
  }

 private:
  float alpha_;
};

template <class T>
void forward_cpu(Context& ctx, const Tensor& x, const Tensor& y, float alpha) {
  map_forward<T>(ctx, x, y, [math = EluMath{alpha}](float v) { return math.forward(v); });
}

template <class T>
void backward_cpu(Context& ctx, const Tensor& x, const Tensor& d_y, const Tensor& d_x, float alpha,
                  bool accumulate) {
  map_backward<T>(ctx, x, d_y, d_x, accumulate,
                  [math = EluMath{alpha}](float v, float g) { return math.backward(v, g); });
}

}  // namespace

constinit decltype(elu_forward) elu_forward{
    "ELU.forward", {DType::f32, forward_cpu<float>}, {DType::bf16, forward_cpu<bf16>}};
constinit decltype(elu_backward) elu_backward{
    "ELU.backward", {DType::f32, backward_cpu<float>}, {DType::bf16, backward_cpu<bf16>}};

LayerDef elu_layer() {
  return {.name = "ELU",
          .doc = "y = x where x >= 0, else alpha (exp(x) - 1)",
          .params = {{"elu_alpha", "elu_param.alpha", 1.0, JsonRule::always, "scale of the negative part"}},
          .create = make_layer<Elu>};
}

}  // namespace ctr
