// SPDX-License-Identifier: Apache-2.0
#include "layers/sub.h"

#include "kernels/elementwise.h"
#include "layers/layer.h"

namespace ctr {
namespace {

class Sub final : public Layer {
 public:
  LayerShapes infer(const InferContext& inputs) const override {
    require_equal_shapes(inputs);
    return {.outputs = {inputs[0]}, .strided_inputs = Strided::runs, .strided_outputs = Strided::runs};
  }
  void forward(Context& ctx, const LayerRun& run) const override {
    sub_forward(ctx, run.x[0], run.x[1], run.y[0]);
  }
  void backward(Context& ctx, const LayerRun& run) const override {
    for (size_t i = 0; i < 2; ++i)
      if (run.wants(i)) scale_into(ctx, run.d_y[0], run.d_x[i], i == 0 ? 1.0f : -1.0f, run.accumulates(i));
  }
};

template <class T>
void forward_cpu(Context& ctx, const Tensor& a, const Tensor& b, const Tensor& y) {
  map_backward<T>(ctx, a, b, y, false, [](float u, float v) { return u - v; });
}

}  // namespace

constinit decltype(sub_forward) sub_forward{
    "Sub.forward", {DType::f32, forward_cpu<float>}, {DType::bf16, forward_cpu<bf16>}};

LayerDef sub_layer() {
  return {.name = "Sub",
          .doc = "difference of two tensors of one shape",
          .min_inputs = 2,
          .max_inputs = 2,
          .create = make_layer<Sub>};
}

}  // namespace ctr
