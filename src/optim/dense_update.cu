// SPDX-License-Identifier: Apache-2.0
#include "optim/dense_update.h"

#include "device/cuda.cuh"
#include "kernels/convert.h"
#include "kernels/storage.cuh"

namespace ctr {
namespace {

// Ascending and disjoint; as many as a kernel can take.
constexpr int kMaxCopies = 64;
struct Copies {
  int64_t begin[kMaxCopies], end[kMaxCopies];
  void* to[kMaxCopies];
  int count = 0;

  template <class T>
  __device__ void write(int64_t i, float w) const {
    int low = 0, high = count;  // the first that begins beyond i
    while (low < high) {
      const int middle = (low + high) / 2;
      if (begin[middle] <= i)
        low = middle + 1;
      else
        high = middle;
    }
    if (low > 0 && i < end[low - 1]) static_cast<T*>(to[low - 1])[i - begin[low - 1]] = cuda::rounded<T>(w);
  }
};

// States of weight i are s[i], s[i + n], ...
template <class Rule, class T>
__global__ void update_kernel(int64_t n, float* w, const float* g, float* s, OptimizerSpec spec,
                              const StepState* step, Copies copies) {
  __shared__ StepConstants c;
  if (threadIdx.x == 0) c = step_constants(spec, step->learning_rate, step->dense_step, step->loss_scale);
  __syncthreads();
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n;
       i += int64_t{gridDim.x} * blockDim.x) {
    float weight = w[i];
    Rule::step(weight, g[i] * c.grad_scale, s + i, n, c);
    w[i] = weight;
    copies.write<T>(i, weight);
  }
}

void dense_update_cuda(Context& ctx, const Tensor& weights, const Tensor& grads, const Tensor& states,
                       const OptimizerSpec& spec, std::span<const WeightCopy> copies) {
  const int64_t n = weights.numel();
  if (n == 0) return;
  Copies first;
  for (const WeightCopy& copy : copies.first(std::min<size_t>(copies.size(), kMaxCopies))) {
    first.begin[first.count] = copy.begin, first.end[first.count] = copy.begin + copy.to.numel();
    first.to[first.count++] = copy.to.raw();
  }
  const auto launch = [&]<class Rule, class T>(Rule, T) {
    if (grads.numel() != n || states.numel() != Rule::kStates * n)
      fail(ErrorKind::internal, "{}: {} weights with {} gradients and {} states", name_of(spec.type), n,
           grads.numel(), states.numel());
    cuda::launch(ctx, "dense_update", {cuda::grid_for(cuda::stream_of(ctx), n, 4 * cuda::kBlock)},
                 update_kernel<Rule, T>, n, weights.data<float>(),
                 static_cast<const float*>(grads.data<float>()), states.data<float>(), spec, ctx.step, first);
  };
  const DType type = copies.empty() ? DType::f32 : copies[0].to.dtype();
  with_rule(spec.type,
            [&](auto rule) { cuda::with_storage_type(type, [&](auto storage) { launch(rule, storage); }); });
  for (const WeightCopy& copy : copies.subspan(static_cast<size_t>(first.count)))
    convert(ctx, Tensor(DType::f32, copy.to.shape(), weights.data<float>() + copy.begin), copy.to);
}

}  // namespace

void register_dense_update_cuda() { dense_update.set(Backend::cuda, DType::f32, dense_update_cuda); }

}  // namespace ctr
