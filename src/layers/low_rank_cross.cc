// SPDX-License-Identifier: Apache-2.0
#include "layers/low_rank_cross.h"

#include <cmath>

#include "base/parallel.h"
#include "base/vectorize.h"
#include "kernels/elementwise.h"
#include "kernels/gemm.h"
#include "kernels/reduce.h"
#include "layers/layer.h"

namespace ctr {
namespace {

class LowRankCross final : public Layer {
 public:
  explicit LowRankCross(const Params& p)
      : layers_(p.integer("num_layers")),
        rank_(p.integer("projection_dim")),
        weight_init_(p.text("weight_init_type")),
        bias_init_(p.text("bias_init_type")) {
    require(layers_ > 0, "num_layers must be positive, got {}", layers_);
  }

  LayerShapes infer(const InferContext& inputs) const override {
    const Shape& x = inputs[0];
    require(x.rank() == 2, "its input must be [batch, width], got {}", to_string(x));
    const int64_t rows = x[0], n = x[1];
    const Initializer normal = Initializer::normal(std::sqrt(2.0 / static_cast<double>(n + rank_)));
    LayerShapes shapes{.outputs = {x}, .strided_inputs = Strided::rows, .strided_outputs = Strided::rows};
    const auto weight = [&](const char* name, int64_t l, Shape shape) {
      shapes.weights.push_back(
          {fmt::format("{}{}", name, l), shape, choose_initializer(weight_init_, normal), true});
    };
    for (int64_t l = 0; l < layers_; ++l) {
      weight("u", l, {n, rank_});
      weight("v", l, {rank_, n});
      shapes.weights.push_back(
          {fmt::format("bias{}", l), {1, n}, choose_initializer(bias_init_, Initializer::constant(0))});
      shapes.saved.push_back({DType::f32, {rows, rank_}, true});
      shapes.saved.push_back({DType::f32, {rows, n}, true});
      if (l + 1 < layers_) shapes.saved.push_back({DType::f32, {rows, n}, true});
    }
    shapes.scratch = {{DType::f32, {rows, n}, true}, {DType::f32, {rows, rank_}, true}};
    shapes.flops = 4.0 * static_cast<double>(layers_ * rows) * static_cast<double>(n * rank_);
    return shapes;
  }

  void forward(Context& ctx, const LayerRun& run) const override {
    for (size_t l = 0; l < count(); ++l) {
      const Step s(run, l, count());
      gemm(ctx, s.x, s.u, s.q, {});
      gemm(ctx, s.q, s.v, s.h, {.bias = s.bias});
      low_rank_cross_forward(ctx, run.x[0], s.h, s.x, s.next);
    }
  }

  // Walks down with the gradient of each layer's output in d_y.
  void backward(Context& ctx, const LayerRun& run) const override {
    const Tensor &g = run.d_y[0], &s_gradient = run.scratch[0], &q_gradient = run.scratch[1];
    const int64_t rows = g.shape()[0], n = g.shape()[1];
    for (size_t l = count(); l-- > 0;) {
      const Step s(run, l, count());
      const bool is_top = l + 1 == count(), is_first = l == 0;
      low_rank_cross_backward(ctx, g, run.x[0], s.h, s_gradient, run.wants(0) ? run.d_x[0] : Tensor(),
                              run.wants(0) && (!is_top || run.accumulates(0)), is_first);
      gemm(ctx, s_gradient, s.v, q_gradient, {.transpose_b = true});
      gemm(ctx, s.q, s_gradient, run.d_w[3 * l + 1], {.transpose_a = true});
      reduce_sum(ctx, s_gradient, run.d_w[3 * l + 2], {1, rows, n}, 1.0f, false);
      gemm(ctx, s.x, q_gradient, run.d_w[3 * l], {.transpose_a = true});
      if (!is_first)
        gemm(ctx, q_gradient, s.u, g, {.transpose_b = true, .accumulate = true});
      else if (run.wants(0))
        gemm(ctx, q_gradient, s.u, run.d_x[0], {.transpose_b = true, .accumulate = true});
    }
  }

 private:
  // The tensors of one cross layer.
  struct Step {
    const Tensor &u, &v, &bias, &q, &h, &x, &next;

    Step(const LayerRun& run, size_t l, size_t layers)
        : u(run.w[3 * l]),
          v(run.w[3 * l + 1]),
          bias(run.w[3 * l + 2]),
          q(run.saved[3 * l]),
          h(run.saved[3 * l + 1]),
          x(l == 0 ? run.x[0] : run.saved[3 * l - 1]),
          next(l + 1 == layers ? run.y[0] : run.saved[3 * l + 2]) {}
  };
  size_t count() const { return static_cast<size_t>(layers_); }

  int64_t layers_, rank_;
  std::string weight_init_, bias_init_;
};

template <class T>
CTR_VECTORIZE void forward_part(const T* x0, const T* h, const T* x, T* next, int64_t n) {
  for (int64_t i = 0; i < n; ++i) store<false>(next[i], to_float(x0[i]) * to_float(h[i]) + to_float(x[i]));
}

template <class T>
void forward_cpu(Context& ctx, const Tensor& x0, const Tensor& h, const Tensor& x, const Tensor& next) {
  const int64_t row = common_row({&x0, &h, &x, &next});
  const auto first = x0.matrix<T>(row), factor = h.matrix<T>(row), last = x.matrix<T>(row),
             out = next.matrix<T>(row);
  for_row_pieces(ctx, next.numel(), row, [=](int64_t r, int64_t begin, int64_t end) {
    forward_part(first.at(r, begin), factor.at(r, begin), last.at(r, begin), out.at(r, begin), end - begin);
  });
}

template <class T>
void backward_cpu(Context& ctx, const Tensor& g, const Tensor& x0, const Tensor& h, const Tensor& s,
                  const Tensor& d_x, bool accumulate, bool is_first) {
  map_backward<T>(ctx, x0, g, s, false, [](float x, float d) { return x * d; });
  if (!d_x) return;
  const float through = is_first ? 1.0f : 0.0f;
  map_backward<T>(ctx, h, g, d_x, accumulate, [=](float factor, float d) { return d * (factor + through); });
}

}  // namespace

constinit decltype(low_rank_cross_forward) low_rank_cross_forward{
    "MultiCross.low_rank_forward", {DType::f32, forward_cpu<float>}, {DType::bf16, forward_cpu<bf16>}};
constinit decltype(low_rank_cross_backward) low_rank_cross_backward{
    "MultiCross.low_rank_backward", {DType::f32, backward_cpu<float>}, {DType::bf16, backward_cpu<bf16>}};

std::unique_ptr<Layer> make_low_rank_cross(const Params& params) {
  return std::make_unique<LowRankCross>(params);
}

}  // namespace ctr
