// SPDX-License-Identifier: Apache-2.0
#include "kernels/softmax.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "base/parallel.h"
#include "base/vectorize.h"
#include "kernels/exponential.h"
#include "kernels/storage.h"

namespace ctr {
namespace {

// e[i] = exp(scale (x[i] - the largest)); returns 1 / their sum.
template <class T>
inline __attribute__((always_inline)) float exponentials(const T* __restrict x, int64_t n, float scale,
                                                         float* __restrict e) {
  float largest = -std::numeric_limits<float>::infinity(), sum = 0;
#pragma omp simd reduction(max : largest)
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, scale * to_float(x[i]));
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) {
    e[i] = exponential(scale * to_float(x[i]) - largest);
    sum += e[i];
  }
  return 1.0f / sum;
}

template <class T>
CTR_VECTORIZE void forward_rows(Matrix<T> x, Matrix<T> y, int64_t begin, int64_t end, float scale, float* e) {
  for (int64_t r = begin; r < end; ++r) {
    const float inverse = exponentials(x.at(r), x.columns, scale, e);
    T* __restrict out = y.at(r);
    for (int64_t i = 0; i < x.columns; ++i) store<false>(out[i], e[i] * inverse);
  }
}

template <bool kAccumulate, class T>
CTR_VECTORIZE void backward_rows(Matrix<T> x, Matrix<T> d_y, Matrix<T> d_x, int64_t begin, int64_t end,
                                 float scale, float* e) {
  for (int64_t r = begin; r < end; ++r) {
    const float inverse = exponentials(x.at(r), x.columns, scale, e);
    const T* __restrict g = d_y.at(r);
    float mean = 0;
#pragma omp simd reduction(+ : mean)
    for (int64_t i = 0; i < x.columns; ++i) mean += to_float(g[i]) * e[i];
    mean *= inverse;
    T* __restrict out = d_x.at(r);
    for (int64_t i = 0; i < x.columns; ++i)
      store<kAccumulate>(out[i], scale * inverse * e[i] * (to_float(g[i]) - mean));
  }
}

// body(begin, end, memory for a row in float)
template <class Body>
void for_rows(const Context& ctx, int64_t rows, int64_t columns, const Body& body) {
  const int64_t grain = std::max<int64_t>(1, 8192 / std::max<int64_t>(1, columns));
  parallel_for(ctx.threads, rows, grain, [&](int64_t begin, int64_t end) {
    thread_local std::vector<float> memory;
    if (std::ssize(memory) < columns) memory.resize(static_cast<size_t>(columns));
    body(begin, end, memory.data());
  });
}

template <class T>
void softmax_cpu(Context& ctx, const Tensor& x, const Tensor& y, float scale) {
  const auto in = x.matrix<T>(), out = y.matrix<T>();
  for_rows(ctx, in.rows, in.columns,
           [=](int64_t begin, int64_t end, float* row) { forward_rows(in, out, begin, end, scale, row); });
}

template <class T>
void softmax_backward_cpu(Context& ctx, const Tensor& x, const Tensor& d_y, const Tensor& d_x, float scale,
                          bool accumulate) {
  const auto in = x.matrix<T>(), g = d_y.matrix<T>(), out = d_x.matrix<T>();
  with_accumulate(accumulate, [&](auto add) {
    for_rows(ctx, in.rows, in.columns, [=](int64_t begin, int64_t end, float* row) {
      backward_rows<add()>(in, g, out, begin, end, scale, row);
    });
  });
}

}  // namespace

constinit decltype(softmax) softmax{
    "softmax", {DType::f32, softmax_cpu<float>}, {DType::bf16, softmax_cpu<bf16>}};
constinit decltype(softmax_backward) softmax_backward{
    "softmax_backward", {DType::f32, softmax_backward_cpu<float>}, {DType::bf16, softmax_backward_cpu<bf16>}};

}  // namespace ctr
