// SPDX-License-Identifier: Apache-2.0
#include "layers/weight_multiply.h"

#include <algorithm>

#include "base/parallel.h"
#include "kernels/small_gemm.h"
#include "kernels/storage.h"
#include "layers/layer.h"

namespace ctr {
namespace {

class WeightMultiply final : public Layer {
 public:
  explicit WeightMultiply(const Params& p)
      : dims_(p.get<IntList>("weight_dims")), init_(p.text("weight_init_type")) {
    require(dims_.size() == 2 && dims_[0] > 0 && dims_[1] > 0,
            "weight_dims must be two positive integers [slots, width], got {} entries", dims_.size());
  }

  LayerShapes infer(const InferContext& inputs) const override {
    const Shape& x = inputs[0];
    require(x.rank() == 2 && x[1] == dims_[0], "weight_dims [{}, {}] need an input [batch, {}], got {}",
            dims_[0], dims_[1], dims_[0], to_string(x));
    const Shape weight = in_context("weight_dims", [&] { return Shape{dims_[0], dims_[1]}; });
    const auto s = static_cast<double>(dims_[0]), sv = static_cast<double>(weight.numel());
    return {.outputs = {{x[0], weight.numel()}},
            .weights = {{"weight", weight, choose_initializer(init_, s, sv, xavier_uniform(s, sv))}},
            .strided_inputs = Strided::rows,
            .strided_outputs = Strided::rows};
  }
  void forward(Context& ctx, const LayerRun& run) const override {
    weight_multiply_forward(ctx, run.x[0], run.w[0], run.y[0]);
  }
  void backward(Context& ctx, const LayerRun& run) const override {
    const bool wants = run.wants(0);
    weight_multiply_backward(ctx, run.x[0], run.w[0], run.d_y[0], wants ? run.d_x[0] : Tensor(), run.d_w[0],
                             wants && run.accumulates(0));
  }

 private:
  IntList dims_;
  std::string init_;
};

template <class T>
void forward_cpu(Context& ctx, const Tensor& x, const Tensor& w, const Tensor& y) {
  const int64_t rows = x.shape()[0], slots = w.shape()[0], width = w.shape()[1];
  const auto in = x.matrix<T>(), out = y.matrix<T>();
  const float* weight = w.data<float>();
  const int64_t grain = std::max<int64_t>(1, 16384 / (slots * width));
  parallel_for(ctx.threads, rows, grain, [=](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b)
      for (int64_t s = 0; s < slots; ++s)
        for (int64_t v = 0; v < width; ++v)
          store<false>(*out.at(b, s * width + v), to_float(*in.at(b, s)) * weight[s * width + v]);
  });
}

// Threads share out the slots, so that each weight's sum has one owner and one order.
template <class T>
void backward_cpu(Context& ctx, const Tensor& x, const Tensor& w, const Tensor& d_y, const Tensor& d_x,
                  const Tensor& d_w, bool accumulate) {
  const int64_t rows = x.shape()[0], slots = w.shape()[0], width = w.shape()[1];
  const auto in = x.matrix<T>(), g = d_y.matrix<T>(), d_in = d_x ? d_x.matrix<T>() : Matrix<T>{};
  const float* weight = w.data<float>();
  float* d_weight = d_w.data<float>();
  parallel_for(ctx.threads, slots, 1, [=](int64_t begin, int64_t end) {
    std::fill(d_weight + begin * width, d_weight + end * width, 0.0f);
    for (int64_t b = 0; b < rows; ++b)
      for (int64_t s = begin; s < end; ++s) {
        const T* g_slot = g.at(b, s * width);
        add_scaled(d_weight + s * width, g_slot, to_float(*in.at(b, s)), width);
        if (!d_in.data) continue;
        const float d = dot(g_slot, weight + s * width, width);
        T& target = *d_in.at(b, s);
        target = from_float<T>(accumulate ? to_float(target) + d : d);
      }
  });
}

}  // namespace

constinit decltype(weight_multiply_forward) weight_multiply_forward{
    "WeightMultiply.forward", {DType::f32, forward_cpu<float>}, {DType::bf16, forward_cpu<bf16>}};
constinit decltype(weight_multiply_backward) weight_multiply_backward{
    "WeightMultiply.backward", {DType::f32, backward_cpu<float>}, {DType::bf16, backward_cpu<bf16>}};

LayerDef weight_multiply_layer() {
  return {.name = "WeightMultiply",
          .aliases = {"Multiply"},
          .doc = "y[s, v] = x[s] W[s, v]: every input element times its own weight row",
          .params = {{"weight_dims", "weight_dims", IntList{}, JsonRule::always,
                      "[input width, weights per element]"},
                     {"weight_init_type", "weight_init", std::string("Default"), JsonRule::if_changed,
                      "initializer of the weight"}},
          .create = make_layer<WeightMultiply>};
}

}  // namespace ctr
