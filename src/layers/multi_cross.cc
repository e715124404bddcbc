// SPDX-License-Identifier: Apache-2.0
#include "layers/multi_cross.h"

#include <algorithm>

#include "kernels/reduce.h"
#include "kernels/small_gemm.h"
#include "kernels/storage.h"
#include "layers/layer.h"
#include "layers/low_rank_cross.h"

namespace ctr {
namespace {

class MultiCross final : public Layer {
 public:
  explicit MultiCross(const Params& p)
      : layers_(p.integer("num_layers")),
        weight_init_(p.text("weight_init_type")),
        bias_init_(p.text("bias_init_type")) {
    require(layers_ > 0, "num_layers must be positive, got {}", layers_);
  }

  LayerShapes infer(const InferContext& inputs) const override {
    const Shape& x = inputs[0];
    require(x.rank() == 2, "its input must be [batch, width], got {}", to_string(x));
    const auto n = static_cast<double>(x[1]);
    LayerShapes shapes{.outputs = {x}, .strided_inputs = Strided::rows, .strided_outputs = Strided::rows};
    for (int64_t l = 0; l < layers_; ++l) {
      shapes.weights.push_back(
          {fmt::format("weight{}", l), {1, x[1]}, choose_initializer(weight_init_, xavier_uniform(n, n))});
      shapes.weights.push_back(
          {fmt::format("bias{}", l), {1, x[1]}, choose_initializer(bias_init_, Initializer::constant(0))});
    }
    shapes.saved = {
        {DType::f32, {x[0], layers_}}, {DType::f32, {layers_ + 1, x[1]}}, {DType::f32, {layers_}}};
    if (inputs.backend == Backend::cpu) {
      shapes.scratch = {{DType::f32, {kRowParts, CrossBuffers::partial_width(layers_, x[1])}}};
      return shapes;
    }
    shapes.scratch = {{DType::f32, {CrossBuffers::kDeviceParts, layers_}}};
    for (int i = 0; layers_ > kFewCrosses && i < 2; ++i)
      shapes.scratch.push_back({DType::f32, {2 * layers_, x[1]}});
    return shapes;
  }
  void forward(Context& ctx, const LayerRun& run) const override {
    multi_cross_forward(ctx, run.x[0], run.w, run.y[0], buffers(run));
  }
  void backward(Context& ctx, const LayerRun& run) const override {
    const bool wants = run.wants(0);
    multi_cross_backward(ctx, run.x[0], run.w, run.d_y[0], buffers(run), wants ? run.d_x[0] : Tensor(),
                         wants && run.accumulates(0), run.d_w);
  }

 private:
  static CrossBuffers buffers(const LayerRun& run) {
    CrossBuffers buffers{run.saved[0], run.saved[1], run.saved[2], run.scratch[0], {}, {}};
    if (run.scratch.size() > 1) buffers.weights = run.scratch[1], buffers.gradients = run.scratch[2];
    return buffers;
  }

  int64_t layers_;
  std::string weight_init_, bias_init_;
};

template <class T>
void forward_cpu(Context& ctx, const Tensor& x, std::span<const Tensor> w, const Tensor& y,
                 const CrossBuffers& buffers) {
  const int64_t rows = x.shape()[0], n = x.shape()[1], layers = static_cast<int64_t>(w.size()) / 2;
  const auto weight = [&](int64_t l) { return w[static_cast<size_t>(2 * l)].data<float>(); };
  float *beta = buffers.beta.data<float>(), *c = buffers.c.data<float>();
  std::fill_n(beta, n, 0.0f);
  for (int64_t l = 0; l < layers; ++l) {
    const float* bias = w[static_cast<size_t>(2 * l + 1)].data<float>();
    for (int64_t i = 0; i < n; ++i) beta[(l + 1) * n + i] = beta[l * n + i] + bias[i];
    c[l] = dot(beta + l * n, weight(l), n);
  }
  const float* offset = beta + layers * n;
  const auto from = x.matrix<T>(), to = y.matrix<T>();
  parallel_for(ctx.threads, rows, std::max<int64_t>(1, 16384 / (n * layers)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t b = begin; b < end; ++b) {
                   const T* in = from.at(b);
                   float* p = buffers.p.data<float>() + b * layers;
                   float a = 1;
                   for (int64_t l = 0; l < layers; ++l) {
                     p[l] = dot(in, weight(l), n);
                     a += a * p[l] + c[l];
                   }
                   T* out = to.at(b);
                   for (int64_t i = 0; i < n; ++i) store<false>(out[i], a * to_float(in[i]) + offset[i]);
                 }
               });
}

// What a part of the rows adds to the weight gradients: sum of q_l x_0 [layers, n], of g [n], of t_l
// [layers].
struct PartSums {
  float *qx, *g, *t;
  float *q, *a;  // [layers], of the current row

  PartSums(const Tensor& partial, int64_t part, int64_t layers, int64_t n)
      : qx(partial.data<float>() + part * partial.shape()[1]),
        g(qx + layers * n),
        t(g + n),
        q(t + layers),
        a(q + layers) {}
};

// Leaves the row's q_l in `sums`; returns a_L.
template <class T>
float backward_row(const PartSums& sums, const float* p, const float* c, const T* x, const T* g, int64_t n,
                   int64_t layers) {
  float a = 1;
  for (int64_t l = 0; l < layers; ++l) {
    sums.a[l] = a;
    a += a * p[l] + c[l];
  }
  float t = dot(g, x, n);
  for (int64_t l = layers - 1; l >= 0; --l) {
    sums.t[l] += t;
    sums.q[l] = t * sums.a[l];
    add_scaled(sums.qx + l * n, x, sums.q[l], n);
    t += t * p[l];
  }
  add_scaled(sums.g, g, 1.0f, n);
  return a;
}

// d_x = a_L g + sum_l q_l w_l of one row
template <class T>
void input_gradient_row(const PartSums& sums, float a, std::span<const Tensor> w, const T* g, int64_t n,
                        bool accumulate, T* d_x) {
  constexpr int64_t kTile = 512;
  float buffer[kTile];
  for (int64_t i = 0; i < n; i += kTile) {
    const int64_t columns = std::min(kTile, n - i);
    const FloatRun run(d_x + i, columns, buffer);
    float* sum = run.start(accumulate);
    add_scaled(sum, g + i, a, columns);
    for (size_t l = 0; 2 * l < w.size(); ++l) add_scaled(sum, w[2 * l].data<float>() + i, sums.q[l], columns);
    run.flush();
  }
}

void combine(const Tensor& partial, std::span<const Tensor> w, const float* beta, std::span<const Tensor> d_w,
             int64_t n) {
  const int64_t layers = static_cast<int64_t>(w.size()) / 2, used = (layers + 1) * n + layers;
  float* total = partial.data<float>();
  for (int64_t part = 1; part < kRowParts; ++part)
    add_scaled(total, total + part * partial.shape()[1], 1.0f, used);
  const PartSums sums(partial, 0, layers, n);
  for (int64_t l = layers - 1; l >= 0; --l) {  // sums.g becomes the sum of G_{l+1}
    std::copy_n(sums.g, n, d_w[static_cast<size_t>(2 * l + 1)].data<float>());
    add_scaled(sums.g, w[static_cast<size_t>(2 * l)].data<float>(), sums.t[l], n);
    float* d_weight = d_w[static_cast<size_t>(2 * l)].data<float>();
    std::copy_n(sums.qx + l * n, n, d_weight);
    add_scaled(d_weight, beta + l * n, sums.t[l], n);
  }
}

template <class T>
void backward_cpu(Context& ctx, const Tensor& x, std::span<const Tensor> w, const Tensor& d_y,
                  const CrossBuffers& buffers, const Tensor& d_x, bool accumulate,
                  std::span<const Tensor> d_w) {
  const int64_t rows = x.shape()[0], n = x.shape()[1], layers = static_cast<int64_t>(w.size()) / 2;
  const float *beta = buffers.beta.data<float>(), *c = buffers.c.data<float>();
  const auto from = x.matrix<T>(), gradient = d_y.matrix<T>(), to = d_x ? d_x.matrix<T>() : Matrix<T>{};
  for_row_parts(ctx, rows, [&](int64_t part, Range r) {
    const PartSums sums(buffers.partial, part, layers, n);
    std::fill_n(sums.qx, (layers + 1) * n + layers, 0.0f);
    for (int64_t b = r.begin; b < r.end; ++b) {
      const T *in = from.at(b), *g = gradient.at(b);
      const float a = backward_row(sums, buffers.p.data<float>() + b * layers, c, in, g, n, layers);
      if (to.data) input_gradient_row(sums, a, w, g, n, accumulate, to.at(b));
    }
  });
  combine(buffers.partial, w, beta, d_w, n);
}

}  // namespace

constinit decltype(multi_cross_forward) multi_cross_forward{
    "MultiCross.forward", {DType::f32, forward_cpu<float>}, {DType::bf16, forward_cpu<bf16>}};
constinit decltype(multi_cross_backward) multi_cross_backward{
    "MultiCross.backward", {DType::f32, backward_cpu<float>}, {DType::bf16, backward_cpu<bf16>}};

namespace {
std::unique_ptr<Layer> create_multi_cross(const Params& params) {
  if (params.integer("projection_dim") > 0) return make_low_rank_cross(params);
  return std::make_unique<MultiCross>(params);
}
}  // namespace

LayerDef multi_cross_layer() {
  return {.name = "MultiCross",
          .doc =
              "cross network: x_{l+1} = x_0 <x_l, w_l> + x_l + b_l; with projection_dim x_{l+1} = x_0 * "
              "((x_l U_l) V_l + b_l) + x_l, element by element",
          .params = {{.keyword = "num_layers",
                      .json_path = "mc_param.num_layers",
                      .initial = int64_t{0},
                      .doc = "number of cross layers",
                      .max = 1024},
                     {"weight_init_type", "mc_param.weight_init", std::string("Default"),
                      JsonRule::if_changed, "initializer of the weights"},
                     {"bias_init_type", "mc_param.bias_init", std::string("Default"), JsonRule::if_changed,
                      "initializer of the biases"},
                     {.keyword = "projection_dim",
                      .json_path = "mc_param.projection_dim",
                      .initial = int64_t{0},
                      .rule = JsonRule::if_changed,
                      .doc = "width between U [width, projection_dim] and V [projection_dim, width]; 0: one "
                             "vector a layer instead",
                      .min = 0,
                      .max = kMaxExtent}},
          .create = create_multi_cross};
}

}  // namespace ctr
