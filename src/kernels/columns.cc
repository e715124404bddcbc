// SPDX-License-Identifier: Apache-2.0
#include "kernels/columns.h"

#include <algorithm>
#include <cstring>

#include "base/parallel.h"
#include "kernels/accumulate.h"

namespace ctr {
namespace {

void copy_columns_cpu(Context& ctx, const Tensor& source, const Tensor& target, int64_t rows,
                      ColumnBlock block, bool accumulate) {
  if (rows == 0) return;
  const int64_t source_width = source.numel() / rows, target_width = target.numel() / rows;
  const float* from = source.data<float>() + block.source;
  float* to = target.data<float>() + block.target;
  const int64_t grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, block.width));
  with_accumulate(accumulate, [&](auto add) {
    parallel_for(ctx.threads, rows, grain, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        for (int64_t i = 0; i < block.width; ++i)
          store<add()>(to[r * target_width + i], from[r * source_width + i]);
    });
  });
}

}  // namespace

constinit decltype(copy_columns) copy_columns{"copy_columns", {DType::f32, copy_columns_cpu}};

}  // namespace ctr
