// SPDX-License-Identifier: Apache-2.0
#include "layers/fm_order2.h"

#include <algorithm>

#include "base/parallel.h"
#include "kernels/storage.h"
#include "layers/layer.h"

namespace ctr {
namespace {

class FmOrder2 final : public Layer {
 public:
  explicit FmOrder2(const Params& p) : dim_(p.integer("out_dim")) {
    require(dim_ > 0, "out_dim must be positive, got {}", dim_);
  }
  LayerShapes infer(std::span<const Shape> inputs) const override {
    const Shape& x = inputs[0];
    require(x.rank() == 2 && x[1] % dim_ == 0, "needs an input [batch, slots x out_dim {}], got {}", dim_,
            to_string(x));
    return {.outputs = {{x[0], dim_}}};
  }
  void forward(Context& ctx, const LayerRun& run) const override {
    fm_order2_forward(ctx, run.x[0], run.y[0]);
  }
  void backward(Context& ctx, const LayerRun& run) const override {
    if (run.wants(0)) fm_order2_backward(ctx, run.x[0], run.d_y[0], run.d_x[0], run.accumulates(0));
  }

 private:
  int64_t dim_;
};

constexpr int64_t kTile = 64;  // columns of one dim block, summed on the stack

// Calls body(x row at column d, d, columns) over all rows and tiles of the dim.
template <class Body>
void for_tiles(Context& ctx, const Shape& x, int64_t dim, const Body& body) {
  parallel_for(ctx.threads, x[0], std::max<int64_t>(1, 8192 / x[1]), [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b)
      for (int64_t d = 0; d < dim; d += kTile) body(b, d, std::min(kTile, dim - d));
  });
}

template <class T>
void forward_cpu(Context& ctx, const Tensor& x, const Tensor& y) {
  const int64_t width = x.shape()[1], dim = y.shape()[1];
  for_tiles(ctx, x.shape(), dim, [&](int64_t b, int64_t d, int64_t n) {
    const T* in = x.data<T>() + b * width + d;
    float sum[kTile] = {}, squares[kTile] = {};
    for (int64_t s = 0; s < width; s += dim)
      for (int64_t j = 0; j < n; ++j) {
        const float v = to_float(in[s + j]);
        sum[j] += v;
        squares[j] += v * v;
      }
    T* out = y.data<T>() + b * dim + d;
    for (int64_t j = 0; j < n; ++j) store<false>(out[j], 0.5f * (sum[j] * sum[j] - squares[j]));
  });
}

template <class T>
void backward_cpu(Context& ctx, const Tensor& x, const Tensor& d_y, const Tensor& d_x, bool accumulate) {
  const int64_t width = x.shape()[1], dim = d_y.shape()[1];
  with_accumulate(accumulate, [&](auto add) {
    for_tiles(ctx, x.shape(), dim, [&](int64_t b, int64_t d, int64_t n) {
      const T* in = x.data<T>() + b * width + d;
      const T* g = d_y.data<T>() + b * dim + d;
      T* out = d_x.data<T>() + b * width + d;
      float sum[kTile] = {};
      for (int64_t s = 0; s < width; s += dim)
        for (int64_t j = 0; j < n; ++j) sum[j] += to_float(in[s + j]);
      for (int64_t s = 0; s < width; s += dim)
        for (int64_t j = 0; j < n; ++j)
          store<add()>(out[s + j], to_float(g[j]) * (sum[j] - to_float(in[s + j])));
    });
  });
}

}  // namespace

constinit decltype(fm_order2_forward) fm_order2_forward{
    "FmOrder2.forward", {DType::f32, forward_cpu<float>}, {DType::bf16, forward_cpu<bf16>}};
constinit decltype(fm_order2_backward) fm_order2_backward{
    "FmOrder2.backward", {DType::f32, backward_cpu<float>}, {DType::bf16, backward_cpu<bf16>}};

LayerDef fm_order2_layer() {
  return {
      .name = "FmOrder2",
      .doc = "second-order factorization machine: ((sum of slots)^2 - sum of squares) / 2",
      .params = {{"out_dim", "out_dim", int64_t{0}, JsonRule::always, "width of one slot and of the output"}},
      .create = make_layer<FmOrder2>};
}

}  // namespace ctr
