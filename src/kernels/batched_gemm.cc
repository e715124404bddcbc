// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/parallel.h"
#include "kernels/gemm.h"
#include "kernels/serial_gemm.h"
#include "kernels/small_gemm.h"
#include "kernels/storage.h"

namespace ctr {
namespace {

// Matrices of up to so many elements are multiplied where they lie, or from copies on the stack: a library's
// preparations would take longer.
constexpr int64_t kSmall = 4096;

template <class T, class C>
bool is_small(const GemmProblem<T, C>& p) {
  return p.m * p.k <= kSmall && p.k * p.n <= kSmall && p.m * p.n <= kSmall;
}

struct Factor {
  const float* data;
  int64_t stride;
};

// op(x)[rows, columns] in float, row-major.
template <class T>
Factor plain(const T* x, int64_t stride, bool transposed, int64_t rows, int64_t columns, float* buffer) {
  if constexpr (std::is_same_v<T, float>)
    if (!transposed) return {x, stride};
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j)
      buffer[i * columns + j] = to_float(transposed ? x[j * stride + i] : x[i * stride + j]);
  return {buffer, columns};
}

template <class T, class C>
void small_product(const GemmProblem<T, C>& p) {
  float a_buffer[kSmall], b_buffer[kSmall], c_buffer[kSmall];
  const Factor a = plain(p.a, p.lda, p.transpose_a, p.m, p.k, a_buffer),
               b = plain(p.b, p.ldb, p.transpose_b, p.k, p.n, b_buffer);
  if constexpr (std::is_same_v<C, float>) {
    small_gemm(p.m, p.n, p.k, a.data, a.stride, b.data, b.stride, p.c, p.ldc, p.accumulate);
  } else {
    small_gemm(p.m, p.n, p.k, a.data, a.stride, b.data, b.stride, c_buffer, p.n, false);
    for (int64_t i = 0; i < p.m; ++i) put_as(c_buffer + i * p.n, p.n, p.c + i * p.ldc, p.accumulate);
  }
}

template <class T, class C>
struct Batch {
  GemmProblem<T, C> first;
  int64_t count, step_a, step_b, step_c;

  GemmProblem<T, C> at(int64_t i) const {
    GemmProblem<T, C> p = first;
    p.a += i * step_a;
    p.b += i * step_b;
    p.c += i * step_c;
    return p;
  }
};

template <class T, class C>
Batch<T, C> describe(const Tensor& a, const Tensor& b, const Tensor& c, const BatchedGemmOptions& o) {
  const BatchedShape s = batched_shape(a.shape(), b.shape(), c.shape(), o);
  return {{.m = s.m,
           .n = s.n,
           .k = s.k,
           .a = a.first<T>(),
           .lda = a.row_stride(),
           .b = b.first<T>(),
           .ldb = b.row_stride(),
           .c = c.first<C>(),
           .ldc = c.row_stride(),
           .transpose_a = o.transpose_a,
           .transpose_b = o.transpose_b,
           .accumulate = o.accumulate,
           .relu = false,
           .bias = nullptr},
          s.batches,
          a.shape()[-2] * a.row_stride(),
          b.shape()[-2] * b.row_stride(),
          c.shape()[-2] * c.row_stride()};
}

// Threads take whole products, or units of rows of large ones: their number changes no result.
template <class T, class C>
void multiply(Context& ctx, const Batch<T, C>& batch) {
  const GemmProblem<T, C>& p = batch.first;
  const bool small = is_small(p);
  const int64_t units = small ? 1 : gemm_units(p.m), work = std::max<int64_t>(1, p.m * p.n * p.k / units);
  parallel_for(ctx.threads, batch.count * units, std::max<int64_t>(1, 65536 / work),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin, next; i < end; i = next) {
                   next = std::min(end, (i / units + 1) * units);
                   const GemmProblem<T, C> one = batch.at(i / units);
                   const Range r = of_gemm_units(p.m, i % units, i % units + next - i);
                   if (small)
                     small_product(one);
                   else
                     serial_gemm(rows_of(one, r.begin, r.end));
                 }
               });
}

template <class T>
void batched_gemm_cpu(Context& ctx, const Tensor& a, const Tensor& b, const Tensor& c,
                      BatchedGemmOptions options) {
  if (c.dtype() == DType::f32)
    multiply(ctx, describe<T, float>(a, b, c, options));
  else
    multiply(ctx, describe<T, T>(a, b, c, options));
}

}  // namespace

BatchedShape batched_shape(const Shape& a, const Shape& b, const Shape& c, const BatchedGemmOptions& o) {
  const auto batches = [](const Shape& s) { return s.rows() / s[-2]; };
  const BatchedShape s{batches(c), c[-2], c[-1], o.transpose_a ? a[-2] : a[-1]};
  const bool fits = a.rank() >= 2 && b.rank() >= 2 && c.rank() >= 2 && batches(a) == s.batches &&
                    batches(b) == s.batches && (o.transpose_a ? a[-1] : a[-2]) == s.m &&
                    (o.transpose_b ? b[-1] : b[-2]) == s.k && (o.transpose_b ? b[-2] : b[-1]) == s.n;
  if (!fits)
    fail(ErrorKind::internal, "batched_gemm: {}{} times {}{} into {}", to_string(a),
         o.transpose_a ? "^T" : "", to_string(b), o.transpose_b ? "^T" : "", to_string(c));
  return s;
}

#ifdef CTR_WITH_ONEDNN
constinit decltype(batched_gemm) batched_gemm{
    "batched_gemm", {DType::f32, batched_gemm_cpu<float>}, {DType::bf16, batched_gemm_cpu<bf16>}};
#else
constinit decltype(batched_gemm) batched_gemm{"batched_gemm", {DType::f32, batched_gemm_cpu<float>}};
#endif

}  // namespace ctr
