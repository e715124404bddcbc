// SPDX-License-Identifier: Apache-2.0
#include "embedding/lookup.h"

#include <algorithm>

#include "base/parallel.h"
#include "base/vectorize.h"
#include "kernels/prefetch.h"
#include "kernels/storage.h"
#include "kernels/vector_places.h"
#include "optim/row_width.h"

namespace ctr {
namespace {

constexpr int64_t kGrain = 512;  // bags worth one thread
constexpr int64_t kAhead = 16;   // keys whose rows are asked for early

template <class Width>
struct Gather {
  const float* table;
  int64_t stride;
  Width dim;
  std::span<const uint32_t> rows;

  const float* row(int64_t i) const { return table + rows[i] * stride; }

  void prefetch_row(int64_t i) const {
    if (i < std::ssize(rows) && rows[i] != kNoRow) prefetch(row(i), dim * int64_t{sizeof(float)});
  }

  // sum = rows [begin, end) added up
  void add_up(int64_t begin, int64_t end, float* __restrict sum) const {
    for (int64_t i = begin; i < end; ++i) prefetch_row(i + kAhead);
    if (end - begin == 1 && rows[begin] != kNoRow) {
      std::copy_n(row(begin), dim, sum);
      return;
    }
    std::fill_n(sum, dim, 0.0f);
    for (int64_t i = begin; i < end; ++i) {
      if (rows[i] == kNoRow) continue;
      const float* x = row(i);
      for (int64_t k = 0; k < dim; ++k) sum[k] += x[k];
    }
  }

  // The combined vectors of bags [begin, end), one after the other.
  void combine(const Bags& bags, const float* factors, int64_t begin, int64_t end, float* out) const {
    for (int64_t bag = begin; bag < end; ++bag, out += dim) {
      add_up(bags.offsets[bag], bags.offsets[bag + 1], out);
      const float factor = factors ? factors[bag] : 1.0f;
      if (factor == 1.0f) continue;
      for (int64_t k = 0; k < dim; ++k) out[k] *= factor;
    }
  }
};

CTR_VECTORIZE void round(const float* in, int64_t n, bf16* out) { copy_as(in, n, out); }

template <class Width>
void combine(Context& ctx, const Gather<Width>& gather, const Bags& bags, const float* factors, float* out,
             const VectorPlaces& places) {
  parallel_for(ctx.threads, bags.count(), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t first = begin, last = 0; first < end; first = last) {
      last = std::min(end, places.end_of_run(first));
      gather.combine(bags, factors, first, last, out + places(static_cast<uint32_t>(first)));
    }
  });
}

template <class Width>
void combine(Context& ctx, const Gather<Width>& gather, const Bags& bags, const float* factors, bf16* out,
             const VectorPlaces& places) {
  constexpr int64_t kBlock = 4 * kMaxRowWidth;  // elements that stay in the first cache
  parallel_for(ctx.threads, bags.count(), kGrain, [&](int64_t begin, int64_t end) {
    float sums[kBlock];
    for (int64_t first = begin, last = 0; first < end; first = last) {
      last = std::min({end, first + kBlock / gather.dim, places.end_of_run(first)});
      gather.combine(bags, factors, first, last, sums);
      round(sums, (last - first) * gather.dim, out + places(static_cast<uint32_t>(first)));
    }
  });
}

template <class T>
void scale(Context& ctx, const float* in, const float* factors, int64_t rows, int64_t dim, T* out,
           const VectorPlaces& places) {
  parallel_for(ctx.threads, rows, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      T* to = out + places(static_cast<uint32_t>(r));
      for (int64_t k = 0; k < dim; ++k) store<false>(to[k], in[r * dim + k] * (factors ? factors[r] : 1.0f));
    }
  });
}

}  // namespace

void combine_rows(Context& ctx, const Table& table, const Bags& bags, std::span<const uint32_t> rows,
                  const float* factors, const Tensor& out) {
  with_width(table.layout().dim, [&](auto dim) {
    const Gather<decltype(dim)> gather{table.rows(), table.layout().stride(), dim, rows};
    const VectorPlaces places(out);
    with_first(out, [&](auto* p) { combine(ctx, gather, bags, factors, p, places); });
  });
}

void scale_rows(Context& ctx, const Tensor& in, const float* factors, const Tensor& out) {
  const int64_t rows = out.shape().rows(), dim = out.shape().last();
  const VectorPlaces places(out);
  with_first(out, [&](auto* p) { scale(ctx, in.data<float>(), factors, rows, dim, p, places); });
}

}  // namespace ctr
