// SPDX-License-Identifier: Apache-2.0
#include "model/finite_watch.h"

#include "device/cuda.cuh"
#include "kernels/storage.cuh"

namespace ctr {
namespace {

constexpr int kThreads = 1024;

template <class T>
__device__ bool part_is_finite(const WatchedTensor& t) {
  const T* values = static_cast<const T*>(t.data);
  const int64_t n = t.rows * t.columns;
  bool finite = true;
  for (int64_t i = threadIdx.x; i < n; i += kThreads)
    finite &= isfinite(cuda::load(values[t.rows == 1 ? i : i / t.columns * t.stride + i % t.columns]));
  return finite;
}

// By all threads of the block, for all of them.
__device__ bool is_finite(const WatchedTensor& t) {
  const bool part = t.dtype == DType::bf16  ? part_is_finite<bf16>(t)
                    : t.dtype == DType::f16 ? part_is_finite<f16>(t)
                                            : part_is_finite<float>(t);
  return __syncthreads_and(part);
}

// One block: in a step without a finding it reads a few numbers beside other work of the step.
__global__ void watch_kernel(WatchRecord* record, WatchView view, const StepState* step) {
  const int64_t found = record->step;
  bool fine = view.triggers_count > 0;
  for (int64_t i = 0; i < view.triggers_count; ++i) fine &= is_finite(view.triggers[i]);
  if (fine || found >= 0) return;
  for (int64_t i = 0; i < view.count; ++i) {
    if (is_finite(view.tensors[i])) continue;
    if (threadIdx.x == 0) *record = {step->step, i};
    return;
  }
}

void watch_cuda(Context& ctx, const Tensor& record, const WatchView& view) {
  cuda::launch(ctx, "watch_finite", {1, kThreads}, watch_kernel,
               reinterpret_cast<WatchRecord*>(record.data<int64_t>()), view, ctx.step);
}

}  // namespace

void register_finite_watch_cuda() { watch_finite.set(Backend::cuda, DType::i64, watch_cuda); }

}  // namespace ctr
