// SPDX-License-Identifier: Apache-2.0
#include "layers/add.h"

#include <algorithm>

#include "kernels/elementwise.h"
#include "layers/layer.h"

namespace ctr {
namespace {

class Add final : public Layer {
 public:
  LayerShapes infer(std::span<const Shape> inputs) const override {
    require_equal_shapes(inputs);
    return {.outputs = {inputs[0]}};
  }
  void forward(Context& ctx, const LayerRun& run) const override { add_forward(ctx, run.y[0], run.x); }
  void backward(Context& ctx, const LayerRun& run) const override {
    for (size_t i = 0; i < run.x.size(); ++i)
      if (run.wants(i)) scale_into(ctx, run.d_y[0], run.d_x[i], 1.0f, run.accumulates(i));
  }
};

void forward_cpu(Context& ctx, const Tensor& y, std::span<const Tensor> x) {
  float* out = y.data<float>();
  constexpr int64_t kTile = 4096;  // stays in the first-level cache while the inputs pass by
  parallel_for(ctx.threads, y.numel(), kElementGrain, [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; tile += kTile) {
      const int64_t last = std::min(end, tile + kTile);
      const float *a = x[0].data<float>(), *b = x[1].data<float>();
      for (int64_t i = tile; i < last; ++i) out[i] = a[i] + b[i];
      for (const Tensor& more : x.subspan(2)) {
        const float* c = more.data<float>();
        for (int64_t i = tile; i < last; ++i) out[i] += c[i];
      }
    }
  });
}

}  // namespace

constinit decltype(add_forward) add_forward{"Add.forward", {DType::f32, forward_cpu}};

LayerDef add_layer() {
  return {.name = "Add",
          .doc = "sum of two or more tensors of one shape",
          .min_inputs = 2,
          .max_inputs = -1,
          .create = make_layer<Add>};
}

}  // namespace ctr
