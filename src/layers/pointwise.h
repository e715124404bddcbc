// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/host_device.h"
#include "kernels/elementwise.h"
#include "layers/layer.h"

namespace ctr {

// The kernels of a layer that maps every element by itself. Its Math is a value with
//   static constexpr bool kFromOutput;         // backward computes from y, else from x
//   float forward(float x) const;              // y
//   float backward(float v, float d_y) const;  // d_x, v being x or y
// both CTR_HOST_DEVICE; a back end adds its slots (layers/pointwise.cu).
template <class Math>
struct Pointwise {
  Kernel<void(const Tensor& x, const Tensor& y, Math)> forward;
  Kernel<void(const Tensor& v, const Tensor& d_y, const Tensor& d_x, Math, bool accumulate)> backward;

  constexpr Pointwise(std::string_view forward_name, std::string_view backward_name)
      : forward(forward_name, {DType::f32, forward_cpu<float>}, {DType::bf16, forward_cpu<bf16>}),
        backward(backward_name, {DType::f32, backward_cpu<float>}, {DType::bf16, backward_cpu<bf16>}) {}

 private:
  template <class T>
  static void forward_cpu(Context& ctx, const Tensor& x, const Tensor& y, Math math) {
    map_forward<T>(ctx, x, y, [math](float v) { return math.forward(v); });
  }
  template <class T>
  static void backward_cpu(Context& ctx, const Tensor& v, const Tensor& d_y, const Tensor& d_x, Math math,
                           bool accumulate) {
    map_backward<T>(ctx, v, d_y, d_x, accumulate, [math](float u, float g) { return math.backward(u, g); });
  }
};

template <class Math>
class PointwiseLayer final : public Layer {
 public:
  PointwiseLayer(const Pointwise<Math>& kernels, Math math) : kernels_(kernels), math_(math) {}

  LayerShapes infer(const InferContext& inputs) const override {
    return {.outputs = {inputs[0]}, .strided_inputs = Strided::runs, .strided_outputs = Strided::runs};
  }
  void forward(Context& ctx, const LayerRun& run) const override {
    kernels_.forward(ctx, run.x[0], run.y[0], math_);
  }
  void backward(Context& ctx, const LayerRun& run) const override {
    const Tensor& v = Math::kFromOutput ? run.y[0] : run.x[0];
    if (run.wants(0)) kernels_.backward(ctx, v, run.d_y[0], run.d_x[0], math_, run.accumulates(0));
  }

 private:
  const Pointwise<Math>& kernels_;
  Math math_;
};

template <class Math>
std::unique_ptr<Layer> make_pointwise(const Pointwise<Math>& kernels, Math math) {
  return std::make_unique<PointwiseLayer<Math>>(kernels, math);
}

}  // namespace ctr
