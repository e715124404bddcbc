// SPDX-License-Identifier: Apache-2.0
#include "kernels/hash_table.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <algorithm>
#include <bit>
#include <cstring>
#include <random>

#include "base/error.h"
#include "kernels/prefetch.h"

namespace ctr {
namespace {

constexpr uint64_t kLoad = 9;    // rows per bucket at full load: 3/4 of twelve
constexpr uint64_t kGrowth = 8;  // grows by one bucket for so many: to a load of 8, no less
constexpr uint64_t kFirstBuckets = 64;
constexpr int kBlock = 128;  // keys in flight

uint64_t buckets_for(int64_t rows) {
  return std::max<uint64_t>(1, (static_cast<uint64_t>(rows) + kLoad - 1) / kLoad);
}

}  // namespace

HashSalt hash_salt() {
  static const HashSalt salt = [] {
    std::random_device device;
    const auto draw = [&] { return uint64_t{device()} << 32 | device(); };
    return HashSalt{draw() | 1, draw() | 1};
  }();
  return salt;
}

HashTable::HashTable(int64_t max_rows, HashSalt salt)
    : max_rows_(max_rows),
      salt_(salt),
      keys_(Device{}, static_cast<size_t>(max_rows) * sizeof(int64_t), "hash table keys"),
      buckets_(Device{}, buckets_for(max_rows) * sizeof(Bucket), "hash table buckets") {
  require(max_rows >= 0 && max_rows < kNoRow, "a hash table holds at most {} rows, got {}", kNoRow - 1,
          max_rows);
  grow(std::min(kFirstBuckets, buckets_for(max_rows)));
}

int64_t HashTable::bytes() const {
  return size_ * static_cast<int64_t>(sizeof(int64_t)) + static_cast<int64_t>(num_buckets_ * sizeof(Bucket));
}

// Bit i is set where entry i carries the tag.
inline uint32_t HashTable::matches(const Bucket& b, uint8_t tag) {
#ifdef __SSE2__  // reads the tags and, as four more bytes, the count
  const __m128i tags = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b.tags));
  const int equal = _mm_movemask_epi8(_mm_cmpeq_epi8(tags, _mm_set1_epi8(static_cast<char>(tag))));
#else
  int equal = 0;
  for (int i = 0; i < kWidth; ++i) equal |= (b.tags[i] == tag) << i;
#endif
  return static_cast<uint32_t>(equal) & ((1u << b.count) - 1);
}

// The row of `key`; else kNoRow and, on request, the bucket to put it in.
inline uint32_t HashTable::search(int64_t key, uint64_t hash, Bucket** free_bucket) const {
  const auto stored = keys(size_);
  for (uint64_t i = home(hash);; i = next(i)) {
    Bucket& b = *bucket(i);
    for (uint32_t m = matches(b, static_cast<uint8_t>(hash)); m; m &= m - 1)
      if (const uint32_t row = b.rows[std::countr_zero(m)]; stored[row] == key) return row;
    if (b.count == kWidth) continue;
    if (free_bucket) *free_bucket = &b;
    return kNoRow;
  }
}

// Three passes, each of which asks for the memory the next one needs.
void HashTable::find_block(const int64_t* keys, int n, uint32_t* rows) const {
  const HashSalt salt = salt_;
  uint64_t hashes[kBlock];
  bool ends[kBlock];  // nothing beyond the candidate: neither a second match nor a full bucket
  for (int i = 0; i < n; ++i) {
    hashes[i] = hash_key(keys[i], salt);
    prefetch(bucket(home(hashes[i])));
  }
  const int64_t* stored = this->keys(size_).data();
  for (int i = 0; i < n; ++i) {
    const Bucket& b = *bucket(home(hashes[i]));
    const uint32_t m = matches(b, static_cast<uint8_t>(hashes[i]));
    rows[i] = m ? b.rows[std::countr_zero(m)] : kNoRow;
    ends[i] = !m && b.count < kWidth;
    prefetch(stored + (m ? rows[i] : 0));
  }
  for (int i = 0; i < n; ++i) {
    if (ends[i] || (rows[i] != kNoRow && stored[rows[i]] == keys[i])) continue;
    rows[i] = search(keys[i], hashes[i], nullptr);
  }
}

void HashTable::find(std::span<const int64_t> keys, std::span<uint32_t> rows) const {
  const int64_t n = std::ssize(keys);
  for (int64_t i = 0; i < n; i += kBlock)
    find_block(&keys[i], static_cast<int>(std::min<int64_t>(kBlock, n - i)), &rows[i]);
}

void HashTable::insert_missing(std::span<const int64_t> keys, std::span<uint32_t> rows) {
  const HashSalt salt = salt_;
  uint64_t hashes[kBlock];
  for (size_t first = 0; first < keys.size(); first += kBlock) {
    const size_t n = std::min<size_t>(kBlock, keys.size() - first);
    for (size_t i = 0; i < n; ++i) {
      if (rows[first + i] != kNoRow) continue;
      hashes[i] = hash_key(keys[first + i], salt);
      prefetch(bucket(home(hashes[i])));
    }
    for (size_t i = 0; i < n; ++i) {
      uint32_t& row = rows[first + i];
      if (row != kNoRow) continue;
      if (static_cast<uint64_t>(size_) == kLoad * num_buckets_) reserve(std::min(max_rows_, size_ + 1));
      Bucket* b = nullptr;
      row = search(keys[first + i], hashes[i], &b);
      if (row != kNoRow) continue;
      if (size_ == max_rows_)
        fail(ErrorKind::out_of_memory, "a hash table of {} rows is full: no room for key {}", max_rows_,
             keys[first + i]);
      row = static_cast<uint32_t>(size_++);
      this->keys(size_)[row] = keys[first + i];
      b->tags[b->count] = static_cast<uint8_t>(hashes[i]);
      b->rows[b->count++] = row;
    }
  }
}

void HashTable::reserve(int64_t rows) {
  require(rows <= max_rows_, "a hash table of at most {} rows cannot reserve {}", max_rows_, rows);
  const uint64_t needed = buckets_for(rows);
  if (needed > num_buckets_)
    grow(std::clamp(num_buckets_ + num_buckets_ / kGrowth, needed, buckets_for(max_rows_)));
}

inline void HashTable::place(uint64_t hash, uint32_t row) {
  uint64_t i = home(hash);
  while (bucket(i)->count == kWidth) i = next(i);
  Bucket& b = *bucket(i);
  b.tags[b.count] = static_cast<uint8_t>(hash);
  b.rows[b.count++] = row;
}

// In place: the keys are all it takes to fill the buckets again.
void HashTable::grow(uint64_t num_buckets) {
  std::memset(buckets_.data(), 0, num_buckets_ * sizeof(Bucket));
  num_buckets_ = num_buckets;
  const HashSalt salt = salt_;
  uint64_t hashes[kBlock];
  const auto stored = keys(size_);
  for (int64_t first = 0; first < size_; first += kBlock) {
    const int64_t n = std::min<int64_t>(kBlock, size_ - first);
    for (int64_t i = 0; i < n; ++i) {
      hashes[i] = hash_key(stored[first + i], salt);
      prefetch(bucket(home(hashes[i])));
    }
    for (int64_t i = 0; i < n; ++i) place(hashes[i], static_cast<uint32_t>(first + i));
  }
}

}  // namespace ctr
