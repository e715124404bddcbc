// SPDX-License-Identifier: Apache-2.0
#include "layers/sigmoid_loss.h"

#include "kernels/elementwise.cuh"
#include "kernels/reduce.cuh"
#include "layers/loss.h"
#include "layers/sigmoid.h"

namespace ctr {
namespace {

// The options as a kernel sees them.
struct LabelWeights {
  const float* weights;  // of columns, or null
  bool allow_missing;

  explicit LabelWeights(const SigmoidLossOptions& options)
      : weights(options.column_weights ? options.column_weights.data<float>() : nullptr),
        allow_missing(options.allow_missing) {}
  // 0 where there is no label.
  __device__ float of(float label, int64_t column) const {
    if (allow_missing && label < -0.5f) return 0;
    return weights ? weights[column] : 1.0f;
  }
};

template <class T>
void forward_cuda(Context& ctx, const Tensor& x, const Tensor& label, const Tensor& loss,
                  const Tensor& probability, const SigmoidLossOptions& options) {
  const int64_t batch = label.shape()[0], columns = label.shape()[1];
  const LabelWeights weights(options);
  const T* in = x.data<T>();
  const float* target = label.data<float>();
  float *out = probability.data<float>(), *total = loss.data<float>();
  const StepState* step = ctx.step;
  cuda::sum_all(
      ctx, "SigmoidLoss.forward", batch * columns,
      [=] __device__(int64_t i) {
        const float logit = cuda::load(in[i]), weight = weights.of(target[i], i % columns);
        out[i] = SigmoidMath::forward(logit);
        if (i / columns >= step->rows || weight == 0) return 0.0f;
        return weight * SigmoidLossMath::value(logit, target[i]);
      },
      [=, weight = options.weight] __device__(double sum) {
        *total = static_cast<float>(sum / static_cast<double>(columns) *
                                    static_cast<double>(loss_scale(*step, batch, weight).value));
      });
}

template <class T>
void backward_into(Context& ctx, const Tensor& probability, const Tensor& label, const Tensor& d_x,
                   const SigmoidLossOptions& options, bool accumulate) {
  const int64_t batch = label.shape()[0], columns = label.shape()[1];
  const LabelWeights weights(options);
  const float *p = probability.data<float>(), *target = label.data<float>();
  T* out = d_x.data<T>();
  const StepState* step = ctx.step;
  cuda::for_each(ctx, "SigmoidLoss.backward", d_x.numel(),
                 [=, weight = options.weight] __device__(int64_t i) {
                   float d = 0;
                   if (i / columns < step->rows && i < batch * columns)
                     d = weights.of(target[i], i % columns) *
                         (loss_scale(*step, batch, weight).gradient / static_cast<float>(columns)) *
                         SigmoidLossMath::gradient(p[i], target[i]);
                   cuda::store(out[i], d, accumulate);
                 });
}

// The probabilities are f32 whatever the type of the gradient.
void backward_cuda(Context& ctx, const Tensor& probability, const Tensor& label, const Tensor& d_x,
                   const SigmoidLossOptions& options, bool accumulate) {
  cuda::with_storage_type(
      d_x.dtype(), [&]<class T>(T) { backward_into<T>(ctx, probability, label, d_x, options, accumulate); });
}

}  // namespace

void register_sigmoid_loss_cuda() {
  cuda::for_storage_types(
      []<class T>(T) { sigmoid_loss_forward.set(Backend::cuda, dtype_of<T>, forward_cuda<T>); });
  sigmoid_loss_backward.set(Backend::cuda, DType::f32, backward_cuda);
}

}  // namespace ctr
