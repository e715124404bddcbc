// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/parallel.h"
#include "base/vectorize.h"
#include "kernels/kernel.h"
#include "kernels/storage.h"

namespace ctr {

// y = scale x, or y += scale x.
extern Kernel<void(const Tensor& x, const Tensor& y, float scale, bool accumulate)> scale_into;

// CPU loops over elements that do not see each other; `f` is the scalar math of a layer's header, in float.
inline constexpr int64_t kElementGrain = 16384;

// body(row, begin, end) for pieces of the rows of n elements in all.
template <class Body>
void for_row_pieces(const Context& ctx, int64_t n, int64_t row, const Body& body) {
  if (n == row)
    return parallel_for(ctx.threads, n, kElementGrain,
                        [&](int64_t begin, int64_t end) { body(int64_t{0}, begin, end); });
  parallel_for(ctx.threads, n / row, std::max<int64_t>(1, kElementGrain / row),
               [&](int64_t begin, int64_t end) {
                 for (int64_t r = begin; r < end; ++r) body(r, int64_t{0}, row);
               });
}

template <class T, class F>
CTR_VECTORIZE void map_part(const T* x, T* y, int64_t n, F f) {
  for (int64_t i = 0; i < n; ++i) store<false>(y[i], f(to_float(x[i])));
}
template <bool kAccumulate, class T, class F>
CTR_VECTORIZE void map_part(const T* a, const T* b, T* y, int64_t n, F f) {
  for (int64_t i = 0; i < n; ++i) store<kAccumulate>(y[i], f(to_float(a[i]), to_float(b[i])));
}

// y[i] = f(x[i])
template <class T, class F>
void map_forward(const Context& ctx, const Tensor& x, const Tensor& y, F f) {
  const int64_t row = common_row({&x, &y});
  const auto in = x.matrix<T>(row), out = y.matrix<T>(row);
  for_row_pieces(ctx, x.numel(), row, [=](int64_t r, int64_t begin, int64_t end) {
    map_part(in.at(r, begin), out.at(r, begin), end - begin, f);
  });
}

// d_x[i] = f(v[i], d_y[i]), where v is what the derivative is computed from: the input or the output.
template <class T, class F>
void map_backward(const Context& ctx, const Tensor& v, const Tensor& d_y, const Tensor& d_x, bool accumulate,
                  F f) {
  const int64_t row = common_row({&v, &d_y, &d_x});
  const auto value = v.matrix<T>(row), gradient = d_y.matrix<T>(row), out = d_x.matrix<T>(row);
  with_accumulate(accumulate, [&](auto add) {
    for_row_pieces(ctx, v.numel(), row, [=](int64_t r, int64_t begin, int64_t end) {
      map_part<add()>(value.at(r, begin), gradient.at(r, begin), out.at(r, begin), end - begin, f);
    });
  });
}

}  // namespace ctr
