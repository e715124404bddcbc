// SPDX-License-Identifier: Apache-2.0
#include "kernels/thin_gemm.cuh"

#include "kernels/elementwise.cuh"
#include "kernels/reduce.cuh"

namespace ctr::cuda {
namespace {

// What happens to a sum before it is stored.
struct Finish {
  const float* bias;  // of one column, or null
  bool relu, accumulate;

  template <class U>
  __device__ void store_sum(U& target, float sum) const {
    if (accumulate) sum += load(target);
    if (bias) sum += *bias;
    target = rounded<U>(relu && sum < 0 ? 0.0f : sum);
  }
};

// c[r] = <row r of a, b>: a warp a row, N elements a lane. c is a column.
template <class T, class U, int N>
__global__ void row_dots_kernel(Matrix<T> a, const T* b, Matrix<U> c, Finish finish) {
  const int lane = threadIdx.x % 32;
  const int64_t warps = int64_t{gridDim.x} * (kBlock / 32);
  const int64_t k = a.columns, whole = k / N * N;
  for (int64_t r = int64_t{blockIdx.x} * (kBlock / 32) + threadIdx.x / 32; r < a.rows; r += warps) {
    float sum = 0;
    for (int64_t i = lane * N; i < whole; i += 32 * N) {
      const auto x = *reinterpret_cast<const Pack<T, N>*>(a.at(r, i));
      const auto w = *reinterpret_cast<const Pack<T, N>*>(b + i);
      for (int e = 0; e < N; ++e) sum += load(x.v[e]) * load(w.v[e]);
    }
    if (whole + lane < k) sum += load(*a.at(r, whole + lane)) * load(b[whole + lane]);
    sum = warp_sum(sum);
    if (lane == 0) finish.store_sum(*c.at(r), sum);
  }
}

template <class T, class U, int N>
void row_dots(const Context& ctx, const Tensor& a, const Tensor& b, const Tensor& c, Finish finish) {
  const auto left = a.matrix<T>();
  if (left.rows > 0)
    launch(ctx, "gemm.row_dots", {grid_for(stream_of(ctx), left.rows, kBlock / 32)}, row_dots_kernel<T, U, N>,
           left, static_cast<const T*>(b.data<T>()), c.matrix<U>(1), finish);
}

// c[j] = sum over rows of a[r, j] b[r].
template <class T, class U, int N>
void weighted_columns(const Context& ctx, const Tensor& a, const Tensor& b, const Tensor& c, Finish finish) {
  const auto in = a.matrix<T>(), weight = b.matrix<T>(1);
  const auto out = c.matrix<U>(1);
  sum_column_packs<N>(
      ctx, "gemm.weighted_columns", in.rows, in.columns,
      [=] __device__(int64_t r, int64_t first, float* sum) {
        const float w = load(*weight.at(r));
        if (first + N <= in.columns) {
          const auto x = *reinterpret_cast<const Pack<T, N>*>(in.at(r, first));
          for (int e = 0; e < N; ++e) sum[e] += w * load(x.v[e]);
        } else {
          for (int e = 0; first + e < in.columns; ++e) sum[e] += w * load(*in.at(r, first + e));
        }
      },
      [=] __device__(int64_t j, const float* sum) { finish.store_sum(*out.at(j), *sum); });
}

// c[i, j] = a[i] b[j].
template <class T, class U, int N>
void outer(const Context& ctx, const Tensor& a, const Tensor& b, const Tensor& c, bool accumulate) {
  const auto column = a.matrix<T>(1);
  const auto out = c.matrix<U>();
  const T* row = b.data<T>();
  const int64_t packs = divide_up(out.columns, N);
  for_each_in_rows(ctx, "gemm.outer", out.rows, packs, [=] __device__(int64_t i, int64_t pack) {
    const float x = load(*column.at(i));
    if ((pack + 1) * N > out.columns) {
      for (int64_t j = pack * N; j < out.columns; ++j) store(*out.at(i, j), x * load(row[j]), accumulate);
      return;
    }
    auto* place = reinterpret_cast<Pack<U, N>*>(out.at(i, pack * N));
    const auto w = *reinterpret_cast<const Pack<T, N>*>(row + pack * N);
    Pack<U, N> result;
    if (accumulate) result = *place;
    for (int e = 0; e < N; ++e) store(result.v[e], x * load(w.v[e]), accumulate);
    *place = result;
  });
}

// Calls f(a's type, c's type): the same, or f32 results of 16-bit factors.
template <class F>
void with_types(const Tensor& a, const Tensor& c, F&& f) {
  with_storage_type(a.dtype(), [&]<class T>(T in) {
    if (c.dtype() == a.dtype()) return f(in, T{});
    if constexpr (sizeof(T) < sizeof(float)) f(in, float{});
  });
}

}  // namespace

bool thin_gemm(const Context& ctx, const Tensor& a, const Tensor& b, const Tensor& c, const GemmOptions& o) {
  const bool is_vector = c.shape().last() == 1 && b.numel() == b.shape().rows() && !o.transpose_b;
  const bool is_outer = a.shape().last() == 1 && b.shape().last() == 1 && !o.transpose_a && o.transpose_b;
  if ((!is_vector && !is_outer) || (c.dtype() != a.dtype() && c.dtype() != DType::f32) ||
      (o.bias && o.bias.dtype() != DType::f32))
    return false;
  if (is_outer && (o.bias || o.relu)) return false;
  const Finish finish{o.bias ? o.bias.data<float>() : nullptr, o.relu, o.accumulate};
  with_types(a, c, [&]<class T, class U>(T, U) {
    constexpr int kWide = kPack<T>;
    const bool wide_rows = a.row_stride() % kWide == 0 && are_aligned(a.raw());
    const bool wide_outer = c.row_stride() % kWide == 0 && are_aligned(b.raw(), c.raw());
    if (is_outer)
      wide_outer ? outer<T, U, kWide>(ctx, a, b, c, o.accumulate)
                 : outer<T, U, 1>(ctx, a, b, c, o.accumulate);
    else if (o.transpose_a)
      wide_rows ? weighted_columns<T, U, kWide>(ctx, a, b, c, finish)
                : weighted_columns<T, U, 1>(ctx, a, b, c, finish);
    else
      wide_rows&& are_aligned(b.raw()) ? row_dots<T, U, kWide>(ctx, a, b, c, finish)
                                       : row_dots<T, U, 1>(ctx, a, b, c, finish);
  });
  return true;
}

}  // namespace ctr::cuda
