// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "base/vectorize.h"
#include "kernels/convert.h"
#include "kernels/gemm.h"
#include "kernels/reduce.h"
#include "kernels/row_groups.h"
#include "layers/inner_product.h"
#include "layers/layer.h"
#include "layers/relu.h"

namespace ctr {
namespace {

// y = x W + b over the last dimension, with an optional ReLU. Several inputs are one matrix side by side.
class InnerProduct : public Layer {
 public:
  explicit InnerProduct(const Params& p, bool relu = false)
      : num_output_(p.integer("num_output")),
        weight_init_(p.text("weight_init_type")),
        bias_init_(p.text("bias_init_type")),
        relu_(relu) {
    require(num_output_ > 0, "num_output must be positive, got {}", num_output_);
  }

  LayerShapes infer(const InferContext& inputs) const override {
    int64_t width = 0;
    for (const Shape& x : inputs) {
      require(x.rank() >= 2, "its input must have at least two dimensions, got {}", to_string(x));
      require(x.rows() == inputs[0].rows(), "its inputs must have the same rows, got {} and {}",
              to_string(inputs[0]), to_string(x));
      width += x.last();
    }
    Shape y = inputs[0];
    y.set(-1, num_output_);
    const auto k = static_cast<double>(width), n = static_cast<double>(num_output_);
    LayerShapes shapes{
        .outputs = {y},
        .weights = {{"weight",
                     {width, num_output_},
                     choose_initializer(weight_init_, k, n, xavier_normal(k, n)),
                     true},
                    {"bias",
                     {1, num_output_},
                     choose_initializer(bias_init_, 0, n, Initializer::normal(std::sqrt(1 / n)))}}};
    shapes.flops = 2.0 * static_cast<double>(y.rows()) * k * n;
    if (inputs.size() > 1) shapes.scratch = {{DType::f32, y}};
    shapes.strided_inputs = shapes.strided_outputs = Strided::rows;
    shapes.splits_backward = true;
    return shapes;
  }

  void forward(Context& ctx, const LayerRun& run) const override {
    if (run.x.size() == 1 || run.y[0].dtype() == DType::f32) return multiply(ctx, run, run.y[0]);
    multiply(ctx, run, run.scratch[0]);  // partial sums stay wide
    convert(ctx, run.scratch[0], run.y[0]);
  }

  // What arrives at y becomes what arrives at x W + b.
  void begin_backward(Context& ctx, const LayerRun& run) const override {
    if (relu_) relu_bias_backward(ctx, run.y[0], run.d_y[0], run.d_w[1]);
  }

  void backward_weights(Context& ctx, const LayerRun& run) const override {
    const Tensor& d_z = run.d_y[0];
    if (!relu_) reduce_sum(ctx, d_z, run.d_w[1], {1, d_z.shape().rows(), num_output_}, 1.0f, false);
    int64_t row = 0;
    for (const Tensor& x : run.x)
      gemm(ctx, x, d_z, rows_of(run.d_w[0], x.shape().last(), row), {.transpose_a = true});
  }

  void backward(Context& ctx, const LayerRun& run) const override {
    const Tensor& d_z = run.d_y[0];
    int64_t row = 0;
    for (size_t i = 0; i < run.x.size(); ++i) {
      const Tensor w = rows_of(run.w[0], run.x[i].shape().last(), row);
      if (run.wants(i))
        gemm(ctx, d_z, w, run.d_x[i], {.transpose_b = true, .accumulate = run.accumulates(i)});
    }
  }

 private:
  // The next `count` rows of a weight.
  static Tensor rows_of(const Tensor& weight, int64_t count, int64_t& row) {
    const int64_t n = weight.shape().last();
    auto* first =
        static_cast<std::byte*>(weight.raw()) + static_cast<size_t>(row * n) * size_of(weight.dtype());
    row += count;
    return {weight.dtype(), {count, n}, first};
  }

  void multiply(Context& ctx, const LayerRun& run, const Tensor& y) const {
    int64_t row = 0;
    for (size_t i = 0; i < run.x.size(); ++i) {
      const bool first = i == 0, last = i + 1 == run.x.size();
      gemm(ctx, run.x[i], rows_of(run.w[0], run.x[i].shape().last(), row), y,
           {.accumulate = !first, .bias = first ? run.w[1] : Tensor(), .relu = last && relu_});
    }
  }

  int64_t num_output_;
  std::string weight_init_, bias_init_;
  bool relu_;
};

// Positions inside a fused chain hand further tensors (mask, masked gradient, bias gradient) to their
// neighbours in other releases. Here each layer is complete by itself, and their names are spare.
class FusedInnerProduct final : public InnerProduct {
 public:
  explicit FusedInnerProduct(const Params& p) : InnerProduct(p, p.text("act_type") == "Relu") {}
};

// d_z of some rows, and their sum added to `sum`.
template <class T>
CTR_VECTORIZE void relu_bias_rows(const T* __restrict y, int64_t y_stride, T* __restrict d_z,
                                  int64_t d_z_stride, int64_t rows, int64_t n, float* __restrict sum) {
  for (int64_t r = 0; r < rows; ++r, y += y_stride, d_z += d_z_stride)
    for (int64_t j = 0; j < n; ++j) {
      const T g = to_float(y[j]) > 0 ? d_z[j] : T{};
      d_z[j] = g;
      sum[j] += to_float(g);
    }
}

template <class T>
void relu_bias_backward_cpu(Context& ctx, const Tensor& y, const Tensor& d_z, const Tensor& d_bias) {
  const auto value = y.matrix<T>(), gradient = d_z.matrix<T>();
  const int64_t n = value.columns;
  const float* sum = sum_over_rows(ctx, value.rows, n, [&](int64_t begin, int64_t end, float* part) {
    relu_bias_rows(value.at(begin), value.stride, gradient.at(begin), gradient.stride, end - begin, n, part);
  });
  std::copy_n(sum, n, d_bias.data<float>());
}

std::vector<ParamDef> parameters() {
  return {{.keyword = "num_output",
           .json_path = "fc_param.num_output",
           .initial = int64_t{1},
           .doc = "output width",
           .max = kMaxExtent},
          {"weight_init_type", "fc_param.weight_init", std::string("Default"), JsonRule::if_changed,
           "initializer of the weight [k, num_output]"},
          {"bias_init_type", "fc_param.bias_init", std::string("Default"), JsonRule::if_changed,
           "initializer of the bias [1, num_output]"}};
}

}  // namespace

constinit decltype(relu_bias_backward) relu_bias_backward{"InnerProduct.relu_bias_backward",
                                                          {DType::f32, relu_bias_backward_cpu<float>},
                                                          {DType::bf16, relu_bias_backward_cpu<bf16>}};

LayerDef inner_product_layer() {
  return {.name = "InnerProduct",
          .doc = "y = x W + b over the last dimension; several inputs are joined along it",
          .max_inputs = -1,
          .params = parameters(),
          .create = make_layer<InnerProduct>};
}

LayerDef fused_inner_product_layer() {
  LayerDef def{.name = "FusedInnerProduct",
               .doc = "y = max(x W + b, 0) in one pass",
               .spare_bottoms = 3,
               .spare_tops = 3,
               .params = parameters(),
               .create = make_layer<FusedInnerProduct>};
  def.params.push_back({.keyword = "pos_type",
                        .json_path = "position",
                        .initial = std::string("None"),
                        .rule = JsonRule::optional,
                        .doc = "place in a chain: None, Head, Body, Tail or Isolated",
                        .choices = {"None", "Head", "Body", "Tail", "Isolated"}});
  def.params.push_back({.keyword = "act_type",
                        .json_path = "activation",
                        .initial = std::string("Relu"),
                        .rule = JsonRule::optional,
                        .doc = "Relu or None",
                        .choices = {"Relu", "None"}});
  return def;
}

}  // namespace ctr
