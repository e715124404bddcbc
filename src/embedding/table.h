// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "embedding/fresh_rows.h"
#include "embedding/row_index.h"
#include "optim/row_update.h"

namespace ctr {

// Rows in host memory: vector, optimizer states and last step of a row lie side by side. Memory is taken as
// rows come into use. Several threads may look rows up at the same time.
class Table final : public RowStore {
 public:
  // `number` of the embedding within its model: part of what a fresh vector depends on.
  Table(const Context& ctx, const EmbeddingSpec& spec, uint32_t number);

  const RowIndex& index() const { return *index_; }
  const RowLayout& layout() const { return layout_; }
  float* rows() const { return reinterpret_cast<float*>(rows_.data()); }
  float* row(int64_t r) const { return rows() + r * layout_.stride(); }

  int64_t size() const override { return index_->size(); }
  int64_t capacity() const override { return index_->capacity(); }
  int64_t bytes() const override;
  int64_t end_row() const override { return index_->end_row(); }

  // Gives keys without a row a fresh one.
  void insert(const Bags& bags, std::span<uint32_t> rows);
  void find(std::span<const RowEntry> entries, std::span<uint32_t> rows) const override {
    index_->find_entries(entries, rows);
  }
  void find_or_insert(std::span<const RowEntry> entries, std::span<uint32_t> rows) override;
  int64_t erase_if(const std::function<bool(const RowInfo&)>& predicate) override;
  void touch(std::span<const uint32_t> rows, uint32_t epoch, float score) override;

  RowBlock export_rows(Range numbers, const RowParts& parts) const override;
  std::unique_ptr<RowImport> begin_import() override;
  void import_states(const RowBlock& rows) override;

 private:
  class Import;

  void initialize(int64_t row);
  void initialize_new(int64_t known);
  RowInfo info(uint32_t row) const;
  uint32_t* epochs() const { return reinterpret_cast<uint32_t*>(epochs_.data()); }
  float* scores() const { return reinterpret_cast<float*>(scores_.data()); }
  int64_t add(const RowBlock& rows);

  Context ctx_;  // by value: what the constructor was given
  EmbeddingSpec spec_;
  uint32_t number_;
  RowLayout layout_;
  FreshRows fresh_;
  std::unique_ptr<RowIndex> index_;
  Buffer rows_;
  Buffer epochs_, scores_;        // by row, on request
  std::vector<uint32_t> reused_;  // erased rows that the last keys got
};

}  // namespace ctr
