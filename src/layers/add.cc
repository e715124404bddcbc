// SPDX-License-Identifier: Apache-2.0
#include "layers/add.h"

#include <algorithm>

#include "kernels/elementwise.h"
#include "kernels/small_gemm.h"
#include "layers/layer.h"

namespace ctr {
namespace {

class Add final : public Layer {
 public:
  LayerShapes infer(const InferContext& inputs) const override {
    require_equal_shapes(inputs);
    return {.outputs = {inputs[0]}, .strided_inputs = Strided::runs, .strided_outputs = Strided::runs};
  }
  void forward(Context& ctx, const LayerRun& run) const override { add_forward(ctx, run.y[0], run.x); }
  void backward(Context& ctx, const LayerRun& run) const override {
    for (size_t i = 0; i < run.x.size(); ++i)
      if (run.wants(i)) scale_into(ctx, run.d_y[0], run.d_x[i], 1.0f, run.accumulates(i));
  }
};

constexpr int64_t kTile = 1024;  // stays in the first-level cache while the inputs pass by

template <class T>
void forward_cpu(Context& ctx, const Tensor& y, std::span<const Tensor> x) {
  const int64_t row = common_row({&y}, x);
  for_row_pieces(ctx, y.numel(), row, [&](int64_t r, int64_t begin, int64_t end) {
    float buffer[kTile];
    for (int64_t tile = begin; tile < end; tile += kTile) {
      const int64_t n = std::min(kTile, end - tile);
      const auto part = [=](const Tensor& t) { return t.matrix<T>(row).at(r, tile); };
      const T *a = part(x[0]), *b = part(x[1]);
      const FloatRun run(part(y), n, buffer);
      float* sum = run.data();
      for (int64_t i = 0; i < n; ++i) sum[i] = to_float(a[i]) + to_float(b[i]);
      for (const Tensor& more : x.subspan(2)) add_scaled(sum, part(more), 1.0f, n);
      run.flush();
    }
  });
}

}  // namespace

constinit decltype(add_forward) add_forward{
    "Add.forward", {DType::f32, forward_cpu<float>}, {DType::bf16, forward_cpu<bf16>}};

LayerDef add_layer() {
  return {.name = "Add",
          .doc = "sum of two or more tensors of one shape",
          .min_inputs = 2,
          .max_inputs = -1,
          .create = make_layer<Add>};
}

}  // namespace ctr
