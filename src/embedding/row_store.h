// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/parallel.h"

namespace ctr {

// A key as files write it, and its slot (localized types).
struct RowEntry {
  int64_t key, slot;
};

// Some rows of one embedding in host memory, in one common order.
struct RowBlock {
  std::vector<int64_t> keys;
  std::vector<uint64_t> slot_ids;          // localized types only
  std::vector<float> vectors;              // [n, dim]
  std::vector<std::vector<float>> states;  // one [n, dim] per state tensor, on request
  std::vector<int64_t> last_steps;         // LazyGlobal's last hit of each row, on request
};

// What of rows goes into a block besides keys and slots.
struct RowParts {
  bool vectors = false, last_steps = false;
  int first_state = 0, num_states = 0;  // state tensors
};

// What is kept of each row besides what training needs, where somebody decides by it what to erase.
struct RowColumns {
  bool epoch = false, score = false;
};

// One row as erase_if() shows it; epoch and score are 0 where they are not kept.
struct RowInfo {
  uint32_t row;
  int64_t key, slot;
  uint32_t epoch;
  float score;
};

// What an embedding shall hold on one rank, given block by block.
class RowImport {
 public:
  virtual ~RowImport() = default;
  // Adds those rows of the block that the rank owns, with their vectors; states have their initial values.
  // Returns the position of the first one whose key came before; the size of the block where none did.
  virtual int64_t add(const RowBlock& rows) = 0;
  virtual void commit() = 0;  // in place of what is there; until then nothing changes
};

// The rows one rank holds of one embedding, in the memory of one device. A row's number is its handle until
// the row is erased; then a new key gets it, that of the row left last first. What throws changes nothing.
// Not while a step is between stage() and backward().
class RowStore {
 public:
  virtual ~RowStore() = default;

  virtual int64_t size() const = 0;  // rows in use
  virtual int64_t capacity() const = 0;
  virtual int64_t bytes() const = 0;  // memory of the rows in use, index included
  // Rows go by numbers below this, which count up in the order of insertion as long as nothing is erased
  // (one-hot: every possible key, in key order).
  virtual int64_t end_row() const = 0;

  // rows[i] = row of entries[i], or kNoRow.
  virtual void find(std::span<const RowEntry> entries, std::span<uint32_t> rows) const = 0;
  // Gives keys without a row a fresh one, in order of appearance. Throws out_of_memory where they do not fit.
  virtual void find_or_insert(std::span<const RowEntry> entries, std::span<uint32_t> rows) = 0;
  // Erases the rows for which `predicate` says so, except pinned ones, and returns how many. One-hot keys
  // keep their rows, which start afresh.
  virtual int64_t erase_if(const std::function<bool(const RowInfo&)>& predicate) = 0;

  // Notes when rows were used last, and adds to their scores, where these are kept. Rows may repeat; kNoRow
  // is skipped, here and below.
  virtual void touch(std::span<const uint32_t> rows, uint32_t epoch, float score) = 0;
  // While somebody holds a row it is not erased. As often as a row is pinned it must be unpinned.
  void pin(std::span<const uint32_t> rows);
  void unpin(std::span<const uint32_t> rows);

  // The rows of these numbers.
  virtual RowBlock export_rows(Range numbers, const RowParts& parts) const = 0;
  // Nobody may hold a row meanwhile.
  virtual std::unique_ptr<RowImport> begin_import() = 0;
  // Sets the states of rows that exist here, by key; needs no vectors.
  virtual void import_states(const RowBlock& rows) = 0;

 protected:
  explicit RowStore(std::string name) : name_(std::move(name)) {}
  RowStore(RowStore&&) = default;
  RowStore& operator=(RowStore&&) = default;

  bool is_pinned(uint32_t row) const { return !pins_.empty() && pins_.contains(row); }
  void require_no_pins() const;

 private:
  std::string name_;  // of the embedding
  std::unordered_map<uint32_t, int64_t> pins_;
};

}  // namespace ctr
