// SPDX-License-Identifier: Apache-2.0
#include "layers/batch_norm.h"

#include <algorithm>
#include <cmath>

#include "base/checked.h"
#include "base/parallel.h"
#include "kernels/storage.h"
#include "layers/layer.h"

namespace ctr {
namespace {

class BatchNorm final : public Layer {
 public:
  explicit BatchNorm(const Params& p)
      : factor_(p.real("factor")),
        eps_(p.real("eps")),
        gamma_init_(p.text("gamma_init_type")),
        beta_init_(p.text("beta_init_type")) {
    require(eps_ >= 0, "eps must not be negative, got {}", readable(eps_));
  }

  LayerShapes infer(const InferContext& inputs) const override {
    const Shape& x = inputs[0];
    require(x.rank() == 2, "its input must be [batch, width], got {}", to_string(x));
    const int64_t n = x[1];
    return {.outputs = {x},
            .weights = {{"gamma", {n, 1}, choose_initializer(gamma_init_, Initializer::constant(1))},
                        {"beta", {n, 1}, choose_initializer(beta_init_, Initializer::constant(0))}},
            .states = {{"mean", {n}, 0}, {"var", {n}, 1}},
            .saved = {{DType::f32, {n}}, {DType::f32, {n}}},
            .strided_inputs = Strided::rows,
            .strided_outputs = Strided::rows};
  }
  void forward(Context& ctx, const LayerRun& run) const override {
    if (run.training)
      batch_norm_training(ctx, run.x[0], run.y[0], buffers(run), eps_, factor_);
    else
      batch_norm_evaluation(ctx, run.x[0], run.y[0], buffers(run), eps_);
  }
  void backward(Context& ctx, const LayerRun& run) const override {
    const bool wants = run.wants(0);
    batch_norm_backward(ctx, run.x[0], run.d_y[0], buffers(run), wants ? run.d_x[0] : Tensor(),
                        wants && run.accumulates(0), run.d_w[0], run.d_w[1]);
  }

 private:
  static BatchNormBuffers buffers(const LayerRun& run) {
    return {run.w[0], run.w[1], run.state[0], run.state[1], run.saved[0], run.saved[1]};
  }

  float factor_, eps_;
  std::string gamma_init_, beta_init_;
};

constexpr int64_t kTile = 64;

// Calls body(first column, columns) for tiles of columns; one thread sees all rows of its tiles, so sums have
// one order.
template <class Body>
void for_column_tiles(Context& ctx, const Tensor& x, const Body& body) {
  const int64_t n = x.shape()[1];
  parallel_for(ctx.threads, (n + kTile - 1) / kTile, 1, [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) body(tile * kTile, std::min(kTile, n - tile * kTile));
  });
}

template <class T>
void training_cpu(Context& ctx, const Tensor& x, const Tensor& y, const BatchNormBuffers& b, float eps,
                  float factor) {
  const int64_t rows = x.shape()[0];
  const int64_t valid = ValidRows::of(*ctx.step, rows).count();
  const double count = static_cast<double>(std::max<int64_t>(valid, 1));
  const auto from = x.matrix<T>(), to = y.matrix<T>();
  for_column_tiles(ctx, x, [&](int64_t first, int64_t columns) {
    const T* in = from.at(0, first);
    T* out = to.at(0, first);
    const float *gamma = b.gamma.data<float>() + first, *beta = b.beta.data<float>() + first;
    float *mean = b.mean.data<float>() + first, *inv_std = b.inv_std.data<float>() + first;
    float *running_mean = b.running_mean.data<float>() + first,
          *running_var = b.running_var.data<float>() + first;
    double sum[kTile] = {}, squares[kTile] = {};
    for (int64_t r = 0; r < valid; ++r)
      for (int64_t j = 0; j < columns; ++j) sum[j] += static_cast<double>(to_float(in[r * from.stride + j]));
    for (int64_t j = 0; j < columns; ++j) mean[j] = static_cast<float>(sum[j] /= count);
    for (int64_t r = 0; r < valid; ++r)
      for (int64_t j = 0; j < columns; ++j) {
        const double d = static_cast<double>(to_float(in[r * from.stride + j])) - sum[j];
        squares[j] += d * d;
      }
    for (int64_t j = 0; j < columns; ++j) {
      const double var = squares[j] / count;
      const double unbiased = squares[j] / static_cast<double>(std::max<int64_t>(valid - 1, 1));
      inv_std[j] = valid > 0 ? static_cast<float>(1.0 / std::sqrt(var + static_cast<double>(eps))) : 0.0f;
      if (valid == 0) continue;
      running_mean[j] = (1 - factor) * running_mean[j] + factor * mean[j];
      running_var[j] = (1 - factor) * running_var[j] + factor * static_cast<float>(unbiased);
    }
    for (int64_t r = 0; r < valid; ++r)
      for (int64_t j = 0; j < columns; ++j)
        store<false>(out[r * to.stride + j],
                     gamma[j] * (to_float(in[r * from.stride + j]) - mean[j]) * inv_std[j] + beta[j]);
    for (int64_t r = valid; r < rows; ++r)
      for (int64_t j = 0; j < columns; ++j) store<false>(out[r * to.stride + j], 0.0f);
  });
}

template <class T>
void evaluation_cpu(Context& ctx, const Tensor& x, const Tensor& y, const BatchNormBuffers& b, float eps) {
  const int64_t rows = x.shape()[0];
  const auto from = x.matrix<T>(), to = y.matrix<T>();
  for_column_tiles(ctx, x, [&](int64_t first, int64_t columns) {
    const T* in = from.at(0, first);
    T* out = to.at(0, first);
    const float* mean = b.running_mean.data<float>() + first;
    float scale[kTile], shift[kTile];
    for (int64_t j = 0; j < columns; ++j) {
      scale[j] = b.gamma.data<float>()[first + j] / std::sqrt(b.running_var.data<float>()[first + j] + eps);
      shift[j] = b.beta.data<float>()[first + j];
    }
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t j = 0; j < columns; ++j)
        store<false>(out[r * to.stride + j],
                     scale[j] * (to_float(in[r * from.stride + j]) - mean[j]) + shift[j]);
  });
}

template <class T>
void backward_cpu(Context& ctx, const Tensor& x, const Tensor& d_y, const BatchNormBuffers& b,
                  const Tensor& d_x, bool accumulate, const Tensor& d_gamma, const Tensor& d_beta) {
  const int64_t rows = x.shape()[0];
  const int64_t valid = ValidRows::of(*ctx.step, rows).count();
  const double count = static_cast<double>(std::max<int64_t>(valid, 1));
  const auto from = x.matrix<T>(), gradient = d_y.matrix<T>();
  for_column_tiles(ctx, x, [&](int64_t first, int64_t columns) {
    const T *in = from.at(0, first), *g = gradient.at(0, first);
    const float *mean = b.mean.data<float>() + first, *inv_std = b.inv_std.data<float>() + first;
    double sum_g[kTile] = {}, sum_gx[kTile] = {};
    for (int64_t r = 0; r < valid; ++r)
      for (int64_t j = 0; j < columns; ++j) {
        const float d = to_float(g[r * gradient.stride + j]);
        sum_g[j] += static_cast<double>(d);
        sum_gx[j] += static_cast<double>(d * (to_float(in[r * from.stride + j]) - mean[j]) * inv_std[j]);
      }
    float scale[kTile], mean_g[kTile], mean_gx[kTile];
    for (int64_t j = 0; j < columns; ++j) {
      d_beta.data<float>()[first + j] = static_cast<float>(sum_g[j]);
      d_gamma.data<float>()[first + j] = static_cast<float>(sum_gx[j]);
      scale[j] = b.gamma.data<float>()[first + j] * inv_std[j];
      mean_g[j] = static_cast<float>(sum_g[j] / count);
      mean_gx[j] = static_cast<float>(sum_gx[j] / count);
    }
    if (!d_x) return;
    const auto to = d_x.matrix<T>();
    T* out = to.at(0, first);
    with_accumulate(accumulate, [&](auto add) {
      for (int64_t r = 0; r < valid; ++r)
        for (int64_t j = 0; j < columns; ++j) {
          const float x_hat = (to_float(in[r * from.stride + j]) - mean[j]) * inv_std[j];
          store<add()>(out[r * to.stride + j],
                       scale[j] * (to_float(g[r * gradient.stride + j]) - mean_g[j] - x_hat * mean_gx[j]));
        }
      for (int64_t r = valid; r < rows; ++r)
        for (int64_t j = 0; j < columns; ++j) store<add()>(out[r * to.stride + j], 0.0f);
    });
  });
}

}  // namespace

constinit decltype(batch_norm_training) batch_norm_training{
    "BatchNorm.training", {DType::f32, training_cpu<float>}, {DType::bf16, training_cpu<bf16>}};
constinit decltype(batch_norm_evaluation) batch_norm_evaluation{
    "BatchNorm.evaluation", {DType::f32, evaluation_cpu<float>}, {DType::bf16, evaluation_cpu<bf16>}};
constinit decltype(batch_norm_backward) batch_norm_backward{
    "BatchNorm.backward", {DType::f32, backward_cpu<float>}, {DType::bf16, backward_cpu<bf16>}};

LayerDef batch_norm_layer() {
  return {.name = "BatchNorm",
          .doc = "normalises every column with the batch's statistics; evaluation uses running ones",
          .params = {{.keyword = "factor",
                      .json_path = "bn_param.factor",
                      .initial = 1.0,
                      .doc = "weight of the batch in the running statistics",
                      .min = 0,
                      .max = 1},
                     {"eps", "bn_param.eps", 1e-5, JsonRule::always, "added to the variance"},
                     {"gamma_init_type", "bn_param.gamma_init", std::string("Default"), JsonRule::if_changed,
                      "initializer of the scale"},
                     {"beta_init_type", "bn_param.beta_init", std::string("Default"), JsonRule::if_changed,
                      "initializer of the shift"}},
          .create = make_layer<BatchNorm>};
}

}  // namespace ctr
