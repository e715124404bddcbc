// SPDX-License-Identifier: Apache-2.0
#include "kernels/reduce.h"

#include "kernels/elementwise.cuh"
#include "kernels/reduce.cuh"

namespace ctr {
namespace {

// A warp a row.
template <class T, class U>
__global__ void sum_rows_kernel(int64_t rows, int64_t width, int64_t stride, const T* x, U* y, float scale,
                                bool accumulate) {
  const int lane = threadIdx.x % 32;
  const int64_t warps = int64_t{gridDim.x} * (cuda::kBlock / 32);
  for (int64_t r = int64_t{blockIdx.x} * (cuda::kBlock / 32) + threadIdx.x / 32; r < rows; r += warps) {
    float sum = 0;
    for (int64_t i = lane; i < width; i += 32) sum += cuda::load(x[r * stride + i]);
    sum = cuda::warp_sum(sum);
    if (lane == 0) cuda::store(y[r], scale * sum, accumulate);
  }
}

// The result is in the type of x, or f32: sums of gradients over a batch stay wide.
template <class T, class U>
void reduce_sum_into(Context& ctx, const Tensor& in, U* y, ReduceShape s, float scale, bool accumulate) {
  const int64_t row = reduced_row(in, s), stride = in.row_stride(row);
  const T* x = in.first<T>();
  constexpr std::string_view kName = "reduce_sum";
  constexpr int kWide = cuda::kPack<T>;
  const auto finish = [=] __device__(int64_t c, const float* sum) {
    cuda::store(y[c], scale * *sum, accumulate);
  };
  if (s.outer == 1 && s.inner == 1) {
    const int64_t apart = row == 1 ? stride : 1;
    cuda::sum_all(
        ctx, kName, s.extent, [=] __device__(int64_t i) { return cuda::load(x[i * apart]); },
        [=] __device__(double sum) { cuda::store(*y, scale * static_cast<float>(sum), accumulate); });
  } else if (s.inner == 1) {
    if (s.outer == 0) return;
    cuda::launch(ctx, kName, {cuda::grid_for(cuda::stream_of(ctx), s.outer, cuda::kBlock / 32)},
                 sum_rows_kernel<T, U>, s.outer, s.extent, stride, x, y, scale, accumulate);
  } else if (s.outer == 1 && (s.inner | stride) % kWide == 0 && cuda::are_aligned(x)) {
    cuda::sum_column_packs<kWide>(
        ctx, kName, s.extent, s.inner,
        [=] __device__(int64_t r, int64_t c, float* sum) {
          const auto pack = *reinterpret_cast<const cuda::Pack<T, kWide>*>(x + r * stride + c);
          for (int k = 0; k < kWide; ++k) sum[k] += cuda::load(pack.v[k]);
        },
        finish);
  } else if (s.outer == 1) {
    cuda::sum_columns<1, float>(
        ctx, kName, s.extent, s.inner,
        [=] __device__(int64_t r, int64_t c, float* sum) { *sum += cuda::load(x[r * stride + c]); }, finish);
  } else {
    cuda::for_each(ctx, kName, s.outer * s.inner, [=] __device__(int64_t i) {
      const T* first = x + i / s.inner * s.extent * s.inner + i % s.inner;
      float sum = 0;
      for (int64_t e = 0; e < s.extent; ++e) sum += cuda::load(first[e * s.inner]);
      cuda::store(y[i], scale * sum, accumulate);
    });
  }
}

template <class T>
void reduce_sum_cuda(Context& ctx, const Tensor& x, const Tensor& y, ReduceShape s, float scale,
                     bool accumulate) {
  if (y.dtype() == DType::f32)
    reduce_sum_into<T>(ctx, x, y.data<float>(), s, scale, accumulate);
  else
    reduce_sum_into<T>(ctx, x, y.data<T>(), s, scale, accumulate);
}

template <class T>
void broadcast_sum_cuda(Context& ctx, const Tensor& d_y, const Tensor& d_x, ReduceShape s, float scale,
                        bool accumulate) {
  const T* from = d_y.data<T>();
  const int64_t row = reduced_row(d_x, s);
  const auto to = d_x.matrix<T>(row);
  if (s.inner == 1 && row == s.extent)
    return cuda::for_each_in_rows(ctx, "broadcast_sum", s.outer, s.extent,
                                  [=] __device__(int64_t o, int64_t e) {
                                    cuda::store(*to.at(o, e), scale * cuda::load(from[o]), accumulate);
                                  });
  T* first = d_x.data<T>();
  cuda::for_each(ctx, "broadcast_sum", s.outer * s.extent * s.inner, [=] __device__(int64_t i) {
    const int64_t outer = i / (s.extent * s.inner);
    cuda::store(first[i], scale * cuda::load(from[outer * s.inner + i % s.inner]), accumulate);
  });
}

}  // namespace

void register_reduce_cuda() {
  cuda::for_storage_types([]<class T>(T) {
    reduce_sum.set(Backend::cuda, dtype_of<T>, reduce_sum_cuda<T>);
    broadcast_sum.set(Backend::cuda, dtype_of<T>, broadcast_sum_cuda<T>);
  });
}

}  // namespace ctr
