// SPDX-License-Identifier: Apache-2.0
#include "layers/softmax_loss.h"

#include "kernels/elementwise.cuh"
#include "kernels/reduce.cuh"
#include "layers/loss.h"
#include "layers/sigmoid.h"
#include "layers/sigmoid_loss.h"

namespace ctr {
namespace {

template <class T>
void forward_cuda(Context& ctx, const Tensor& x, const Tensor& label, const Tensor& loss,
                  const Tensor& probability, float weight) {
  const int64_t batch = label.shape()[0], columns = label.shape()[1];
  const T* in = x.data<T>();
  const float* target = label.data<float>();
  float *out = probability.data<float>(), *total = loss.data<float>();
  const StepState* step = ctx.step;
  cuda::sum_all(
      ctx, "CrossEntropyLoss.forward", batch,
      [=] __device__(int64_t r) {
        const float pair[2] = {cuda::load(in[2 * r]), cuda::load(in[2 * r + 1])};
        const float logit = SoftmaxLossMath::click_logit(pair);
        out[2 * r] = SigmoidMath::forward(-logit);
        out[2 * r + 1] = SigmoidMath::forward(logit);
        if (r >= step->rows) return 0.0f;
        return SigmoidLossMath::value(logit, SoftmaxLossMath::clicked(target + r * columns, columns));
      },
      [=] __device__(double sum) {
        *total = static_cast<float>(sum * static_cast<double>(loss_scale(*step, batch, weight).value));
      });
}

template <class T>
void backward_into(Context& ctx, const Tensor& probability, const Tensor& label, const Tensor& d_x,
                   float weight, bool accumulate) {
  const int64_t batch = label.shape()[0], columns = label.shape()[1];
  const float *p = probability.data<float>(), *target = label.data<float>();
  T* out = d_x.data<T>();
  const StepState* step = ctx.step;
  cuda::for_each(ctx, "CrossEntropyLoss.backward", d_x.numel(), [=] __device__(int64_t i) {
    const int64_t r = i / 2;
    float d = 0;
    if (r < step->rows && r < batch) {
      const float clicked = SoftmaxLossMath::clicked(target + r * columns, columns);
      d = loss_scale(*step, batch, weight).gradient *
          SigmoidLossMath::gradient(p[i], i % 2 ? clicked : 1 - clicked);
    }
    cuda::store(out[i], d, accumulate);
  });
}

// The probabilities are f32 whatever the type of the gradient.
void backward_cuda(Context& ctx, const Tensor& probability, const Tensor& label, const Tensor& d_x,
                   float weight, bool accumulate) {
  cuda::with_storage_type(
      d_x.dtype(), [&]<class T>(T) { backward_into<T>(ctx, probability, label, d_x, weight, accumulate); });
}

}  // namespace

void register_softmax_loss_cuda() {
  cuda::for_storage_types(
      []<class T>(T) { softmax_loss_forward.set(Backend::cuda, dtype_of<T>, forward_cuda<T>); });
  softmax_loss_backward.set(Backend::cuda, DType::f32, backward_cuda);
}

}  // namespace ctr
