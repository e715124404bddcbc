// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/file.h"
#include "model/dense_parameters.h"

namespace ctr {

// Flat little-endian f32 arrays without header, in layer order.
std::vector<float> read_dense_weights(const std::string& path, int64_t count);
// `states` tensors of `count` values each. Accepts f16 files (older mixed precision) and AdaGrad's doubled
// files.
std::vector<float> read_dense_optimizer(const std::string& path, const OptimizerSpec& optimizer,
                                        int64_t count);

// Running statistics, 6 decimals: {"layers": [{"type", "mean", "var"}]}.
void write_statistics(OutputFile& file, const Context& ctx, const Graph& graph,
                      const DenseParameters& parameters);
// Overwrites the statistics when the file exists; tells so in the log when it does not.
void read_statistics(const std::string& path, const Context& ctx, const Graph& graph,
                     const DenseParameters& parameters);
bool has_statistics(const Graph& graph);

// Step counters beside an optimizer file: little-endian i64, the optimizer's step first. Missing: all zero.
void write_steps(OutputFile& file, int64_t step, const std::vector<int64_t>& rows);
std::vector<int64_t> read_steps(const std::string& path);

}  // namespace ctr
