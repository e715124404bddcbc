// SPDX-License-Identifier: Apache-2.0
#include "kernels/softmax.h"

#include "kernels/elementwise.cuh"
#include "kernels/reduce.cuh"

namespace ctr {
namespace {

// A row is held in registers: `lanes` threads of a warp hold every lanes-th element each, up to kHeld. Longer
// rows take a block, which reads them again for every pass.
constexpr int kMostHeld = 32;

__device__ float lanes_max(float value, int lanes) {
  for (int offset = lanes / 2; offset > 0; offset /= 2)
    value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, offset));
  return value;
}
__device__ float lanes_sum(float value, int lanes) {
  for (int offset = lanes / 2; offset > 0; offset /= 2) value += __shfl_xor_sync(0xffffffffu, value, offset);
  return value;
}
__device__ float block_max(float value) {
  __shared__ float parts[cuda::kBlock / 32];
  value = lanes_max(value, 32);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
  __syncthreads();
  for (const float part : parts) value = fmaxf(value, part);
  __syncthreads();
  return value;
}

// What is done with rows of logits: nothing more in forward, where d_y is null. The mask may be, too.
template <class X, class Y>
struct Rows {
  Matrix<const X> x, d_y;
  Matrix<const Y> mask;
  Matrix<Y> out;
  float scale;
  bool accumulate;
  int64_t times, inner;

  __device__ float mask_at(int64_t r, int64_t i) const {
    return mask.data ? cuda::load(*mask.at(mask_row(r, times, inner), i)) : 1.0f;
  }
  // `most` is the largest mask of the row: one whose elements are all masked alike keeps its digits.
  __device__ float logit(int64_t r, int64_t i, float most) const {
    const float l = scale * cuda::load(*x.at(r, i));
    return mask.data ? l - kMaskedLogit * (most - mask_at(r, i)) : l;
  }
  __device__ float inverse(float sum) const { return 1.0f / (mask.data ? sum + kMaskedSum : sum); }
  __device__ float gradient(int64_t r, int64_t i) const {
    return d_y.data ? cuda::load(*d_y.at(r, i)) : 0.0f;
  }
  __device__ void finish(int64_t r, int64_t i, float y, float g, float mean) const {
    cuda::store(*out.at(r, i), d_y.data ? scale * y * (g - mean) : y, accumulate);
  }
};

template <int kHeld, class X, class Y>
__global__ void short_rows_kernel(Rows<X, Y> rows, int lanes) {
  const int lane = threadIdx.x % lanes, groups = cuda::kBlock / lanes;
  const int64_t n = rows.x.columns;
  // Whole blocks go on or end: every lane of a warp takes part in its sums.
  for (int64_t first = int64_t{blockIdx.x} * groups; first < rows.x.rows;
       first += int64_t{gridDim.x} * groups) {
    const int64_t r = first + threadIdx.x / lanes;
    const bool is_row = r < rows.x.rows;
    float e[kHeld], g[kHeld], most = -INFINITY, largest = -INFINITY, sum = 0, mean = 0;
    if (rows.mask.data) {
#pragma unroll
      for (int k = 0; k < kHeld; ++k)
        if (const int64_t i = lane + k * lanes; is_row && i < n) most = fmaxf(most, rows.mask_at(r, i));
      most = lanes_max(most, lanes);
    }
#pragma unroll
    for (int k = 0; k < kHeld; ++k) {
      const int64_t i = lane + k * lanes;
      const bool holds = is_row && i < n;
      e[k] = holds ? rows.logit(r, i, most) : -INFINITY;
      g[k] = holds ? rows.gradient(r, i) : 0.0f;
      largest = fmaxf(largest, e[k]);
    }
    largest = lanes_max(largest, lanes);
#pragma unroll
    for (int k = 0; k < kHeld; ++k) {
      e[k] = is_row && lane + k * lanes < n ? expf(e[k] - largest) : 0.0f;
      sum += e[k];
      mean += e[k] * g[k];
    }
    const float inverse = rows.inverse(lanes_sum(sum, lanes));
    mean = lanes_sum(mean, lanes) * inverse;
#pragma unroll
    for (int k = 0; k < kHeld; ++k)
      if (const int64_t i = lane + k * lanes; is_row && i < n) rows.finish(r, i, e[k] * inverse, g[k], mean);
  }
}

template <class X, class Y>
__global__ void long_rows_kernel(Rows<X, Y> rows) {
  const int64_t n = rows.x.columns;
  for (int64_t r = blockIdx.x; r < rows.x.rows; r += gridDim.x) {
    float most = -INFINITY, largest = -INFINITY, sum = 0, mean = 0;
    if (rows.mask.data) {
      for (int64_t i = threadIdx.x; i < n; i += cuda::kBlock) most = fmaxf(most, rows.mask_at(r, i));
      most = block_max(most);
    }
    for (int64_t i = threadIdx.x; i < n; i += cuda::kBlock) largest = fmaxf(largest, rows.logit(r, i, most));
    largest = block_max(largest);
    for (int64_t i = threadIdx.x; i < n; i += cuda::kBlock) {
      const float e = expf(rows.logit(r, i, most) - largest);
      sum += e;
      mean += e * rows.gradient(r, i);
    }
    const float inverse = rows.inverse(cuda::block_sum(sum));
    mean = cuda::block_sum(mean) * inverse;
    for (int64_t i = threadIdx.x; i < n; i += cuda::kBlock)
      rows.finish(r, i, expf(rows.logit(r, i, most) - largest) * inverse, rows.gradient(r, i), mean);
  }
}

template <class X, class Y>
void run(const Context& ctx, std::string_view name, const Rows<X, Y>& rows) {
  const int64_t n = rows.x.columns;
  if (rows.x.rows == 0 || n == 0) return;
  const cuda::Stream& stream = cuda::stream_of(ctx);
  if (n > int64_t{32} * kMostHeld)
    return cuda::launch(ctx, name, {cuda::grid_for(stream, rows.x.rows, 1)}, long_rows_kernel<X, Y>, rows);
  int lanes = 1;
  while (lanes < 32 && lanes < n) lanes *= 2;
  const auto go = [&](auto kernel) {
    cuda::launch(ctx, name, {cuda::grid_for(stream, rows.x.rows, cuda::kBlock / lanes)}, kernel, rows, lanes);
  };
  const int64_t held = cuda::divide_up(n, lanes);
  if (held == 1) return go(short_rows_kernel<1, X, Y>);
  if (held <= 4) return go(short_rows_kernel<4, X, Y>);
  if (held <= 12) return go(short_rows_kernel<12, X, Y>);
  go(short_rows_kernel<kMostHeld, X, Y>);
}

template <class T>
Matrix<const T> read(const Tensor& t) {
  if (!t) return {};
  const auto m = t.matrix<T>();
  return {m.data, m.rows, m.columns, m.stride};
}

// Rows of logits in X, with `out` of any type that goes with it.
template <class X>
void run_rows(const Context& ctx, std::string_view name, const Tensor& x, const Tensor& d_y,
              const Tensor& out, const SoftmaxOptions& o, bool accumulate) {
  const int64_t times = o.mask ? x.shape().rows() / std::max<int64_t>(1, o.mask.shape().rows()) : 1;
  const auto go = [&]<class Y>(Y) {
    run<X, Y>(
        ctx, name,
        {read<X>(x), read<X>(d_y), read<Y>(o.mask), out.matrix<Y>(), o.scale, accumulate, times, o.inner});
  };
  if constexpr (std::is_same_v<X, float>)
    cuda::with_storage_type(out.dtype(), go);
  else
    go(X{});
}

template <class X>
void softmax_cuda(Context& ctx, const Tensor& x, const Tensor& y, const SoftmaxOptions& o) {
  run_rows<X>(ctx, "softmax", x, {}, y, o, false);
}

template <class X>
void softmax_backward_cuda(Context& ctx, const Tensor& x, const Tensor& d_y, const Tensor& d_x,
                           const SoftmaxOptions& o, bool accumulate) {
  run_rows<X>(ctx, "softmax_backward", x, d_y, d_x, o, accumulate);
}

}  // namespace

void register_softmax_cuda() {
  cuda::for_storage_types([]<class T>(T) {
    softmax.set(Backend::cuda, dtype_of<T>, softmax_cuda<T>);
    softmax_backward.set(Backend::cuda, dtype_of<T>, softmax_backward_cuda<T>);
  });
}

}  // namespace ctr
