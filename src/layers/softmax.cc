// SPDX-License-Identifier: Apache-2.0
#include "kernels/softmax.h"

#include "layers/layer.h"

namespace ctr {
namespace {

class Softmax final : public Layer {
 public:
  LayerShapes infer(const InferContext& inputs) const override {
    return {.outputs = {inputs[0]}, .strided_inputs = Strided::rows, .strided_outputs = Strided::rows};
  }
  void forward(Context& ctx, const LayerRun& run) const override { softmax(ctx, run.x[0], run.y[0], 1.0f); }
  void backward(Context& ctx, const LayerRun& run) const override {
    if (run.wants(0)) softmax_backward(ctx, run.x[0], run.d_y[0], run.d_x[0], 1.0f, run.accumulates(0));
  }
};

}  // namespace

LayerDef softmax_layer() {
  return {.name = "Softmax",
          .doc = "y = exp(x) / sum exp(x) over the last dimension",
          .create = make_layer<Softmax>};
}

}  // namespace ctr
