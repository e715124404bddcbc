// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "embedding/row_index.h"
#include "optim/row_update.h"

namespace ctr {

// The rows one rank holds of one embedding, in host memory: vector, optimizer states and last step of a row
// lie side by side. Memory is taken as rows come into use.
class Table {
 public:
  // `number` of the embedding within its model: part of what a fresh vector depends on.
  Table(const Context& ctx, const EmbeddingSpec& spec, uint32_t number);

  const RowIndex& index() const { return *index_; }
  const RowLayout& layout() const { return layout_; }
  float* rows() const { return reinterpret_cast<float*>(rows_.data()); }
  float* row(int64_t r) const { return rows() + r * layout_.stride(); }
  int64_t bytes() const;  // of the rows in use, index included

  // Gives keys without a row a fresh one.
  void insert(const Bags& bags, std::span<uint32_t> rows);

  TableDump export_rows(bool with_states) const;
  void import_rows(const TableDump& dump);
  void import_states(const TableDump& dump);

 private:
  void initialize(int64_t begin, int64_t end);

  Context ctx_;  // by value: what the constructor was given
  EmbeddingSpec spec_;
  uint32_t number_;
  RowLayout layout_;
  std::unique_ptr<RowIndex> index_;
  Buffer rows_;
};

}  // namespace ctr
