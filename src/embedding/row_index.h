// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "embedding/bags.h"
#include "kernels/hash_table.h"

namespace ctr {

// Which row of this rank a key has. Entries carry keys as files do; one-hot bags hold keys relative to their
// slot.
class RowIndex {
 public:
  using Entry = RowEntry;

  virtual ~RowIndex() = default;
  virtual int64_t size() const = 0;     // rows in use
  virtual int64_t end_row() const = 0;  // which are below this
  virtual bool has_row(int64_t row) const = 0;
  virtual int64_t capacity() const = 0;
  virtual int64_t bytes() const = 0;  // of the rows in use

  // rows[i] = row of bags.keys[i], or kNoRow; returns how many have none.
  virtual int64_t find(Context& ctx, const Bags& bags, std::span<uint32_t> rows) const = 0;
  // Throws out_of_memory when the `missing` keys of find() do not fit, and changes nothing.
  virtual void check_room(std::span<const int64_t> keys, std::span<const uint32_t> rows,
                          int64_t missing) const = 0;
  // Gives every key without a row one, in order of appearance: one that an erased key has left, else the
  // next. `reused` gets the former.
  virtual void insert(const Bags& bags, std::span<uint32_t> rows, std::vector<uint32_t>& reused) = 0;

  virtual Entry entry(int64_t row) const = 0;
  virtual void find_entries(std::span<const Entry> entries, std::span<uint32_t> rows) const = 0;
  // find_entries(), check_room() and insert().
  virtual void insert_entries(std::span<const Entry> entries, std::span<uint32_t> rows,
                              std::vector<uint32_t>& reused) = 0;
  // Gives the entries rows, the next ones of an index that never erased. Returns the first entry that was
  // there before, or their number. Throws where entries are not valid here or too many, before it changes
  // anything.
  virtual int64_t add(std::span<const Entry> entries, std::span<uint32_t> rows) = 0;
  // Forgets the keys of rows, which are all in use. One-hot: every key keeps its row.
  virtual void erase(std::span<const uint32_t> rows) = 0;
};

std::unique_ptr<RowIndex> make_hash_index(const EmbeddingSpec& spec, int rank, int world_size);
std::unique_ptr<RowIndex> make_one_hot_index(const EmbeddingSpec& spec, int rank, int world_size);

}  // namespace ctr
