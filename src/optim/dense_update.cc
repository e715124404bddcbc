// SPDX-License-Identifier: Apache-2.0
#include "optim/dense_update.h"

#include <algorithm>

#include "base/parallel.h"
#include "base/vectorize.h"
#include "kernels/convert.h"

namespace ctr {
namespace {

// Threads share whole blocks of weights, so that their number changes no rounding.
constexpr int64_t kBlock = 256;
constexpr int64_t kBlocksPerThread = 16;

// States of weight i are s[i], s[i + n], ...
template <class Rule>
CTR_VECTORIZE void update(float* w, const float* g, float* s, int64_t n, Range r, StepConstants c) {
#pragma GCC ivdep  // the arrays do not overlap
  for (int64_t i = r.begin; i < r.end; ++i) Rule::step(w[i], g[i] * c.grad_scale, s + i, n, c);
}

void dense_update_cpu(Context& ctx, const Tensor& weights, const Tensor& grads, const Tensor& states,
                      const OptimizerSpec& spec, std::span<const WeightCopy> copies) {
  const StepConstants c =
      step_constants(spec, ctx.step->learning_rate, ctx.step->dense_step, ctx.step->loss_scale);
  const int64_t n = weights.numel();
  with_rule(spec.type, [&](auto rule) {
    if (grads.numel() != n || states.numel() != rule.kStates * n)
      fail(ErrorKind::internal, "{}: {} weights with {} gradients and {} states", name_of(spec.type), n,
           grads.numel(), states.numel());
    parallel_for(ctx.threads, (n + kBlock - 1) / kBlock, kBlocksPerThread, [&](int64_t begin, int64_t end) {
      update<decltype(rule)>(weights.data<float>(), grads.data<float>(), states.data<float>(), n,
                             {begin * kBlock, std::min(end * kBlock, n)}, c);
    });
  });
  for (const WeightCopy& copy : copies)
    convert(ctx, Tensor(DType::f32, copy.to.shape(), weights.data<float>() + copy.begin), copy.to);
}

}  // namespace

constinit decltype(dense_update) dense_update{"dense_update", {DType::f32, dense_update_cpu}};

}  // namespace ctr
