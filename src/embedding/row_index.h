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
  struct Entry {
    int64_t key;
    int64_t slot;  // localized types
  };

  virtual ~RowIndex() = default;
  virtual int64_t size() const = 0;  // rows in use: [0, size)
  virtual int64_t capacity() const = 0;
  virtual int64_t bytes() const = 0;  // of the rows in use

  // rows[i] = row of bags.keys[i], or kNoRow; returns how many have none.
  virtual int64_t find(Context& ctx, const Bags& bags, std::span<uint32_t> rows) const = 0;
  // Throws out_of_memory when the `missing` keys of find() do not fit, and changes nothing.
  virtual void check_room(const Bags& bags, std::span<const uint32_t> rows, int64_t missing) const = 0;
  // Gives every key without a row the next one, in order of appearance.
  virtual void insert(const Bags& bags, std::span<uint32_t> rows) = 0;

  virtual Entry entry(int64_t row) const = 0;
  virtual void find_entries(std::span<const Entry> entries, std::span<uint32_t> rows) const = 0;
  // Replaces the content; rows[i] = row of entry i. Throws, and changes nothing, when entries are not valid
  // here.
  virtual void assign(std::span<const Entry> entries, std::span<uint32_t> rows) = 0;
};

std::unique_ptr<RowIndex> make_hash_index(const EmbeddingSpec& spec, int rank, int world_size);
std::unique_ptr<RowIndex> make_one_hot_index(const EmbeddingSpec& spec, int rank, int world_size);

}  // namespace ctr
