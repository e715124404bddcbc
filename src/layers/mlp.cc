// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "device/memory.h"
#include "kernels/gemm.h"
#include "kernels/reduce.h"
#include "layers/inner_product.h"
#include "layers/layer.h"

namespace ctr {
namespace {

// A chain of inner products over the last dimension: y_i = act_i(y_{i-1} W_i + b_i).
class Mlp final : public Layer {
 public:
  explicit Mlp(const Params& p)
      : widths_(p.get<IntList>("num_outputs")),
        weight_init_(p.text("weight_init_type")),
        bias_init_(p.text("bias_init_type")) {
    require(!widths_.empty(), "num_outputs must name at least one layer");
    for (const int64_t width : widths_)
      require(width > 0, "num_outputs must be positive numbers, got {}", width);
    const auto& activations = p.get<TextList>("activations");
    const auto& biases = p.get<FlagList>("biases");
    require(activations.empty() || activations.size() == widths_.size(),
            "activations must have one entry for each of the {} num_outputs, got {}", widths_.size(),
            activations.size());
    require(biases.empty() || biases.size() == widths_.size(),
            "biases must have one entry for each of the {} num_outputs, got {}", widths_.size(),
            biases.size());
    for (size_t i = 0; i < widths_.size(); ++i) {
      relu_.push_back((activations.empty() ? p.text("act_type") : activations[i]) == "Relu");
      bias_.push_back(biases.empty() ? p.flag("use_bias") : biases[i]);
    }
  }

  LayerShapes infer(const InferContext& inputs) const override {
    Shape y = inputs[0];
    require(y.rank() >= 2, "its input must have at least two dimensions, got {}", to_string(y));
    LayerShapes shapes{.outputs = {}, .strided_inputs = Strided::rows, .strided_outputs = Strided::rows};
    for (size_t i = 0; i < widths_.size(); ++i) {
      const int64_t k = y.last(), n = widths_[i];
      shapes.weights.push_back({fmt::format("weight{}", i), {k, n}, initializer(weight_init_, i, k), true});
      shapes.weights.push_back({fmt::format("bias{}", i), {1, n}, initializer(bias_init_, i, k)});
      y.set(-1, n);
      shapes.flops += 2.0 * static_cast<double>(y.rows() * k) * static_cast<double>(n);
      if (i + 1 == widths_.size()) continue;
      shapes.saved.push_back({DType::f32, y, true});    // the output
      shapes.scratch.push_back({DType::f32, y, true});  // its gradient
    }
    shapes.outputs = {y};
    return shapes;
  }

  void forward(Context& ctx, const LayerRun& run) const override {
    for (size_t i = 0; i < widths_.size(); ++i)
      gemm(ctx, input(run, i), run.w[2 * i], output(run, i),
           {.bias = bias_[i] ? run.w[2 * i + 1] : Tensor(), .relu = relu_[i]});
  }

  void backward(Context& ctx, const LayerRun& run) const override {
    for (size_t i = widths_.size(); i-- > 0;) {
      const Tensor& d_z = i + 1 == widths_.size() ? run.d_y[0] : run.scratch[i];
      const Tensor& d_bias = run.d_w[2 * i + 1];
      if (relu_[i])
        relu_bias_backward(ctx, output(run, i), d_z, d_bias);
      else
        reduce_sum(ctx, d_z, d_bias, {1, d_z.shape().rows(), widths_[i]}, 1.0f, false);
      if (!bias_[i]) fill_zero(ctx, d_bias);
      gemm(ctx, input(run, i), d_z, run.d_w[2 * i], {.transpose_a = true});
      if (i > 0)
        gemm(ctx, d_z, run.w[2 * i], run.scratch[i - 1], {.transpose_b = true});
      else if (run.wants(0))
        gemm(ctx, d_z, run.w[0], run.d_x[0], {.transpose_b = true, .accumulate = run.accumulates(0)});
    }
  }

 private:
  static const Tensor& input(const LayerRun& run, size_t i) { return i == 0 ? run.x[0] : run.saved[i - 1]; }
  const Tensor& output(const LayerRun& run, size_t i) const {
    return i + 1 == widths_.size() ? run.y[0] : run.saved[i];
  }

  // One rule for weight and bias. Every other layer looks at its outputs alone.
  Initializer initializer(const std::string& type, size_t i, int64_t inputs) const {
    const auto k = static_cast<double>(inputs), n = static_cast<double>(widths_[i]);
    const Initializer uniform = Initializer::uniform(std::sqrt(1 / k));
    return type == "Uniform" ? uniform : choose_initializer(type, i % 2 == 0 ? k : n, n, uniform);
  }

  IntList widths_;
  std::vector<bool> relu_, bias_;
  std::string weight_init_, bias_init_;
};

}  // namespace

LayerDef mlp_layer() {
  const std::vector<std::string> activations{"Relu", "None"};
  return {.name = "MLP",
          .doc = "a chain of y = act(x W + b) over the last dimension",
          .spare_bottoms = 1,
          .params = {{"num_outputs", "mlp_param.num_outputs", IntList{}, JsonRule::always,
                      "output width of each layer of the chain"},
                     {.keyword = "act_type",
                      .json_path = "mlp_param.activation",
                      .initial = std::string("Relu"),
                      .rule = JsonRule::optional,
                      .doc = "Relu or None, of all layers",
                      .choices = activations},
                     {"use_bias", "mlp_param.use_bias", true, JsonRule::optional,
                      "whether layers add their bias"},
                     {.keyword = "activations",
                      .json_path = "mlp_param.activations",
                      .initial = TextList{},
                      .rule = JsonRule::if_changed,
                      .doc = "of each layer, in the place of act_type",
                      .choices = activations},
                     {"biases", "mlp_param.biases", FlagList{}, JsonRule::if_changed,
                      "of each layer, in the place of use_bias"},
                     {"weight_init_type", "mlp_param.weight_init", std::string("Default"),
                      JsonRule::if_changed, "initializer of the weights"},
                     {"bias_init_type", "mlp_param.bias_init", std::string("Default"), JsonRule::if_changed,
                      "initializer of the biases"}},
          .create = make_layer<Mlp>};
}

}  // namespace ctr
