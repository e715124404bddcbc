// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/tensor.h"
#include "device/cuda.cuh"
#include "kernels/storage.cuh"

namespace ctr::cuda {

template <class F>
__global__ void for_each_kernel(int64_t n, F f) {
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n;
       i += int64_t{gridDim.x} * blockDim.x)
    f(i);
}

// f(i) for i in [0, n), each on a thread of its own; neighbours run together.
template <class F>
void for_each(const Context& ctx, std::string_view name, int64_t n, F f) {
  if (n > 0) launch(ctx, name, {grid_for(stream_of(ctx), n)}, for_each_kernel<F>, n, f);
}

template <class F>
__global__ void for_each_in_rows_kernel(int64_t rows, int64_t columns, int lanes, F f) {
  const int lane = threadIdx.x % lanes, groups = kBlock / lanes;
  for (int64_t r = int64_t{blockIdx.x} * groups + threadIdx.x / lanes; r < rows;
       r += int64_t{gridDim.x} * groups)
    for (int64_t c = lane; c < columns; c += lanes) f(r, c);
}

// f(row, column) for a matrix, neighbours of a row together.
template <class F>
void for_each_in_rows(const Context& ctx, std::string_view name, int64_t rows, int64_t columns, F f) {
  if (rows == 0 || columns == 0) return;
  int lanes = 1;
  while (lanes < kBlock && lanes < columns) lanes *= 2;
  launch(ctx, name, {grid_for(stream_of(ctx), rows, kBlock / lanes)}, for_each_in_rows_kernel<F>, rows,
         columns, lanes, f);
}

template <int N, class T, class F, class... In>
__global__ void map_kernel(int64_t n, T* y, bool accumulate, F f, const In*... x) {
  const int64_t thread = int64_t{blockIdx.x} * blockDim.x + threadIdx.x,
                stride = int64_t{gridDim.x} * blockDim.x;
  const int64_t packs = n / N;
  for (int64_t p = thread; p < packs; p += stride) {
    auto apply = [&](auto... in) {
      Pack<T, N> out;
      if (accumulate) out = reinterpret_cast<Pack<T, N>*>(y)[p];
#pragma unroll
      for (int k = 0; k < N; ++k) store(out.v[k], f(load(in.v[k])...), accumulate);
      reinterpret_cast<Pack<T, N>*>(y)[p] = out;
    };
    apply(reinterpret_cast<const Pack<In, N>*>(x)[p]...);
  }
  for (int64_t i = packs * N + thread; i < n; i += stride) store(y[i], f(load(x[i])...), accumulate);
}

// y[i] = f(x[i]...) in float, or y[i] += it.
template <class T, class F, class... In>
void map(const Context& ctx, std::string_view name, int64_t n, T* y, bool accumulate, F f, const In*... x) {
  if (n == 0) return;
  constexpr int kWide = kPack<T>;
  const auto run = [&](auto kernel, int width) {
    launch(ctx, name, {grid_for(stream_of(ctx), divide_up(n, width))}, kernel, n, y, accumulate, f, x...);
  };
  if (are_aligned(y, x...) && ((sizeof(In) == sizeof(T)) && ...))
    run(map_kernel<kWide, T, F, In...>, kWide);
  else
    run(map_kernel<1, T, F, In...>, 1);
}

// The same loops as on a CPU (kernels/elementwise.h): y[i] = f(x[i]).
template <class T, class F>
void map_forward(const Context& ctx, std::string_view name, const Tensor& x, const Tensor& y, F f) {
  map(ctx, name, y.numel(), y.data<T>(), false, f, static_cast<const T*>(x.data<T>()));
}

// d_x[i] = f(v[i], d_y[i])
template <class T, class F>
void map_backward(const Context& ctx, std::string_view name, const Tensor& v, const Tensor& d_y,
                  const Tensor& d_x, bool accumulate, F f) {
  map(ctx, name, d_x.numel(), d_x.data<T>(), accumulate, f, static_cast<const T*>(v.data<T>()),
      static_cast<const T*>(d_y.data<T>()));
}

}  // namespace ctr::cuda
