// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "data/batch_writer.h"

namespace ctr {

// A value that tells that a Raw file was written with the other setting of float_label_dense.
struct RawMismatch {
  int64_t row;  // in the batch
  std::string what;
};

// Small integers are denormal as floats: 1 is 1.4e-45. Looks at the committed samples from row `first` on.
std::optional<RawMismatch> find_integers(const BatchWriter& batch, int64_t first);

// Floats of an everyday size are integers around a billion: 1.0 is 1065353216. Looks at labels only: a count
// may be as large.
std::optional<RawMismatch> find_floats(const BatchWriter& batch, int64_t first);

// The same of the dense values of samples without a positive: no proof, since whole columns of counts may be
// as large. Null unless all of them that are not 0 look like floats, and there are many.
std::optional<RawMismatch> find_likely_floats(const BatchWriter& batch, int64_t first);

// What to add where a file has the NaN `value`: nothing unless it is a small negative integer.
const char* integer_hint(float value);

}  // namespace ctr
