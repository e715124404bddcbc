// SPDX-License-Identifier: Apache-2.0
#include "optim/dense_update.h"

#include "device/cuda.cuh"

namespace ctr {
namespace {

// States of weight i are s[i], s[i + n], ...
template <class Rule>
__global__ void update_kernel(int64_t n, float* w, const float* g, float* s, OptimizerSpec spec,
                              const StepState* step) {
  __shared__ StepConstants c;
  if (threadIdx.x == 0) c = step_constants(spec, step->learning_rate, step->dense_step, step->loss_scale);
  __syncthreads();
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n;
       i += int64_t{gridDim.x} * blockDim.x)
    Rule::step(w[i], g[i] * c.grad_scale, s + i, n, c);
}

void dense_update_cuda(Context& ctx, const Tensor& weights, const Tensor& grads, const Tensor& states,
                       const OptimizerSpec& spec) {
  const int64_t n = weights.numel();
  if (n == 0) return;
  with_rule(spec.type, [&](auto rule) {
    if (grads.numel() != n || states.numel() != rule.kStates * n)
      fail(ErrorKind::internal, "{}: {} weights with {} gradients and {} states", name_of(spec.type), n,
           grads.numel(), states.numel());
    cuda::launch(ctx, "dense_update", {cuda::grid_for(cuda::stream_of(ctx), n, 4 * cuda::kBlock)},
                 update_kernel<decltype(rule)>, n, weights.data<float>(),
                 static_cast<const float*>(grads.data<float>()), states.data<float>(), spec, ctx.step);
  });
}

}  // namespace

void register_dense_update_cuda() { dense_update.set(Backend::cuda, DType::f32, dense_update_cuda); }

}  // namespace ctr
