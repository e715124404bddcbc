// SPDX-License-Identifier: Apache-2.0
#include "kernels/convert.h"

#include "kernels/elementwise.cuh"

namespace ctr {
namespace {

template <class From, class To>
void convert_into(Context& ctx, const Tensor& from, const Tensor& to) {
  const int64_t row = common_row({&from, &to});
  cuda::map(
      ctx, "convert", to.matrix<To>(row), false, [] __device__(float v) { return v; },
      from.matrix<From>(row));
}

template <class From>
void convert_cuda(Context& ctx, const Tensor& from, const Tensor& to) {
  switch (to.dtype()) {
    case DType::f32: return convert_into<From, float>(ctx, from, to);
    case DType::bf16: return convert_into<From, bf16>(ctx, from, to);
    case DType::f16: return convert_into<From, f16>(ctx, from, to);
    default: fail(ErrorKind::internal, "convert: {} is not a float type", name_of(to.dtype()));
  }
}

}  // namespace

void register_convert_cuda() {
  cuda::for_storage_types([]<class T>(T) { convert.set(Backend::cuda, dtype_of<T>, convert_cuda<T>); });
}

}  // namespace ctr
