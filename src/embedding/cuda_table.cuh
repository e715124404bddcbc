// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <limits>

#include "embedding/dump.h"
#include "embedding/fresh_rows.h"
#include "embedding/row_index.h"
#include "embedding/row_report.cuh"
#include "kernels/hash_table.h"
#include "optim/row_update.h"

namespace ctr::cuda {

inline constexpr int64_t kEmptyKey = std::numeric_limits<int64_t>::max();  // as a key, has a place of its own

// One place of the device's hash table: open addressing, probed one by one. `row` is the key's row; kPending
// plus the first position of the key in the batch while it has none yet; or kNoRow. Has nothing to do with
// the key: in the first entries, the rows that erased keys have left, the last one last.
struct alignas(16) Entry {
  int64_t key;
  uint32_t row;
  uint32_t free_row;

  CTR_HOST_DEVICE void clear() { key = kEmptyKey, row = kNoRow; }
};
inline constexpr uint32_t kPending = 0x80000000u;

// Rows below `end_row` are in use but for the free ones.
struct RowCounts {
  uint32_t end_row, free;
};

struct BatchCounts {
  uint32_t bags, keys;
  uint32_t narrow;  // the keys came as 32-bit numbers
  uint32_t fresh;   // set when a key without a row was met
  uint32_t number;  // of the batch, by which its insertion is reported
};

// One table, and the batch it works on, as kernels see them.
struct TableView {
  float* rows;  // [capacity, stride]: vector, states, and for LazyGlobal the last step in the last element
  int dim, stride, states;
  bool has_last_step;
  Initializer fresh;
  float initial_state;
  uint32_t number;  // of the embedding within its model
  RowCounts* row_counts;
  uint64_t* report;  // see RowReport

  Entry* entries;  // null for one-hot tables, whose rows the host computes
  uint64_t num_entries;
  HashSalt salt;
  int64_t* keys;        // by row
  uint32_t* slot_ids;   // by row; null for distributed tables
  uint32_t* free_bits;  // bit r is set where row r was left
  uint32_t* epochs;     // by row, on request, as are the scores
  float* scores;

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

template <class T>
T* pointer(const Buffer& b) {
  return reinterpret_cast<T*>(b.data());
}
template <class T>
Tensor tensor(const Buffer& b, int64_t n) {
  return {dtype_of<T>, {n}, b.data()};
}

// Rows in device memory, all of which is taken at once. What other verbs need of it beside they take before
// they change anything.
class CudaTable final : public RowStore {
 public:
  CudaTable(const Context& ctx, const EmbeddingSpec& spec, uint32_t number);

  const EmbeddingSpec& spec() const { return spec_; }
  const RowLayout& layout() const { return layout_; }
  // Fills in what belongs to the table.
  void describe(TableView& view) const;
  // One-hot: computes rows on the host; null otherwise.
  const RowIndex* host_index() const { return one_hot_.get(); }

  // These wait for the device.
  int64_t size() const override;
  int64_t end_row() const override { return counts().end_row; }
  int64_t capacity() const override { return capacity_; }
  int64_t bytes() const override;

  void find(std::span<const RowEntry> entries, std::span<uint32_t> rows) const override;
  void find_or_insert(std::span<const RowEntry> entries, std::span<uint32_t> rows) override;
  int64_t erase_if(const std::function<bool(const RowInfo&)>& predicate) override;
  void touch(std::span<const uint32_t> rows, uint32_t epoch, float score) override;

  RowBlock export_rows(Range numbers, const RowParts& parts) const override;
  std::unique_ptr<RowImport> begin_import() override;
  void import_states(const RowBlock& rows) override;

  RowReport report;

 private:
  class Import;
  // Room for some rows on their way to the device.
  struct Staging {
    int64_t rows, floats;
    Buffer keys, numbers, slots, values;

    template <class T>
    std::span<T> next(std::span<T> all, size_t begin) const {
      return all.subspan(begin, std::min(static_cast<size_t>(rows), all.size() - begin));
    }
  };

  TableView view() const;
  RowCounts counts() const;
  void set_counts(RowCounts counts) const;
  Staging make_staging(int64_t rows, int64_t floats) const;
  void clear();
  void initialize(const uint32_t* numbers, int64_t begin, int64_t n, int64_t key_offset,
                  const Initializer& fresh) const;
  std::vector<uint32_t> next_rows(const Staging& staging, RowCounts counts, int64_t n) const;
  void insert(const Staging& staging, std::span<const RowEntry> entries,
              std::span<const uint32_t> rows) const;
  std::vector<uint32_t> select(const std::function<bool(const RowInfo&)>& predicate) const;
  void restart(const Staging& staging, std::span<const uint32_t> rows) const;
  void leave(const Staging& staging, std::span<const uint32_t> rows);

  std::vector<uint32_t> rows_in_use(int64_t begin, int64_t count) const;
  void export_keys(int64_t begin, int64_t count, RowBlock& block) const;
  void replace(const OwnedEntries& mine, const std::vector<uint32_t>& rows,
               const std::vector<float>& vectors);
  void scatter(const Staging& staging, const std::vector<uint32_t>& rows,
               const std::vector<int64_t>& positions, const float* values, int64_t width,
               int64_t first_element) const;

  mutable Context ctx_;
  EmbeddingSpec spec_;
  uint32_t number_;
  RowLayout layout_;
  int stride_;
  int64_t capacity_;
  std::unique_ptr<RowIndex> one_hot_;
  uint64_t num_entries_ = 0;
  Buffer rows_, entries_, keys_, slot_ids_, free_bits_, epochs_, scores_, counts_;
};

}  // namespace ctr::cuda
