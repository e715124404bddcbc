// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/parallel.h"
#include "kernels/kernel.h"
#include "kernels/storage.h"

namespace ctr {

// y = scale x, or y += scale x.
extern Kernel<void(const Tensor& x, const Tensor& y, float scale, bool accumulate)> scale_into;

// CPU loops over elements that do not see each other; `f` is the scalar math of a layer's header, in float.
inline constexpr int64_t kElementGrain = 16384;

// y[i] = f(x[i])
template <class T, class F>
void map_forward(const Context& ctx, const Tensor& x, const Tensor& y, F f) {
  const T* in = x.data<T>();
  T* out = y.data<T>();
  parallel_for(ctx.threads, x.numel(), kElementGrain, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) store<false>(out[i], f(to_float(in[i])));
  });
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
      for (int64_t i = begin; i < end; ++i)
        store<add()>(out[i], f(to_float(value[i]), to_float(gradient[i])));
    });
  });
}

}  // namespace ctr
