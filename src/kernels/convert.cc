// SPDX-License-Identifier: Apache-2.0
#include "kernels/convert.h"

#include "kernels/elementwise.h"

namespace ctr {
namespace {

template <class From, class To>
void in_parallel(Context& ctx, const Tensor& from, const Tensor& to) {
  const int64_t row = common_row({&from, &to});
  const auto in = from.matrix<From>(row);
  const auto out = to.matrix<To>(row);
  for_row_pieces(ctx, from.numel(), row, [&](int64_t r, int64_t begin, int64_t end) {
    copy_as(in.at(r, begin), end - begin, out.at(r, begin));
  });
}

void from_f32(Context& ctx, const Tensor& from, const Tensor& to) {
  if (to.dtype() == DType::bf16) return in_parallel<float, bf16>(ctx, from, to);
  if (to.dtype() != DType::f32) fail_no_kernel("convert", ctx.device, to.dtype());
  in_parallel<float, float>(ctx, from, to);
}
void from_bf16(Context& ctx, const Tensor& from, const Tensor& to) {
  in_parallel<bf16, float>(ctx, from, to);
}

}  // namespace

constinit decltype(convert) convert{"convert", {DType::f32, from_f32}, {DType::bf16, from_bf16}};

}  // namespace ctr
