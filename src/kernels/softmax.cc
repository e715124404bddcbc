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

// The logits of a row, in `e`; returns the largest. A row whose elements are all masked alike keeps its
// digits.
template <class X, class Y>
inline __attribute__((always_inline)) float logits(const X* __restrict x, const Y* __restrict mask, int64_t n,
                                                   float scale, float* __restrict e) {
  constexpr float lowest = -std::numeric_limits<float>::infinity();
  float largest = lowest, most = lowest;
  if (mask) {
#pragma omp simd reduction(max : most)
    for (int64_t i = 0; i < n; ++i) most = std::max(most, to_float(mask[i]));
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) e[i] = scale * to_float(x[i]) - kMaskedLogit * (most - to_float(mask[i]));
  } else {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) e[i] = scale * to_float(x[i]);
  }
#pragma omp simd reduction(max : largest)
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, e[i]);
  return largest;
}

// e[i] = exp(logit - the largest); returns 1 / their sum.
template <class X, class Y>
inline __attribute__((always_inline)) float exponentials(const X* __restrict x, const Y* __restrict mask,
                                                         int64_t n, float scale, float* __restrict e) {
  const float largest = logits(x, mask, n, scale, e);
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) {
    e[i] = exponential(e[i] - largest);
    sum += e[i];
  }
  return 1.0f / (mask ? sum + kMaskedSum : sum);
}

template <class Y>
struct Masks {
  Matrix<Y> rows{};
  int64_t times = 1, inner = 1;

  const Y* of(int64_t row) const { return rows.data ? rows.at(mask_row(row, times, inner)) : nullptr; }
};
template <class Y>
Masks<Y> masks_of(const Tensor& x, const SoftmaxOptions& o) {
  if (!o.mask) return {};
  const auto rows = o.mask.matrix<Y>();
  return {rows, x.shape().rows() / std::max<int64_t>(1, rows.rows), o.inner};
}

template <class X, class Y>
CTR_VECTORIZE void forward_rows(Matrix<X> x, Masks<Y> masks, Matrix<Y> y, int64_t begin, int64_t end,
                                float scale, float* e) {
  for (int64_t r = begin; r < end; ++r) {
    const float inverse = exponentials(x.at(r), masks.of(r), x.columns, scale, e);
    Y* __restrict out = y.at(r);
    for (int64_t i = 0; i < x.columns; ++i) store<false>(out[i], e[i] * inverse);
  }
}

template <bool kAccumulate, class X, class Y>
CTR_VECTORIZE void backward_rows(Matrix<X> x, Masks<Y> masks, Matrix<X> d_y, Matrix<Y> d_x, int64_t begin,
                                 int64_t end, float scale, float* e) {
  for (int64_t r = begin; r < end; ++r) {
    const float inverse = exponentials(x.at(r), masks.of(r), x.columns, scale, e);
    const X* __restrict g = d_y.at(r);
    float mean = 0;
#pragma omp simd reduction(+ : mean)
    for (int64_t i = 0; i < x.columns; ++i) mean += to_float(g[i]) * e[i];
    mean *= inverse;
    Y* __restrict out = d_x.at(r);
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

// f(its first element), in a type that goes with logits in X.
template <class X, class F>
void with_result(const Tensor& t, F&& f) {
  if constexpr (std::is_same_v<X, float>)
    with_first(t, f);
  else
    f(t.first<X>());
}

template <class X>
void softmax_cpu(Context& ctx, const Tensor& x, const Tensor& y, const SoftmaxOptions& o) {
  with_result<X>(y, [&]<class Y>(Y*) {
    const auto in = x.matrix<X>();
    const auto out = y.matrix<Y>();
    const auto masks = masks_of<Y>(x, o);
    for_rows(ctx, in.rows, in.columns, [=, scale = o.scale](int64_t begin, int64_t end, float* row) {
      forward_rows(in, masks, out, begin, end, scale, row);
    });
  });
}

template <class X>
void softmax_backward_cpu(Context& ctx, const Tensor& x, const Tensor& d_y, const Tensor& d_x,
                          const SoftmaxOptions& o, bool accumulate) {
  with_result<X>(d_x, [&]<class Y>(Y*) {
    const auto in = x.matrix<X>(), g = d_y.matrix<X>();
    const auto out = d_x.matrix<Y>();
    const auto masks = masks_of<Y>(x, o);
    with_accumulate(accumulate, [&](auto add) {
      for_rows(ctx, in.rows, in.columns, [=, scale = o.scale](int64_t begin, int64_t end, float* row) {
        backward_rows<add()>(in, masks, g, out, begin, end, scale, row);
      });
    });
  });
}

}  // namespace

constinit decltype(softmax) softmax{
    "softmax", {DType::f32, softmax_cpu<float>}, {DType::bf16, softmax_cpu<bf16>}};
constinit decltype(softmax_backward) softmax_backward{
    "softmax_backward", {DType::f32, softmax_backward_cpu<float>}, {DType::bf16, softmax_backward_cpu<bf16>}};

}  // namespace ctr
