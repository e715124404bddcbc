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
  const T* in = x.data<T>();
  T* out = y.data<T>();
  parallel_for(ctx.threads, x.numel(), kElementGrain,
               [=](int64_t begin, int64_t end) { map_part(in + begin, out + begin, end - begin, f); });
}

// d_x[i] = f(v[i], d_y[i]), where v is what the derivative is computed from: the input or the output.
template <class T, class F>
void map_backward(const Context& ctx, const Tensor& v, const Tensor& d_y, const Tensor& d_x, bool accumulate,
                  F f) {
  const T* value = v.data<T>();
  const T* gradient = d_y.data<T>();
  T* out = d_x.data<T>();
  with_accumulate(accumulate, [&](auto add) {
    parallel_for(ctx.threads, v.numel(), kElementGrain, [=](int64_t begin, int64_t end) {
      map_part<add()>(value + begin, gradient + begin, out + begin, end - begin, f);
    });
  });
}

}  // namespace ctr
