// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/gemm.h"

namespace ctr::cuda {

// Products with a vector, which move far more memory than they compute: the last layer's. False, and nothing
// done, for any other product.
bool thin_gemm(const Context& ctx, const Tensor& a, const Tensor& b, const Tensor& c,
               const GemmOptions& options);

}  // namespace ctr::cuda
