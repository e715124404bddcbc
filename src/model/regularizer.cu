// SPDX-License-Identifier: Apache-2.0
#include "model/regularizer.h"

#include "kernels/elementwise.cuh"
#include "kernels/reduce.cuh"

namespace ctr {
namespace {

void value_cuda(Context& ctx, const Tensor& weights, const Tensor& value, RegularizerTerm term, int64_t n) {
  const float* w = weights.data<float>();
  float* out = value.data<float>();
  cuda::sum_all(
      ctx, "regularizer.value", weights.numel(),
      [=] __device__(int64_t i) { return term.l2 ? 0.5f * w[i] * w[i] : fabsf(w[i]); },
      [=] __device__(double sum) { *out = static_cast<float>(sum * term.lambda / static_cast<double>(n)); });
}

void gradient_cuda(Context& ctx, const Tensor& weights, const Tensor& gradient, RegularizerTerm term,
                   int64_t n) {
  const StepState* step = ctx.step;
  cuda::map(
      ctx, "regularizer.gradient", gradient.matrix<float>(gradient.numel()), true,
      [=] __device__(float w) {
        const float c = step->loss_scale * term.lambda / static_cast<float>(n);
        return term.l2 ? c * w : w > 0 ? c : w < 0 ? -c : 0.0f;
      },
      weights.matrix<float>(weights.numel()));
}

}  // namespace

void register_regularizer_cuda() {
  regularizer_value.set(Backend::cuda, DType::f32, value_cuda);
  regularizer_gradient.set(Backend::cuda, DType::f32, gradient_cuda);
}

}  // namespace ctr
