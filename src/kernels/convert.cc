// SPDX-License-Identifier: Apache-2.0
#include "kernels/convert.h"

#include <cstring>

#include "base/parallel.h"
#include "base/vectorize.h"

namespace ctr {
namespace {

CTR_VECTORIZE void narrow(const float* from, bf16* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = to_bf16(from[i]);
}
CTR_VECTORIZE void widen(const bf16* from, float* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = to_float(from[i]);
}
void copy(const float* from, float* to, int64_t n) {
  std::memcpy(to, from, static_cast<size_t>(n) * sizeof(float));
}

template <class From, class To>
void in_parallel(Context& ctx, const Tensor& from, const Tensor& to,
                 void (*part)(const From*, To*, int64_t)) {
  const From* in = from.data<From>();
  To* out = to.data<To>();
  parallel_for(ctx.threads, from.numel(), 1 << 14,
               [&](int64_t begin, int64_t end) { part(in + begin, out + begin, end - begin); });
}

void from_f32(Context& ctx, const Tensor& from, const Tensor& to) {
  if (to.dtype() == DType::bf16) return in_parallel(ctx, from, to, narrow);
  if (to.dtype() != DType::f32) fail_no_kernel("convert", ctx.device, to.dtype());
  in_parallel(ctx, from, to, copy);
}
void from_bf16(Context& ctx, const Tensor& from, const Tensor& to) { in_parallel(ctx, from, to, widen); }

}  // namespace

constinit decltype(convert) convert{"convert", {DType::f32, from_f32}, {DType::bf16, from_bf16}};

}  // namespace ctr
