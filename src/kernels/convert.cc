// SPDX-License-Identifier: Apache-2.0
#include "kernels/convert.h"

#include "base/parallel.h"
#include "kernels/storage.h"

namespace ctr {
namespace {

template <class From, class To>
void in_parallel(Context& ctx, const Tensor& from, const Tensor& to) {
  const From* in = from.data<From>();
  To* out = to.data<To>();
  parallel_for(ctx.threads, from.numel(), 1 << 14,
               [&](int64_t begin, int64_t end) { copy_as(in + begin, end - begin, out + begin); });
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
