// SPDX-License-Identifier: Apache-2.0
#include "layers/elementwise_multiply.h"

#include <algorithm>

#include "kernels/elementwise.h"
#include "layers/layer.h"

namespace ctr {
namespace {

class ElementwiseMultiply final : public Layer {
 public:
  LayerShapes infer(std::span<const Shape> inputs) const override {
    require_equal_shapes(inputs);
    return {.outputs = {inputs[0]}};
  }
  void forward(Context& ctx, const LayerRun& run) const override { multiply_forward(ctx, run.y[0], run.x); }
  void backward(Context& ctx, const LayerRun& run) const override {
    for (size_t i = 0; i < run.x.size(); ++i)
      if (run.wants(i))
        multiply_backward(ctx, run.d_y[0], run.x, static_cast<int64_t>(i), run.d_x[i], run.accumulates(i));
  }
};

constexpr int64_t kTile = 2048;  // one tile of the product stays in the first-level cache

// product[0..n) *= elements [begin, begin + n) of every tensor but `skip`
void multiply_tile(std::span<const Tensor> x, int64_t skip, int64_t begin, int64_t n, float* product) {
  for (int64_t k = 0; k < static_cast<int64_t>(x.size()); ++k) {
    if (k == skip) continue;
    const float* factor = x[static_cast<size_t>(k)].data<float>() + begin;
    for (int64_t i = 0; i < n; ++i) product[i] *= factor[i];
  }
}

void forward_cpu(Context& ctx, const Tensor& y, std::span<const Tensor> x) {
  parallel_for(ctx.threads, y.numel(), kElementGrain, [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; tile += kTile) {
      const int64_t n = std::min(kTile, end - tile);
      std::copy_n(x[0].data<float>() + tile, n, y.data<float>() + tile);
      multiply_tile(x, 0, tile, n, y.data<float>() + tile);
    }
  });
}

void backward_cpu(Context& ctx, const Tensor& d_y, std::span<const Tensor> x, int64_t i, const Tensor& d_x,
                  bool accumulate) {
  parallel_for(ctx.threads, d_y.numel(), kElementGrain, [&](int64_t begin, int64_t end) {
    float product[kTile];
    for (int64_t tile = begin; tile < end; tile += kTile) {
      const int64_t n = std::min(kTile, end - tile);
      std::copy_n(d_y.data<float>() + tile, n, product);
      multiply_tile(x, i, tile, n, product);
      float* out = d_x.data<float>() + tile;
      with_accumulate(accumulate, [&](auto add) {
        for (int64_t j = 0; j < n; ++j) store<add()>(out[j], product[j]);
      });
    }
  });
}

}  // namespace

constinit decltype(multiply_forward) multiply_forward{"ElementwiseMultiply.forward",
                                                      {DType::f32, forward_cpu}};
constinit decltype(multiply_backward) multiply_backward{"ElementwiseMultiply.backward",
                                                        {DType::f32, backward_cpu}};

LayerDef elementwise_multiply_layer() {
  return {.name = "ElementwiseMultiply",
          .aliases = {"ElementWiseMultiply", "DotProduct"},
          .doc = "element-wise product of two or more tensors of one shape",
          .min_inputs = 2,
          .max_inputs = -1,
          .create = make_layer<ElementwiseMultiply>};
}

}  // namespace ctr
