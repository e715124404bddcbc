// SPDX-License-Identifier: Apache-2.0
#include "kernels/rows.h"

#include <algorithm>

#include "base/parallel.h"
#include "kernels/storage.h"

namespace ctr {
namespace {

int64_t grain_of(int64_t width) { return std::max<int64_t>(1, 16384 / std::max<int64_t>(1, width)); }

template <class T>
void gather_rows_cpu(Context& ctx, const Tensor& x, const Tensor& rows, const Tensor& y) {
  const int64_t width = x.numel() / x.shape()[0];
  const auto from = x.matrix<T>(width), to = y.matrix<T>(width);
  const int32_t* row = rows.data<int32_t>();
  parallel_for(ctx.threads, to.rows, grain_of(width), [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) std::copy_n(from.at(row[k]), width, to.at(k));
  });
}

template <class T>
void scatter_rows_cpu(Context& ctx, const Tensor& d_y, const RowTakers& taken, const Tensor& d_x,
                      bool accumulate) {
  constexpr int64_t kTile = 1024;
  const int64_t width = d_x.numel() / d_x.shape()[0];
  const auto from = d_y.matrix<T>(width), to = d_x.matrix<T>(width);
  const int32_t *takers = taken.takers.data<int32_t>(), *begins = taken.begins.data<int32_t>();
  parallel_for(ctx.threads, to.rows, grain_of(width), [&](int64_t begin, int64_t end) {
    float buffer[kTile];
    for (int64_t r = begin; r < end; ++r)
      for (int64_t c = 0; c < width; c += kTile) {
        const int64_t n = std::min(kTile, width - c);
        const FloatRun run(to.at(r, c), n, buffer);
        float* sum = run.start(accumulate);
        for (int32_t k = begins[r]; k < begins[r + 1]; ++k) {
          const T* g = from.at(takers[k], c);
          for (int64_t j = 0; j < n; ++j) sum[j] += to_float(g[j]);
        }
        run.flush();
      }
  });
}

}  // namespace

constinit decltype(gather_rows) gather_rows{
    "gather_rows", {DType::f32, gather_rows_cpu<float>}, {DType::bf16, gather_rows_cpu<bf16>}};
constinit decltype(scatter_rows) scatter_rows{
    "scatter_rows", {DType::f32, scatter_rows_cpu<float>}, {DType::bf16, scatter_rows_cpu<bf16>}};

}  // namespace ctr
