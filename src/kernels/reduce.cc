// SPDX-License-Identifier: Apache-2.0
#include "kernels/reduce.h"

#include <algorithm>

#include "base/vectorize.h"
#include "kernels/storage.h"

namespace ctr {
namespace {

template <class T>
CTR_VECTORIZE float sum_of(const T* x, int64_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += to_float(x[i]);
  return sum;
}

// y[0..width) = scale times the sum of `rows` rows. Rows are first summed in small groups, which keeps
// rounding errors of long sums small.
template <bool kAccumulate, class T, class Y>
CTR_VECTORIZE void sum_rows(const T* x, int64_t rows, int64_t stride, int64_t width, float scale, Y* y) {
  constexpr int64_t kTile = 1024, kGroup = 64;
  float total[kTile], group[kTile];
  for (int64_t tile = 0; tile < width; tile += kTile) {
    const int64_t n = std::min(kTile, width - tile);
    std::fill_n(total, n, 0.0f);
    for (int64_t first = 0; first < rows; first += kGroup) {
      std::fill_n(group, n, 0.0f);
      for (int64_t r = first; r < std::min(rows, first + kGroup); ++r)
        for (int64_t j = 0; j < n; ++j) group[j] += to_float(x[r * stride + tile + j]);
      for (int64_t j = 0; j < n; ++j) total[j] += group[j];
    }
    for (int64_t j = 0; j < n; ++j) store<kAccumulate>(y[tile + j], scale * total[j]);
  }
}

int64_t grain_of(int64_t work_per_item) {
  return std::max<int64_t>(1, 16384 / std::max<int64_t>(1, work_per_item));
}

template <bool kAccumulate, class T, class Y>
void reduce_sum_into(Context& ctx, const Tensor& x, Y* out, ReduceShape s, float scale) {
  const int64_t row = reduced_row(x, s), stride = x.row_stride(row);
  const T* in = x.first<T>();
  if (s.inner == 1 && row == s.extent) {
    parallel_for(ctx.threads, s.outer, grain_of(s.extent), [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o)
        store<kAccumulate>(out[o], scale * sum_of(in + o * stride, s.extent));
    });
  } else if (s.outer == 1) {  // whole cache lines of columns a thread
    constexpr int64_t kLine = 16;
    const int64_t lines = (s.inner + kLine - 1) / kLine;
    parallel_for(ctx.threads, lines, grain_of(s.extent * kLine), [&](int64_t begin, int64_t end) {
      const int64_t first = begin * kLine, last = std::min(s.inner, end * kLine);
      sum_rows<kAccumulate>(in + first, s.extent, stride, last - first, scale, out + first);
    });
  } else {
    parallel_for(ctx.threads, s.outer, grain_of(s.extent * s.inner), [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o)
        sum_rows<kAccumulate>(in + o * s.extent * s.inner, s.extent, s.inner, s.inner, scale,
                              out + o * s.inner);
    });
  }
}

template <class T>
void reduce_sum_cpu(Context& ctx, const Tensor& x, const Tensor& y, ReduceShape s, float scale,
                    bool accumulate) {
  with_accumulate(accumulate, [&](auto add) {
    with_elements(y, [&](auto* out) { reduce_sum_into<add(), T>(ctx, x, out, s, scale); });
  });
}

template <class T>
void broadcast_sum_cpu(Context& ctx, const Tensor& d_y, const Tensor& d_x, ReduceShape s, float scale,
                       bool accumulate) {
  const T* from = d_y.data<T>();
  const int64_t stride = d_x.row_stride(reduced_row(d_x, s));
  T* to = d_x.first<T>();
  with_accumulate(accumulate, [&](auto add) {
    if (s.inner == 1) {
      parallel_for(ctx.threads, s.outer, grain_of(s.extent), [&](int64_t begin, int64_t end) {
        for (int64_t o = begin; o < end; ++o)
          for (int64_t e = 0; e < s.extent; ++e) store<add()>(to[o * stride + e], scale * to_float(from[o]));
      });
    } else {
      parallel_for(ctx.threads, s.outer * s.extent, grain_of(s.inner), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          const T* g = from + r / s.extent * s.inner;
          for (int64_t i = 0; i < s.inner; ++i) store<add()>(to[r * s.inner + i], scale * to_float(g[i]));
        }
      });
    }
  });
}

}  // namespace

constinit decltype(reduce_sum) reduce_sum{
    "reduce_sum", {DType::f32, reduce_sum_cpu<float>}, {DType::bf16, reduce_sum_cpu<bf16>}};
constinit decltype(broadcast_sum) broadcast_sum{
    "broadcast_sum", {DType::f32, broadcast_sum_cpu<float>}, {DType::bf16, broadcast_sum_cpu<bf16>}};

}  // namespace ctr
