// SPDX-License-Identifier: Apache-2.0
#include "layers/softmax_loss.h"

#include "device/memory.h"
#include "kernels/reduce.h"
#include "kernels/storage.h"
#include "layers/loss.h"
#include "layers/sigmoid.h"
#include "layers/sigmoid_loss.h"

namespace ctr {
namespace {

class CrossEntropyLoss final : public Layer {
 public:
  explicit CrossEntropyLoss(const Params& p) : weight_(p.real("loss_weight")) {}

  LayerShapes infer(const InferContext& inputs) const override {
    const Shape &x = inputs[0], &label = inputs[1];
    require(x.rank() == 2 && x[1] == 2, "its prediction must be [batch, 2], got {}", to_string(x));
    require(label.rank() == 2 && (label[1] == 1 || label[1] == 2) && x[0] >= label[0],
            "its label must be [batch, 1] or [batch, 2], got {} for a prediction {}", to_string(label),
            to_string(x));
    return {.outputs = {{{1}, ValueType::f32, "loss"}, {{label[0], 2}, ValueType::f32, "prediction"}}};
  }
  void forward(Context& ctx, const LayerRun& run) const override {
    softmax_loss_forward(ctx, run.x[0], run.x[1], run.y[0], run.y[1], weight_);
  }
  void backward(Context& ctx, const LayerRun& run) const override {
    if (run.wants(0)) softmax_loss_backward(ctx, run.y[1], run.x[1], run.d_x[0], weight_, run.accumulates(0));
  }

 private:
  float weight_;
};

template <class T>
void forward_cpu(Context& ctx, const Tensor& x, const Tensor& label, const Tensor& loss,
                 const Tensor& probability, float weight) {
  const int64_t batch = label.shape()[0], columns = label.shape()[1];
  const LossScale scale = loss_scale(*ctx.step, batch, weight);
  const double sum = sum_over_rows(ctx, batch, [&](int64_t begin, int64_t end) {
    double part = 0;
    for (int64_t r = begin; r < end; ++r) {
      float pair[2];
      copy_as(x.data<T>() + 2 * r, 2, pair);
      const float logit = SoftmaxLossMath::click_logit(pair);
      float* out = probability.data<float>() + 2 * r;
      out[0] = SigmoidMath::forward(-logit);
      out[1] = SigmoidMath::forward(logit);
      const float clicked = SoftmaxLossMath::clicked(label.data<float>() + r * columns, columns);
      if (r < scale.rows) part += static_cast<double>(SigmoidLossMath::value(logit, clicked));
    }
    return part;
  });
  *loss.data<float>() = static_cast<float>(sum * static_cast<double>(scale.value));
}

void backward_cpu(Context& ctx, const Tensor& probability, const Tensor& label, const Tensor& d_x,
                  float weight, bool accumulate) {
  const int64_t columns = label.shape()[1];
  const LossScale scale = loss_scale(*ctx.step, label.shape()[0], weight);
  if (!accumulate) fill_zero(ctx, d_x);
  with_elements(d_x, [&](auto* out) {
    for_row_parts(ctx, scale.rows, [&](int64_t, Range rows) {
      for (int64_t r = rows.begin; r < rows.end; ++r) {
        const float* p = probability.data<float>() + 2 * r;
        const float clicked = SoftmaxLossMath::clicked(label.data<float>() + r * columns, columns);
        store<true>(out[2 * r], scale.gradient * SigmoidLossMath::gradient(p[0], 1 - clicked));
        store<true>(out[2 * r + 1], scale.gradient * SigmoidLossMath::gradient(p[1], clicked));
      }
    });
  });
}

}  // namespace

constinit decltype(softmax_loss_forward) softmax_loss_forward{
    "CrossEntropyLoss.forward", {DType::f32, forward_cpu<float>}, {DType::bf16, forward_cpu<bf16>}};
constinit decltype(softmax_loss_backward) softmax_loss_backward{"CrossEntropyLoss.backward",
                                                                {DType::f32, backward_cpu}};

LayerDef cross_entropy_loss_layer() {
  return {.name = "CrossEntropyLoss",
          .doc = "softmax over [no click, click] and cross entropy",
          .min_inputs = 2,
          .max_inputs = 2,
          .params = loss_params(),
          .is_loss = true,
          .labels = {.is_bounded = true},
          .is_of_two_classes = true,
          .create = make_layer<CrossEntropyLoss>};
}

}  // namespace ctr
