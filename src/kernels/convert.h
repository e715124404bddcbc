// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernel.h"

namespace ctr {

// to = from, rounded to nearest even; both are any of f32, bf16 and f16.
extern Kernel<void(const Tensor& from, const Tensor& to)> convert;

}  // namespace ctr
