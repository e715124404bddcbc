// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/file.h"
#include "optim/rules.h"

namespace ctr {

// What the files of optimizer states have in common, dense and sparse ones.

// True when `path` may hold the f16 states of an older release: it has no step counters beside it.
bool may_be_16_bit(const std::string& path);
// Refuses values that no state of this optimizer can have; says in the log that 16-bit values were read.
void accept_16_bit_states(const std::string& path, const OptimizerSpec& optimizer,
                          const std::vector<std::vector<float>>& states);

// Step counters beside an optimizer file: i64, the optimizer's step first. Missing: all zero.
void write_steps(OutputFile& file, int64_t step, const std::vector<int64_t>& rows);
std::vector<int64_t> read_steps(const std::string& path);

}  // namespace ctr
