// SPDX-License-Identifier: Apache-2.0
#include "kernels/columns.h"

#include <algorithm>

#include "base/parallel.h"
#include "kernels/storage.h"

namespace ctr {
namespace {

template <class T>
void copy_columns_cpu(Context& ctx, const Tensor& source, const Tensor& target, int64_t rows,
                      ColumnBlock block, bool accumulate) {
  if (rows == 0) return;
  const int64_t source_width = source.numel() / rows, target_width = target.numel() / rows;
  const T* from = source.data<T>() + block.source;
  T* to = target.data<T>() + block.target;
  const int64_t grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, block.width));
  with_accumulate(accumulate, [&](auto add) {
    parallel_for(ctx.threads, rows, grain, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const T* in = from + r * source_width;
        T* out = to + r * target_width;
        if constexpr (!add())
          copy_as(in, block.width, out);
        else
          add_as(in, block.width, out);
      }
    });
  });
}

}  // namespace

constinit decltype(copy_columns) copy_columns{
    "copy_columns", {DType::f32, copy_columns_cpu<float>}, {DType::bf16, copy_columns_cpu<bf16>}};

}  // namespace ctr
