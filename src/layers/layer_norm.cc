// SPDX-License-Identifier: Apache-2.0
#include "layers/layer_norm.h"

#include <algorithm>
#include <cmath>

#include "base/parallel.h"
#include "base/vectorize.h"
#include "kernels/row_groups.h"
#include "kernels/storage.h"
#include "layers/layer.h"

namespace ctr {
namespace {

class LayerNorm final : public Layer {
 public:
  explicit LayerNorm(const Params& p)
      : eps_(p.real("eps")), gamma_init_(p.text("gamma_init_type")), beta_init_(p.text("beta_init_type")) {
    require(eps_ >= 0, "eps must not be negative, got {}", eps_);
  }

  LayerShapes infer(const InferContext& inputs) const override {
    const Shape& x = inputs[0];
    require(x.rank() >= 2, "its input must have at least two dimensions, got {}", to_string(x));
    const int64_t n = x.last(), rows = x.rows();
    return {.outputs = {x},
            .weights = {{"gamma", {n, 1}, choose_initializer(gamma_init_, Initializer::constant(1))},
                        {"beta", {n, 1}, choose_initializer(beta_init_, Initializer::constant(0))}},
            .saved = {{DType::f32, {rows}}, {DType::f32, {rows}}}};
  }
  void forward(Context& ctx, const LayerRun& run) const override {
    layer_norm_forward(ctx, run.x[0], run.y[0], buffers(run), eps_);
  }
  void backward(Context& ctx, const LayerRun& run) const override {
    const bool wants = run.wants(0);
    layer_norm_backward(ctx, run.x[0], run.d_y[0], buffers(run), wants ? run.d_x[0] : Tensor(),
                        wants && run.accumulates(0), run.d_w[0], run.d_w[1]);
  }

 private:
  static LayerNormBuffers buffers(const LayerRun& run) {
    return {run.w[0], run.w[1], run.saved[0], run.saved[1]};
  }

  float eps_;
  std::string gamma_init_, beta_init_;
};

template <class T>
CTR_VECTORIZE void normalise_row(const T* __restrict x, const float* __restrict gamma,
                                 const float* __restrict beta, int64_t n, float eps, T* __restrict y,
                                 float& mean, float& inv_std) {
  float sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += to_float(x[i]);
  const float m = sum / static_cast<float>(n);
#pragma omp simd reduction(+ : squares)
  for (int64_t i = 0; i < n; ++i) {
    const float d = to_float(x[i]) - m;
    squares += d * d;
  }
  const float s = 1.0f / std::sqrt(squares / static_cast<float>(n) + eps);
  for (int64_t i = 0; i < n; ++i) store<false>(y[i], gamma[i] * ((to_float(x[i]) - m) * s) + beta[i]);
  mean = m;
  inv_std = s;
}

template <class T>
void forward_cpu(Context& ctx, const Tensor& x, const Tensor& y, const LayerNormBuffers& b, float eps) {
  const int64_t rows = x.shape().rows(), n = x.shape().last();
  const T* in = x.data<T>();
  T* out = y.data<T>();
  const float *gamma = b.gamma.data<float>(), *beta = b.beta.data<float>();
  float *mean = b.mean.data<float>(), *inv_std = b.inv_std.data<float>();
  parallel_for(ctx.threads, rows, std::max<int64_t>(1, kRowSumGrain / n), [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      normalise_row(in + r * n, gamma, beta, n, eps, out + r * n, mean[r], inv_std[r]);
  });
}

// What one row adds to the sums of g x_hat [n] and of g [n].
template <class T>
CTR_VECTORIZE void add_to_sums(const T* __restrict x, const T* __restrict g, float mean, float inv_std,
                               int64_t n, float* __restrict sum) {
  for (int64_t i = 0; i < n; ++i) {
    sum[i] += to_float(g[i]) * ((to_float(x[i]) - mean) * inv_std);
    sum[n + i] += to_float(g[i]);
  }
}

template <bool kAccumulate, class T>
CTR_VECTORIZE void input_gradient_row(const T* __restrict x, const T* __restrict g,
                                      const float* __restrict gamma, float mean, float inv_std, int64_t n,
                                      T* __restrict d_x) {
  float sum_g = 0, sum_gx = 0;
#pragma omp simd reduction(+ : sum_g, sum_gx)
  for (int64_t i = 0; i < n; ++i) {
    const float d = gamma[i] * to_float(g[i]);
    sum_g += d;
    sum_gx += d * ((to_float(x[i]) - mean) * inv_std);
  }
  const float mean_g = sum_g / static_cast<float>(n), mean_gx = sum_gx / static_cast<float>(n);
  for (int64_t i = 0; i < n; ++i) {
    const float x_hat = (to_float(x[i]) - mean) * inv_std;
    store<kAccumulate>(d_x[i], inv_std * (gamma[i] * to_float(g[i]) - mean_g - x_hat * mean_gx));
  }
}

template <class T>
void backward_cpu(Context& ctx, const Tensor& x, const Tensor& d_y, const LayerNormBuffers& b,
                  const Tensor& d_x, bool accumulate, const Tensor& d_gamma, const Tensor& d_beta) {
  const int64_t rows = x.shape().rows(), n = x.shape().last();
  const T *in = x.data<T>(), *g = d_y.data<T>();
  const float *gamma = b.gamma.data<float>(), *mean = b.mean.data<float>(),
              *inv_std = b.inv_std.data<float>();
  T* out = d_x ? d_x.data<T>() : nullptr;
  const float* sums = sum_over_rows(ctx, rows, 2 * n, [&](int64_t begin, int64_t end, float* sum) {
    with_accumulate(accumulate, [&](auto add) {
      for (int64_t r = begin; r < end; ++r) {
        add_to_sums(in + r * n, g + r * n, mean[r], inv_std[r], n, sum);
        if (out) input_gradient_row<add()>(in + r * n, g + r * n, gamma, mean[r], inv_std[r], n, out + r * n);
      }
    });
  });
  std::copy_n(sums, n, d_gamma.data<float>());
  std::copy_n(sums + n, n, d_beta.data<float>());
}

}  // namespace

constinit decltype(layer_norm_forward) layer_norm_forward{
    "LayerNorm.forward", {DType::f32, forward_cpu<float>}, {DType::bf16, forward_cpu<bf16>}};
constinit decltype(layer_norm_backward) layer_norm_backward{
    "LayerNorm.backward", {DType::f32, backward_cpu<float>}, {DType::bf16, backward_cpu<bf16>}};

LayerDef layer_norm_layer() {
  return {.name = "LayerNorm",
          .doc = "normalises the last dimension of every row",
          .params = {{"eps", "ln_param.eps", 1e-5, JsonRule::always, "added to the variance"},
                     {"gamma_init_type", "ln_param.gamma_init", std::string("Default"), JsonRule::if_changed,
                      "initializer of the scale"},
                     {"beta_init_type", "ln_param.beta_init", std::string("Default"), JsonRule::if_changed,
                      "initializer of the shift"}},
          .create = make_layer<LayerNorm>};
}

}  // namespace ctr
