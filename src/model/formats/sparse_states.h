// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "base/json.h"
#include "model/formats/sparse_files.h"

namespace ctr {

// For each state tensor the full-capacity rows of every rank, unused rows at their initial value.
void write_sparse_optimizer(OutputFile& file, const EmbeddingSpec& spec, const RankRows& rows);
// The optimizer's step, then the last step of each row where the optimizer keeps one.
void write_sparse_steps(OutputFile& file, const EmbeddingSpec& spec, const RankRows& rows, int64_t step);
// What an embedding's states belong to: the optimizer, the embedding with its name, the ranks, and the keys
// (and slots) of the sparse model, in the order of its file.
Json describe_sparse_states(const EmbeddingSpec& spec, const KeyOrder& order, int world_size);

// States, f32 or (older mixed precision) f16, and the step counters beside them, for reading.
class SparseStates {
 public:
  // Checks them all. `order` lists keys (and slots) of the sparse model that belongs to the file, as saved.
  // Where no description says the number of ranks at that time, it follows from the size; `world_size` is
  // tried first. `model` are all embeddings of the model, `spec` among them: a file of another one is
  // refused.
  SparseStates(const FileSystem& files, const std::string& path, const EmbeddingSpec& spec,
               std::span<const EmbeddingSpec> model, KeyOrder order, int world_size);

  int64_t optimizer_step() const { return optimizer_step_; }
  void read(const VisitRows& visit) const;

 private:
  // When it was saved.
  struct Layout {
    int value_bytes;                // 4, or 2 in releases that kept 16-bit states
    std::vector<int64_t> capacity;  // of each rank
  };
  Layout layout_of(const FileSystem& files, int world_size, const Json& description) const;
  void open_steps(const FileSystem& files);
  std::vector<int64_t> last_steps(int64_t first, int64_t count) const;
  void check() const;

  std::string path_;
  EmbeddingSpec spec_;
  KeyOrder order_;
  std::unique_ptr<RandomAccessFile> file_;
  bool has_states_ = false;
  Layout layout_;
  int64_t optimizer_step_ = 0;
  std::unique_ptr<RandomAccessFile> steps_;  // of each row behind it; null: no row is behind
};

}  // namespace ctr
