// SPDX-License-Identifier: Apache-2.0
#include "layers/dropout.h"

#include "kernels/elementwise.cuh"

namespace ctr {
namespace {

// Half a warp decides one group of one sample: each of its threads four elements.
template <class T>
__global__ void forward_kernel(int64_t items, DropoutLayout layout, const T* x, T* y, uint32_t* bits,
                               DropoutMask mask, float scale, const StepState* step) {
  constexpr int kLanes = DropoutMask::kLanes;
  mask.step = static_cast<uint32_t>(step->step);
  const int64_t groups = layout.groups();
  const auto first = static_cast<uint32_t>(layout.first(step->first_sample));
  const uint32_t lane = threadIdx.x % kLanes, half = threadIdx.x / kLanes % 2;
  // Whole warps run: a thread without an item takes part in the votes only.
  for (int64_t base = int64_t{blockIdx.x} * blockDim.x; base < items;
       base += int64_t{gridDim.x} * blockDim.x) {
    const int64_t item = base + threadIdx.x, part = item / kLanes;
    const int64_t sample = part / groups, group = part % groups;
    const bool is_real = item < items;
    const Random4 words =
        mask.words(first + static_cast<uint32_t>(sample), static_cast<uint32_t>(group), lane);
    uint32_t kept[4];
    for (int w = 0; w < 4; ++w) {
      const bool keep = words.v[w] >= mask.threshold;
      kept[w] = __ballot_sync(0xffffffffu, keep) >> (half * kLanes) & 0xffffu;
      const int64_t element = group * DropoutMask::kGroup + w * kLanes + lane;
      if (is_real && element < layout.elements) {
        const int64_t i = sample * layout.elements + element;
        y[i] = cuda::rounded<T>(keep ? cuda::load(x[i]) * scale : 0.0f);
      }
    }
    if (is_real && lane < 2) bits[part * 2 + lane] = kept[2 * lane] | kept[2 * lane + 1] << kLanes;
  }
}

template <class T>
void forward_cuda(Context& ctx, const Tensor& x, const Tensor& y, const Tensor& bits, float rate,
                  std::string_view layer, const DropoutLayout& layout) {
  const int64_t items = layout.samples * layout.groups() * DropoutMask::kLanes;
  cuda::launch(ctx, "Dropout.forward", {cuda::grid_for(cuda::stream_of(ctx), items)}, forward_kernel<T>,
               items, layout, static_cast<const T*>(x.data<T>()), y.data<T>(),
               reinterpret_cast<uint32_t*>(bits.data<int32_t>()), DropoutMask::make(ctx.seed, layer, 0, rate),
               1 / (1 - rate), ctx.step);
}

template <class T>
void backward_cuda(Context& ctx, const Tensor& d_y, const Tensor& d_x, const Tensor& bits, float rate,
                   const DropoutLayout& layout, bool accumulate) {
  const int64_t elements = layout.elements, words = 2 * layout.groups();
  const auto* mask = reinterpret_cast<const uint32_t*>(bits.data<int32_t>());
  const T* g = d_y.data<T>();
  T* out = d_x.data<T>();
  const float scale = 1 / (1 - rate);
  cuda::for_each(ctx, "Dropout.backward", d_y.numel(), [=] __device__(int64_t i) {
    const int64_t element = i % elements;
    const bool keep = mask[i / elements * words + element / 32] >> (element % 32) & 1;
    cuda::store(out[i], keep ? cuda::load(g[i]) * scale : 0.0f, accumulate);
  });
}

}  // namespace

void register_dropout_cuda() {
  cuda::for_storage_types([]<class T>(T) {
    dropout_forward.set(Backend::cuda, dtype_of<T>, forward_cuda<T>);
    dropout_backward.set(Backend::cuda, dtype_of<T>, backward_cuda<T>);
  });
}

}  // namespace ctr
