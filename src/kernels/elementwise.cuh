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

// f(row, column) for a matrix, one item after the other where it is one row.
template <class F>
void for_each_element(const Context& ctx, std::string_view name, int64_t rows, int64_t columns, F f) {
  if (rows != 1) return for_each_in_rows(ctx, name, rows, columns, f);
  for_each(ctx, name, columns, [f] __device__(int64_t i) { f(int64_t{0}, i); });
}

template <int N, class T, class F, class... In>
__device__ void map_pack(T* y, bool accumulate, F f, const In*... x) {
  const auto apply = [&](auto... in) {
    Pack<T, N> out;
    if (accumulate) out = *reinterpret_cast<Pack<T, N>*>(y);
#pragma unroll
    for (int k = 0; k < N; ++k) store(out.v[k], f(load(in.v[k])...), accumulate);
    *reinterpret_cast<Pack<T, N>*>(y) = out;
  };
  apply(*reinterpret_cast<const Pack<In, N>*>(x)...);
}

template <int N, class T, class F, class... In>
__global__ void map_kernel(int64_t n, T* y, bool accumulate, F f, const In*... x) {
  const int64_t thread = int64_t{blockIdx.x} * blockDim.x + threadIdx.x,
                stride = int64_t{gridDim.x} * blockDim.x;
  const int64_t packs = n / N;
  for (int64_t p = thread; p < packs; p += stride) map_pack<N>(y + p * N, accumulate, f, x + p * N...);
  for (int64_t i = packs * N + thread; i < n; i += stride) store(y[i], f(load(x[i])...), accumulate);
}

template <int N, class T, class F, class... In>
__global__ void map_rows_kernel(int lanes, Matrix<T> y, bool accumulate, F f, Matrix<In>... x) {
  const int lane = threadIdx.x % lanes, groups = kBlock / lanes;
  for (int64_t r = int64_t{blockIdx.x} * groups + threadIdx.x / lanes; r < y.rows;
       r += int64_t{gridDim.x} * groups)
    for (int64_t c = lane * N; c < y.columns; c += lanes * N)
      map_pack<N>(y.at(r, c), accumulate, f, static_cast<const In*>(x.at(r, c))...);
}

// y[i] = f(x[i]...) in float, or y[i] += it; matrices of one shape.
template <class T, class F, class... In>
void map(const Context& ctx, std::string_view name, Matrix<T> y, bool accumulate, F f, Matrix<In>... x) {
  if (y.rows == 0 || y.columns == 0) return;
  constexpr int kWide = kPack<T>;
  const bool same_size = ((sizeof(In) == sizeof(T)) && ...);
  const bool aligned = are_aligned(y.data, x.data...) && same_size;
  if (y.rows == 1) {
    const auto run = [&](auto kernel, int width) {
      launch(ctx, name, {grid_for(stream_of(ctx), divide_up(y.columns, width))}, kernel, y.columns, y.data,
             accumulate, f, static_cast<const In*>(x.data)...);
    };
    return aligned ? run(map_kernel<kWide, T, F, In...>, kWide) : run(map_kernel<1, T, F, In...>, 1);
  }
  const bool wide = aligned && ((y.columns | y.stride | (x.stride | ...)) % kWide == 0);
  int lanes = 1;
  while (lanes < kBlock && lanes * (wide ? kWide : 1) < y.columns) lanes *= 2;
  launch(ctx, name, {grid_for(stream_of(ctx), y.rows, kBlock / lanes)},
         wide ? map_rows_kernel<kWide, T, F, In...> : map_rows_kernel<1, T, F, In...>, lanes, y, accumulate,
         f, x...);
}

// The same loops as on a CPU (kernels/elementwise.h): y[i] = f(x[i]).
template <class T, class F>
void map_forward(const Context& ctx, std::string_view name, const Tensor& x, const Tensor& y, F f) {
  const int64_t row = common_row({&x, &y});
  map(ctx, name, y.matrix<T>(row), false, f, x.matrix<T>(row));
}

// d_x[i] = f(v[i], d_y[i])
template <class T, class F>
void map_backward(const Context& ctx, std::string_view name, const Tensor& v, const Tensor& d_y,
                  const Tensor& d_x, bool accumulate, F f) {
  const int64_t row = common_row({&v, &d_y, &d_x});
  map(ctx, name, d_x.matrix<T>(row), accumulate, f, v.matrix<T>(row), d_y.matrix<T>(row));
}

}  // namespace ctr::cuda
