// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>

#include "embedding/embedding.h"
#include "embedding/row_index.h"
#include "kernels/hash_table.h"
#include "optim/row_update.h"

namespace ctr::cuda {

// One place of the device's hash table: open addressing, probed one by one. `row` is the key's row; kPending
// plus the first position of the key in the batch while it has none yet; or kNoRow.
struct alignas(16) Entry {
  int64_t key;
  uint32_t row;
  uint32_t unused;
};
inline constexpr int64_t kEmptyKey = std::numeric_limits<int64_t>::max();  // as a key, has a place of its own
inline constexpr uint32_t kPending = 0x80000000u;

struct BatchCounts {
  uint32_t bags, keys;
  uint32_t narrow;  // the keys came as 32-bit numbers
  uint32_t fresh;   // set when a key without a row was met
};

// One table, and the batch it works on, as kernels see them.
struct TableView {
  float* rows;  // [capacity, stride]: vector, states, and for LazyGlobal the last step in the last element
  int dim, stride, states;
  bool has_last_step;
  float bound, initial_state;
  uint32_t number;  // of the embedding within its model
  uint32_t* size;   // rows in use

  Entry* entries;  // null for one-hot tables, whose rows the host computes
  uint64_t num_entries;
  HashSalt salt;
  int64_t* keys;       // by row
  uint32_t* slot_ids;  // by row; null for distributed tables

  uint32_t slots;  // of the input
  const BatchCounts* counts;
  const void* batch_keys;        // int64, or uint32 where counts->narrow
  const uint32_t* offsets;       // [bags + 1]
  uint32_t* found;               // by key of the batch: its row, kNoRow, or kPending plus its entry
  float* factors;                // by bag, of the mean combiner; null for sum
  uint32_t* firsts;              // [kFirstBlocks] new keys that each block met first
  uint32_t first_hit, max_keys;  // room in the group's arrays of hits
  uint32_t row_base;             // of the table's rows among those of all tables
  uint32_t* hit_bits;            // see RowUpdateView
};
inline constexpr unsigned kFirstBlocks = 256;

// The rows of one embedding in device memory.
class CudaTable {
 public:
  CudaTable(const Context& ctx, const EmbeddingSpec& spec, uint32_t number);

  const EmbeddingSpec& spec() const { return spec_; }
  const RowLayout& layout() const { return layout_; }
  // Fills in what belongs to the table.
  void describe(TableView& view) const;
  // One-hot: computes rows on the host; null otherwise.
  const RowIndex* host_index() const { return one_hot_.get(); }
  int64_t size() const;  // waits for the device
  int64_t capacity() const { return capacity_; }
  int64_t bytes() const;  // taken at once, for all rows there can be

  RowBlock export_rows(Range numbers, const RowParts& parts) const;
  std::unique_ptr<RowIndex> new_index() const;  // on the host, empty
  void import_rows(const RowBlock& dump);       // of keys that differ
  void import_states(const RowBlock& dump);

 private:
  void clear();
  void export_keys(int64_t begin, int64_t count, RowBlock& block) const;
  void initialize(int64_t begin, int64_t end, int64_t key_offset, float bound) const;
  std::vector<uint32_t> find(const std::vector<RowIndex::Entry>& entries) const;
  void scatter(const std::vector<uint32_t>& rows, const std::vector<int64_t>& positions, const float* values,
               int64_t width, int64_t first_element) const;

  mutable Context ctx_;
  EmbeddingSpec spec_;
  uint32_t number_;
  RowLayout layout_;
  int stride_;
  int64_t capacity_;
  std::unique_ptr<RowIndex> one_hot_;
  uint64_t num_entries_ = 0;
  Buffer rows_, entries_, keys_, slot_ids_, size_;
};

}  // namespace ctr::cuda
