// SPDX-License-Identifier: Apache-2.0
#include "layers/sigmoid_loss.h"

#include "device/memory.h"
#include "kernels/reduce.h"
#include "kernels/storage.h"
#include "layers/loss.h"
#include "layers/sigmoid.h"

namespace ctr {
namespace {

class SigmoidLoss : public Layer {
 public:
  SigmoidLoss(float weight, bool allow_missing, const RealList& column_weights)
      : column_weights_(column_weights.begin(), column_weights.end()), options_{weight, allow_missing} {}

  LayerShapes infer(const InferContext& inputs) const override {
    const Shape &x = inputs[0], &label = inputs[1];
    require(x.rank() == 2 && label.rank() == 2 && x[1] == label[1] && x[0] >= label[0],
            "prediction and label must both be [batch, columns], got {} and {}", to_string(x),
            to_string(label));
    LayerShapes shapes{.outputs = {{{1}, ValueType::f32, "loss"}, {label, ValueType::f32, "prediction"}}};
    if (!column_weights_.empty()) shapes.constants.emplace_back(column_weights_);
    return shapes;
  }
  void forward(Context& ctx, const LayerRun& run) const override {
    sigmoid_loss_forward(ctx, run.x[0], run.x[1], run.y[0], run.y[1], options(run));
  }
  void backward(Context& ctx, const LayerRun& run) const override {
    if (run.wants(0))
      sigmoid_loss_backward(ctx, run.y[1], run.x[1], run.d_x[0], options(run), run.accumulates(0));
  }

 private:
  SigmoidLossOptions options(const LayerRun& run) const {
    SigmoidLossOptions options = options_;
    if (!column_weights_.empty()) options.column_weights = run.constants[0];
    return options;
  }

  std::vector<float> column_weights_;
  SigmoidLossOptions options_;
};

class BinaryCrossEntropyLoss final : public SigmoidLoss {
 public:
  explicit BinaryCrossEntropyLoss(const Params& p) : SigmoidLoss(p.real("loss_weight"), false, {}) {}
  LayerShapes infer(const InferContext& inputs) const override {
    require(inputs[0].last() == 1, "its prediction must be [batch, 1], got {}", to_string(inputs[0]));
    return SigmoidLoss::infer(inputs);
  }
};

class MultiCrossEntropyLoss final : public SigmoidLoss {
 public:
  explicit MultiCrossEntropyLoss(const Params& p)
      : SigmoidLoss(p.real("loss_weight"), true, p.get<RealList>("target_weight_vec")),
        targets_(static_cast<int64_t>(p.get<RealList>("target_weight_vec").size())) {}
  LayerShapes infer(const InferContext& inputs) const override {
    require(targets_ == 0 || targets_ == inputs[0].last(),
            "target_weight_vec has {} entries for a prediction {}", targets_, to_string(inputs[0]));
    return SigmoidLoss::infer(inputs);
  }

 private:
  int64_t targets_;
};

// Calls body(element, weight) for the elements of rows [begin, end) that have a label.
template <class Body>
void for_labelled(const SigmoidLossOptions& options, const float* label, int64_t columns, int64_t begin,
                  int64_t end, const Body& body) {
  const float* weights = options.column_weights ? options.column_weights.data<float>() : nullptr;
  for (int64_t r = begin; r < end; ++r)
    for (int64_t t = 0; t < columns; ++t) {
      const int64_t i = r * columns + t;
      if (options.allow_missing && label[i] < -0.5f) continue;
      body(i, weights ? weights[t] : 1.0f);
    }
}

template <class T>
void forward_cpu(Context& ctx, const Tensor& x, const Tensor& label, const Tensor& loss,
                 const Tensor& probability, const SigmoidLossOptions& options) {
  const int64_t batch = label.shape()[0], columns = label.shape()[1];
  const LossScale scale = loss_scale(*ctx.step, batch, options.weight);
  const T* in = x.data<T>();
  const float* target = label.data<float>();
  float* out = probability.data<float>();
  const double sum = sum_over_rows(ctx, batch, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * columns; i < end * columns; ++i) out[i] = SigmoidMath::forward(to_float(in[i]));
    double part = 0;
    for_labelled(options, target, columns, begin, std::min(end, scale.rows), [&](int64_t i, float weight) {
      part += static_cast<double>(weight * SigmoidLossMath::value(to_float(in[i]), target[i]));
    });
    return part;
  });
  *loss.data<float>() =
      static_cast<float>(sum / static_cast<double>(columns) * static_cast<double>(scale.value));
}

void backward_cpu(Context& ctx, const Tensor& probability, const Tensor& label, const Tensor& d_x,
                  const SigmoidLossOptions& options, bool accumulate) {
  const int64_t batch = label.shape()[0], columns = label.shape()[1];
  const LossScale scale = loss_scale(*ctx.step, batch, options.weight);
  const float *p = probability.data<float>(), *target = label.data<float>();
  const float element = scale.gradient / static_cast<float>(columns);
  if (!accumulate) fill_zero(ctx, d_x);
  with_elements(d_x, [&](auto* out) {
    for_row_parts(ctx, scale.rows, [&](int64_t, Range r) {
      for_labelled(options, target, columns, r.begin, r.end, [&](int64_t i, float weight) {
        store<true>(out[i], weight * element * SigmoidLossMath::gradient(p[i], target[i]));
      });
    });
  });
}

}  // namespace

constinit decltype(sigmoid_loss_forward) sigmoid_loss_forward{
    "SigmoidLoss.forward", {DType::f32, forward_cpu<float>}, {DType::bf16, forward_cpu<bf16>}};
constinit decltype(sigmoid_loss_backward) sigmoid_loss_backward{"SigmoidLoss.backward",
                                                                {DType::f32, backward_cpu}};

LayerDef binary_cross_entropy_loss_layer() {
  return {.name = "BinaryCrossEntropyLoss",
          .doc = "sigmoid and binary cross entropy of one logit per sample",
          .min_inputs = 2,
          .max_inputs = 2,
          .params = loss_params(),
          .is_loss = true,
          .create = make_layer<BinaryCrossEntropyLoss>};
}

LayerDef multi_cross_entropy_loss_layer() {
  LayerDef def{.name = "MultiCrossEntropyLoss",
               .doc = "mean of independent binary cross entropies; labels below -0.5 are missing",
               .min_inputs = 2,
               .max_inputs = 2,
               .params = loss_params(),
               .is_loss = true,
               .labels = {.may_be_missing = true},
               .create = make_layer<MultiCrossEntropyLoss>};
  def.params.push_back({"target_weight_vec", "target_weight", RealList{}, JsonRule::if_changed,
                        "weight of each column; empty: ones"});
  return def;
}

}  // namespace ctr
