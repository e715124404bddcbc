// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <atomic>

#include "base/parallel.h"
#include "embedding/row_index.h"

namespace ctr {
namespace {

constexpr int64_t kGrain = 4096;  // keys worth one thread

// Rows by hash table, in order of insertion.
class HashIndex final : public RowIndex {
 public:
  HashIndex(const EmbeddingSpec& spec, int rank, int world_size)
      : spec_(spec),
        rank_(rank),
        table_(hashed_rows(spec, rank, kMaxHashedRows, world_size)),
        slots_(Device{}, is_localized(spec) ? static_cast<size_t>(capacity()) * sizeof(uint32_t) : 0,
               "slot ids") {}

  int64_t size() const override { return table_.size(); }
  int64_t end_row() const override { return table_.end_row(); }
  bool has_row(int64_t row) const override { return table_.has_row(row); }
  int64_t capacity() const override { return table_.max_size(); }
  int64_t bytes() const override {
    return table_.bytes() + (is_localized(spec_) ? end_row() * static_cast<int64_t>(sizeof(uint32_t)) : 0);
  }

  int64_t find(Context& ctx, const Bags& bags, std::span<uint32_t> rows) const override {
    std::atomic<int64_t> missing = 0;
    parallel_for(ctx.threads, std::ssize(bags.keys), kGrain, [&](int64_t begin, int64_t end) {
      const auto n = static_cast<size_t>(end - begin);
      const auto part = rows.subspan(static_cast<size_t>(begin), n);
      table_.find(bags.keys.subspan(static_cast<size_t>(begin), n), part);
      missing += std::count(part.begin(), part.end(), kNoRow);
    });
    return missing;
  }

  void check_room(std::span<const int64_t> keys, std::span<const uint32_t> rows,
                  int64_t missing) const override {
    const int64_t room = capacity() - size();
    if (missing <= room) return;
    std::vector<int64_t> absent;
    for (size_t i = 0; i < rows.size(); ++i)
      if (rows[i] == kNoRow) absent.push_back(keys[i]);
    HashTable distinct(missing);
    std::vector<uint32_t> ignored(absent.size(), kNoRow);
    distinct.insert_missing(absent, ignored);
    if (distinct.size() > room)
      fail_overflow(spec_, rank_, capacity(), size(), distinct.size(), MoreKeys::may_come);
  }

  void insert(const Bags& bags, std::span<uint32_t> rows, std::vector<uint32_t>& reused) override {
    const int64_t known = end_row();
    insert_keys(bags.keys, rows, reused);
    if (!is_localized(spec_)) return;
    for (int64_t bag = 0; bag < bags.count(); ++bag)
      for (int64_t i = bags.offsets[bag]; i < bags.offsets[bag + 1]; ++i)
        if (is_new(rows[i], known, reused)) slots()[rows[i]] = static_cast<uint32_t>(bags.slot(bag));
  }

  Entry entry(int64_t row) const override {
    return {table_.keys()[row], is_localized(spec_) ? int64_t{slots()[row]} : 0};
  }

  void find_entries(std::span<const Entry> entries, std::span<uint32_t> rows) const override {
    table_.find(keys_of(entries), rows);
  }

  void insert_entries(std::span<const Entry> entries, std::span<uint32_t> rows,
                      std::vector<uint32_t>& reused) override {
    const std::vector<int64_t> keys = keys_of(entries);
    table_.find(keys, rows);
    check_room(keys, rows, std::count(rows.begin(), rows.end(), kNoRow));
    const int64_t known = end_row();
    insert_keys(keys, rows, reused);
    for (size_t i = 0; is_localized(spec_) && i < rows.size(); ++i)
      if (is_new(rows[i], known, reused)) slots()[rows[i]] = static_cast<uint32_t>(entries[i].slot);
  }

  int64_t add(std::span<const Entry> entries, std::span<uint32_t> rows) override {
    const int64_t n = std::ssize(entries), known = size();
    if (n > capacity() - known) fail_overflow(spec_, rank_, capacity(), known, n, MoreKeys::never);
    std::fill(rows.begin(), rows.end(), kNoRow);
    table_.insert_missing(keys_of(entries), rows);
    for (int64_t i = 0; i < n; ++i) {
      if (rows[i] != known + i) return i;
      if (is_localized(spec_)) slots()[known + i] = static_cast<uint32_t>(entries[i].slot);
    }
    return n;
  }

  void erase(std::span<const uint32_t> rows) override {
    constexpr size_t kBlock = 1024;
    int64_t keys[kBlock];
    uint32_t left[kBlock];
    for (size_t first = 0; first < rows.size(); first += kBlock) {
      const size_t n = std::min(kBlock, rows.size() - first);
      for (size_t i = 0; i < n; ++i) keys[i] = table_.keys()[rows[first + i]];
      table_.erase({keys, n}, {left, n});
    }
  }

 private:
  // For keys that fit. Memory is taken before anything changes.
  void insert_keys(std::span<const int64_t> keys, std::span<uint32_t> rows, std::vector<uint32_t>& reused) {
    const int64_t known = end_row();
    reused.clear();
    missing_.clear();
    if (size() < known)
      for (size_t i = 0; i < rows.size(); ++i)
        if (rows[i] == kNoRow) missing_.push_back(i);
    reused.reserve(missing_.size());
    table_.insert_missing(keys, rows);
    for (const size_t i : missing_)
      if (rows[i] < known) reused.push_back(rows[i]);
    std::sort(reused.begin(), reused.end());
    reused.erase(std::unique(reused.begin(), reused.end()), reused.end());
  }
  static bool is_new(uint32_t row, int64_t known, const std::vector<uint32_t>& reused) {
    return row >= known || (!reused.empty() && std::binary_search(reused.begin(), reused.end(), row));
  }
  static std::vector<int64_t> keys_of(std::span<const Entry> entries) {
    std::vector<int64_t> keys(entries.size());
    std::transform(entries.begin(), entries.end(), keys.begin(), [](const Entry& e) { return e.key; });
    return keys;
  }
  uint32_t* slots() const { return reinterpret_cast<uint32_t*>(slots_.data()); }

  EmbeddingSpec spec_;
  int rank_;
  HashTable table_;
  Buffer slots_;                 // localized: the slot of each row, uint32: part of its key
  std::vector<size_t> missing_;  // scratch
};

}  // namespace

std::unique_ptr<RowIndex> make_hash_index(const EmbeddingSpec& spec, int rank, int world_size) {
  return std::make_unique<HashIndex>(spec, rank, world_size);
}

}  // namespace ctr
