// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "kernels/kernel.h"

namespace ctr {

// y = x_0 + x_1 + ...
extern Kernel<void(const Tensor& y, std::span<const Tensor> x)> add_forward;

}  // namespace ctr
