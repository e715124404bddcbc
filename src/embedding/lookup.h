// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "embedding/bags.h"
#include "embedding/table.h"

namespace ctr {

// out[b] = sum of the rows of bag b, times factors[b] unless null; keys without a row add nothing. out:
// [bags, dim] (in runs of whole vectors if it is not packed), f32 or bf16; sums are taken in float and
// rounded once.
void combine_rows(Context& ctx, const Table& table, const Bags& bags, std::span<const uint32_t> rows,
                  const float* factors, const Tensor& out);

// out = in * factors[b], row by row of `dim`; out may be `in`.
void scale_rows(Context& ctx, const Tensor& in, const float* factors, const Tensor& out);

}  // namespace ctr
