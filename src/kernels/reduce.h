// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include "base/parallel.h"
#include "kernels/kernel.h"

namespace ctr {

// A tensor as [outer, extent, inner]; the middle is reduced. {1, rows, columns} sums the columns of a matrix.
struct ReduceShape {
  int64_t outer, extent, inner;
};

// Rows that may be apart: where whole rows are reduced, or all rows to one. Elsewhere the tensor is packed.
inline int64_t reduced_row(const Tensor& x, const ReduceShape& s) {
  if (s.outer == 1 && (s.inner > 1 || !x.is_packed())) return s.inner;
  return s.inner == 1 ? s.extent : x.numel();
}

// y[o, i] = scale sum_e x[o, e, i], written or added, in an order that does not depend on the number of
// threads. y is packed, and stored as x or in f32.
extern Kernel<void(const Tensor& x, const Tensor& y, ReduceShape shape, float scale, bool accumulate)>
    reduce_sum;
// Its gradient: d_x[o, e, i] = scale d_y[o, i], written or added.
extern Kernel<void(const Tensor& d_y, const Tensor& d_x, ReduceShape shape, float scale, bool accumulate)>
    broadcast_sum;

// A matrix's rows in a fixed number of parts, each handled by one thread at a time and all combined in order:
// sums over rows come out the same for any number of threads.
inline constexpr int kRowParts = 32;

// body(part, rows of the part)
template <class Body>
void for_row_parts(const Context& ctx, int64_t rows, const Body& body) {
  const int threads = rows < 2 * kRowParts ? 1 : ctx.threads;
  parallel_for(threads, kRowParts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) body(part, split(rows, static_cast<int>(part), kRowParts));
  });
}

// sum of body(rows of a part) in double.
template <class Body>
double sum_over_rows(const Context& ctx, int64_t rows, const Body& body) {
  std::array<double, kRowParts> partial{};
  for_row_parts(ctx, rows,
                [&](int64_t part, Range r) { partial[static_cast<size_t>(part)] = body(r.begin, r.end); });
  double sum = 0;
  for (const double p : partial) sum += p;
  return sum;
}

}  // namespace ctr
