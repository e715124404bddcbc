// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <unordered_map>

#include "embedding/row_index.h"
#include "optim/row_update.h"

namespace ctr {

// What a table keeps of each row besides what training needs, where somebody decides by it what to erase.
struct RowColumns {
  bool epoch = false, score = false;
};

// The rows one rank holds of one embedding, in host memory: vector, optimizer states and last step of a row
// lie side by side. Memory is taken as rows come into use. A row's number is its handle until the row is
// erased.
class Table {
 public:
  // `number` of the embedding within its model: part of what a fresh vector depends on.
  Table(const Context& ctx, const EmbeddingSpec& spec, uint32_t number, RowColumns columns = {});

  const RowIndex& index() const { return *index_; }
  const RowLayout& layout() const { return layout_; }
  float* rows() const { return reinterpret_cast<float*>(rows_.data()); }
  float* row(int64_t r) const { return rows() + r * layout_.stride(); }
  int64_t bytes() const;  // of the rows in use, index included

  // Gives keys without a row a fresh one.
  void insert(const Bags& bags, std::span<uint32_t> rows);

  // One row as erase_if() shows it; epoch and score are 0 where the table does not keep them.
  struct RowInfo {
    uint32_t row;
    int64_t key, slot;
    uint32_t epoch;
    float score;
  };
  // Erases the rows for which `predicate` says so, except pinned ones, and returns how many. One-hot keys
  // keep their rows, which start afresh.
  int64_t erase_if(const std::function<bool(const RowInfo&)>& predicate);
  // Notes when rows were used last, and adds to their scores. Rows may repeat.
  void touch(std::span<const uint32_t> rows, uint32_t epoch, float score);
  // While somebody holds a row it is not erased. As often as a row is pinned it must be unpinned.
  void pin(std::span<const uint32_t> rows);
  void unpin(std::span<const uint32_t> rows);

  RowBlock export_rows(Range numbers, const RowParts& parts) const;
  std::unique_ptr<RowImport> begin_import();
  void import_states(const RowBlock& rows);

 private:
  class Import;

  void initialize(int64_t row);
  void initialize(Range rows);
  RowInfo info(uint32_t row) const;
  uint32_t* epochs() const { return reinterpret_cast<uint32_t*>(epochs_.data()); }
  float* scores() const { return reinterpret_cast<float*>(scores_.data()); }
  int64_t add(const RowBlock& rows);

  Context ctx_;  // by value: what the constructor was given
  EmbeddingSpec spec_;
  uint32_t number_;
  RowColumns columns_;
  RowLayout layout_;
  std::unique_ptr<RowIndex> index_;
  Buffer rows_;
  Buffer epochs_, scores_;  // by row, on request
  std::vector<uint32_t> reused_;
  std::unordered_map<uint32_t, int64_t> pins_;
};

}  // namespace ctr
