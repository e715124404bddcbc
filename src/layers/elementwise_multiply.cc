// SPDX-License-Identifier: Apache-2.0
#include "layers/elementwise_multiply.h"

#include <algorithm>

#include "kernels/elementwise.h"
#include "layers/layer.h"

namespace ctr {
namespace {

class ElementwiseMultiply final : public Layer {
 public:
  LayerShapes infer(const InferContext& inputs) const override {
    require_equal_shapes(inputs);
    return {.outputs = {inputs[0]}, .strided_inputs = Strided::runs, .strided_outputs = Strided::runs};
  }
  void forward(Context& ctx, const LayerRun& run) const override { multiply_forward(ctx, run.y[0], run.x); }
  void backward(Context& ctx, const LayerRun& run) const override {
    for (size_t i = 0; i < run.x.size(); ++i)
      if (run.wants(i))
        multiply_backward(ctx, run.d_y[0], run.x, static_cast<int64_t>(i), run.d_x[i], run.accumulates(i));
  }
};

constexpr int64_t kTile = 2048;  // one tile of the product stays in the first-level cache

// target = first times all x but x[skip]
template <class T>
void multiply(Context& ctx, const Tensor& first, std::span<const Tensor> x, int64_t skip,
              const Tensor& target, bool accumulate) {
  const int64_t row = common_row({&first, &target}, x);
  const auto from = first.matrix<T>(row), to = target.matrix<T>(row);
  for_row_pieces(ctx, target.numel(), row, [&](int64_t r, int64_t begin, int64_t end) {
    float buffer[kTile];
    for (int64_t tile = begin; tile < end; tile += kTile) {
      const int64_t n = std::min(kTile, end - tile);
      T* out = to.at(r, tile);
      const FloatRun run(out, n, buffer);
      float* product = accumulate ? buffer : run.data();
      copy_as(from.at(r, tile), n, product);
      for (int64_t k = 0; k < std::ssize(x); ++k) {
        if (k == skip) continue;
        const T* factor = x[static_cast<size_t>(k)].matrix<T>(row).at(r, tile);
        for (int64_t i = 0; i < n; ++i) product[i] *= to_float(factor[i]);
      }
      if (accumulate)
        add_as(product, n, out);
      else
        run.flush();
    }
  });
}

template <class T>
void forward_cpu(Context& ctx, const Tensor& y, std::span<const Tensor> x) {
  multiply<T>(ctx, x[0], x, 0, y, false);
}

template <class T>
void backward_cpu(Context& ctx, const Tensor& d_y, std::span<const Tensor> x, int64_t i, const Tensor& d_x,
                  bool accumulate) {
  multiply<T>(ctx, d_y, x, i, d_x, accumulate);
}

}  // namespace

constinit decltype(multiply_forward) multiply_forward{
    "ElementwiseMultiply.forward", {DType::f32, forward_cpu<float>}, {DType::bf16, forward_cpu<bf16>}};
constinit decltype(multiply_backward) multiply_backward{
    "ElementwiseMultiply.backward", {DType::f32, backward_cpu<float>}, {DType::bf16, backward_cpu<bf16>}};

LayerDef elementwise_multiply_layer() {
  return {.name = "ElementwiseMultiply",
          .aliases = {"ElementWiseMultiply", "DotProduct"},
          .doc = "element-wise product of two or more tensors of one shape",
          .min_inputs = 2,
          .max_inputs = -1,
          .create = make_layer<ElementwiseMultiply>};
}

}  // namespace ctr
