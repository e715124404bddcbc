// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/parallel.h"
#include "embedding/row_index.h"

namespace ctr {
namespace {

constexpr int64_t kGrain = 4096;  // bags worth one thread

// Every possible key has a row: that of its slot's first key plus the key.
class OneHotIndex final : public RowIndex {
 public:
  OneHotIndex(const EmbeddingSpec& spec, int rank, int world_size)
      : spec_(spec), slots_(slots_of(spec, rank, world_size)), first_key_(slot_offsets(spec)) {
    for (int64_t i = 0; i < slots_.count; ++i) {
      local_begin_.push_back(size_);
      size_ += spec.slot_size_array[static_cast<size_t>(slots_[i])];
    }
    require_rows(spec, size_, kNoRow - 1, world_size);
  }

  int64_t size() const override { return size_; }
  int64_t end_row() const override { return size_; }
  bool has_row(int64_t) const override { return true; }
  int64_t capacity() const override { return size_; }
  int64_t bytes() const override { return 0; }

  int64_t find(Context& ctx, const Bags& bags, std::span<uint32_t> rows) const override {
    parallel_for(ctx.threads, bags.count(), kGrain, [&](int64_t begin, int64_t end) {
      int64_t local = begin % slots_.count;
      for (int64_t bag = begin; bag < end; ++bag, local = local + 1 == slots_.count ? 0 : local + 1) {
        const int64_t slot = slots_[local], limit = spec_.slot_size_array[slot];
        for (int64_t i = bags.offsets[bag]; i < bags.offsets[bag + 1]; ++i) {
          const int64_t key = bags.keys[i];
          require(key >= 0 && key < limit, "embedding \"{}\": sample {}, slot {}: key {} is outside [0, {})",
                  spec_.name, bags.sample(bag), slot, key, limit);
          rows[i] = static_cast<uint32_t>(local_begin_[local] + key);
        }
      }
    });
    return 0;
  }

  void check_room(std::span<const int64_t>, std::span<const uint32_t>, int64_t) const override {}
  void insert(const Bags&, std::span<uint32_t>, std::vector<uint32_t>& reused) override { reused.clear(); }

  Entry entry(int64_t row) const override {
    const auto after = std::upper_bound(local_begin_.begin(), local_begin_.end(), row);
    const int64_t i = after - local_begin_.begin() - 1, slot = slots_[i];
    return {first_key_[slot] + row - local_begin_[i], slot};
  }

  void find_entries(std::span<const Entry> entries, std::span<uint32_t> rows) const override {
    for (size_t i = 0; i < entries.size(); ++i) {
      const auto [key, slot] = entries[i];
      require(key >= first_key_[slot] && key < first_key_[slot + 1],
              "embedding \"{}\": key {} is outside the range [{}, {}) of slot {}", spec_.name, key,
              first_key_[slot], first_key_[slot + 1], slot);
      rows[i] = static_cast<uint32_t>(local_begin_[slot / slots_.step] + key - first_key_[slot]);
    }
  }

  void insert_entries(std::span<const Entry> entries, std::span<uint32_t> rows,
                      std::vector<uint32_t>& reused) override {
    find_entries(entries, rows);
    reused.clear();
  }

  int64_t add(std::span<const Entry> entries, std::span<uint32_t> rows) override {
    find_entries(entries, rows);
    added_.resize(static_cast<size_t>(size_));
    for (size_t i = 0; i < entries.size(); ++i) {
      if (added_[rows[i]]) return static_cast<int64_t>(i);
      added_[rows[i]] = true;
    }
    return std::ssize(entries);
  }

  void erase(std::span<const uint32_t>) override {}

 private:
  EmbeddingSpec spec_;
  SlotSet slots_;
  std::vector<int64_t> first_key_;    // of each slot: its key 0 as files write it
  std::vector<int64_t> local_begin_;  // of this rank's slots: the row of key 0
  int64_t size_ = 0;
  std::vector<bool> added_;
};

}  // namespace

std::unique_ptr<RowIndex> make_one_hot_index(const EmbeddingSpec& spec, int rank, int world_size) {
  return std::make_unique<OneHotIndex>(spec, rank, world_size);
}

}  // namespace ctr
