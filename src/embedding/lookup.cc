// SPDX-License-Identifier: Apache-2.0
#include "embedding/lookup.h"

#include <algorithm>

#include "base/parallel.h"
#include "kernels/storage.h"
#include "optim/row_width.h"

namespace ctr {
namespace {

constexpr int64_t kGrain = 512;  // bags worth one thread
constexpr int64_t kAhead = 16;   // keys whose rows are asked for early

template <class Width>
void add(float* __restrict sum, const float* __restrict x, Width n) {
  for (int64_t k = 0; k < n; ++k) sum[k] += x[k];
}

template <class Width>
struct Gather {
  const float* table;
  int64_t stride;
  Width dim;
  std::span<const uint32_t> rows;

  const float* row(int64_t i) const { return table + rows[i] * stride; }

  void prefetch(int64_t i) const {
    if (i >= std::ssize(rows) || rows[i] == kNoRow) return;
    const auto* p = reinterpret_cast<const char*>(row(i));
    for (int64_t b = 0; b < dim * 4; b += 64) __builtin_prefetch(p + b);
  }

  // sum = rows [begin, end) added up
  void add_up(int64_t begin, int64_t end, float* sum) const {
    std::fill_n(sum, dim, 0.0f);
    for (int64_t i = begin; i < end; ++i) {
      prefetch(i + kAhead);
      if (rows[i] == kNoRow) continue;
      add(sum, row(i), dim);
    }
  }
};

template <class Width, class T>
void combine(Context& ctx, const Gather<Width>& gather, const Bags& bags, const float* factors, T* out) {
  const Width dim = gather.dim;
  parallel_for(ctx.threads, bags.count(), kGrain, [&](int64_t begin, int64_t end) {
    float scratch[kMaxRowWidth];
    for (int64_t bag = begin; bag < end; ++bag) {
      T* target = out + bag * dim;
      float* sum = scratch;
      if constexpr (std::is_same_v<T, float>) sum = target;
      gather.add_up(bags.offsets[bag], bags.offsets[bag + 1], sum);
      const float factor = factors ? factors[bag] : 1.0f;
      if (factor == 1.0f && sum != scratch) continue;
      for (int64_t k = 0; k < dim; ++k) store<false>(target[k], sum[k] * factor);
    }
  });
}

template <class T>
void scale(Context& ctx, const float* in, const float* factors, int64_t rows, int64_t dim, T* out) {
  parallel_for(ctx.threads, rows, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      for (int64_t k = r * dim; k < (r + 1) * dim; ++k)
        store<false>(out[k], in[k] * (factors ? factors[r] : 1.0f));
  });
}

}  // namespace

void combine_rows(Context& ctx, const Table& table, const Bags& bags, std::span<const uint32_t> rows,
                  const float* factors, const Tensor& out) {
  with_width(table.layout().dim, [&](auto dim) {
    const Gather<decltype(dim)> gather{table.rows(), table.layout().stride(), dim, rows};
    with_elements(out, [&](auto* p) { combine(ctx, gather, bags, factors, p); });
  });
}

void scale_rows(Context& ctx, const Tensor& in, const float* factors, const Tensor& out) {
  const int64_t rows = out.shape().rows(), dim = out.shape().last();
  with_elements(out, [&](auto* p) { scale(ctx, in.data<float>(), factors, rows, dim, p); });
}

}  // namespace ctr
