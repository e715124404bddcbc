// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernel.h"

namespace ctr {

// y = a - b
extern Kernel<void(const Tensor& a, const Tensor& b, const Tensor& y)> sub_forward;

}  // namespace ctr
