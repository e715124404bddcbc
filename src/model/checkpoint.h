// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "model/engine.h"

namespace ctr {

// Writes <prefix>_dense_<iter>.model, <prefix>_opt_dense_<iter>.model, per embedding i the directory
// <prefix><i>_sparse_<iter>.model and <prefix><i>_opt_sparse_<iter>.model, and side files: .ntp.json beside
// the dense weights (running statistics), .json and .step beside the optimizer files (what they belong to,
// step counters). All appear together or not at all. Releases before 3.1 had one file for an embedding.
enum class SparseForm : uint8_t { directory, single_file };
void save_checkpoint(Engine& engine, const std::string& prefix, int64_t iteration,
                     SparseForm form = SparseForm::directory);
void save_dense_weights(Engine& engine, const std::string& path);

// Each checks the whole file before it changes the model. Errors have kind io and give both sizes.
void load_dense_weights(Engine& engine, const std::string& path);
void load_dense_optimizer(Engine& engine, const std::string& path);
void load_sparse_weights(Engine& engine, const std::map<std::string, std::string>& path_by_embedding);
void load_sparse_optimizer(Engine& engine, const std::map<std::string, std::string>& path_by_embedding);

}  // namespace ctr
