// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/file_system.h"
#include "model/weights.h"

namespace ctr {

// Flat little-endian f32 arrays without header, in layer order.
std::vector<float> read_dense_weights(const FileSystem& files, const std::string& path, int64_t count);
// What the dense optimizer's states belong to: the optimizer and the shape of each weight.
Json describe_dense_states(const OptimizerSpec& optimizer, const Graph& graph);
// State tensors of one value a weight each. Of others accepts AdaGrad's doubled files and the f16 files of
// older mixed precision too.
std::vector<float> read_dense_optimizer(const FileSystem& files, const std::string& path,
                                        const OptimizerSpec& optimizer, const Graph& graph);

// Running statistics, in as many digits as they have: {"layers": [{"type", "mean", "var"}]}.
void write_statistics(OutputFile& file, const Context& ctx, const Graph& graph, const Weights& weights);
// Overwrites the statistics when the file exists; tells so in the log when it does not.
void read_statistics(const FileSystem& files, const std::string& path, const Context& ctx, const Graph& graph,
                     const Weights& weights);
bool has_statistics(const Graph& graph);

}  // namespace ctr
