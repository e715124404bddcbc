// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "base/dtype.h"
#include "device/device.h"
#include "kernels/gemm_seconds.h"
#include "model/spec.h"

namespace ctr {

// Storage type of activations and type of the factors of matrix products: f32, or with mixed precision f16 on
// a GPU and bf16 on a CPU that is faster with it. Says what was chosen, and why. One answer for all ranks.
DType compute_type(const ModelSpec& spec, Device device);

// Of a matrix product: [m, k] [k, n].
struct ProductShape {
  int64_t m, n, k;
  auto operator<=>(const ProductShape&) const = default;
};

// The largest one of a fully connected layer, over all ranks; zeros without any.
ProductShape largest_product(const ModelSpec& spec);

// A shape that stands for all whose types relate alike, and whose product takes less than a millisecond.
ProductShape class_of(const ProductShape& shape);

struct Precision {
  DType type;
  std::string reason;
};
using MeasureGemm = std::function<GemmSeconds(const ProductShape&)>;

// What a CPU with these bf16 instructions (null: none) computes in where mixed precision is asked for. With
// the type "auto" it is measured, with the class of the largest product.
Precision mixed_precision_on_cpu(const std::string& wanted, const char* instructions,
                                 const ProductShape& largest, const MeasureGemm& measure);

}  // namespace ctr
