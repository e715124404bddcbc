// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "base/random.h"
#include "device/buffer.h"

namespace ctr {

inline constexpr uint32_t kNoRow = 0xffffffffu;

// Two odd factors.
struct HashSalt {
  uint64_t first = 0xff51afd7ed558ccdull, second = 0xc4ceb9fe1a85ec53ull;
};
// Drawn once per process, so that nobody can choose keys that all meet in one bucket.
HashSalt hash_salt();

// Mixes a key so that every bit counts: the finaliser of MurmurHash3, with factors of the salt. Two keys meet
// in the high bits by chance, as multiplying by a random odd number has it. Shared by host and device tables.
CTR_HOST_DEVICE inline uint64_t hash_key(int64_t key, HashSalt salt) {
  auto h = static_cast<uint64_t>(key);
  h = (h ^ (h >> 33)) * salt.first;
  h = (h ^ (h >> 33)) * salt.second;
  return h ^ (h >> 33);
}

// Maps 64-bit keys (any value) to rows 0, 1, 2, ... in the order of their first insertion, whatever the salt.
// Batched: many keys are in flight at once, so that their cache misses overlap. Host memory.
//
// A bucket is one cache line of twelve entries, each a one-byte tag and a row number; the keys themselves are
// kept once, in row order. A miss usually reads one line, a hit one more. Nothing is ever erased, so the
// first bucket with a free entry ends a search. The table grows in place, by an eighth at a time: from 512
// rows on, it takes the key and 7.1 to 8 bytes a row.
class HashTable {
 public:
  // `max_rows` is a limit, not an allocation: memory grows with the rows in use.
  explicit HashTable(int64_t max_rows, HashSalt salt = hash_salt());

  int64_t size() const { return size_; }
  int64_t max_size() const { return max_rows_; }
  int64_t bytes() const;                                           // of the rows in use
  std::span<const int64_t> keys() const { return {keys(size_)}; }  // in row order

  // rows[i] = row of keys[i], or kNoRow. Several threads may call it at the same time.
  void find(std::span<const int64_t> keys, std::span<uint32_t> rows) const;
  // Where rows[i] is kNoRow, finds or inserts keys[i], in this order. Throws out_of_memory when the table is
  // full; the keys before that one are then in.
  void insert_missing(std::span<const int64_t> keys, std::span<uint32_t> rows);
  void reserve(int64_t rows);

 private:
  static constexpr int kWidth = 12;
  struct alignas(64) Bucket {
    uint32_t rows[kWidth];
    uint8_t tags[kWidth];
    uint32_t count;
  };

  std::span<int64_t> keys(int64_t n) const {
    return {reinterpret_cast<int64_t*>(keys_.data()), static_cast<size_t>(n)};
  }
  Bucket* bucket(uint64_t i) const { return reinterpret_cast<Bucket*>(buckets_.data()) + i; }
  // The bucket where the search for this hash starts, from its high bits; the tag is its low byte.
  uint64_t home(uint64_t hash) const {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(hash) * num_buckets_) >> 64);
  }
  uint64_t next(uint64_t i) const { return i + 1 == num_buckets_ ? 0 : i + 1; }
  static uint32_t matches(const Bucket& b, uint8_t tag);
  uint32_t search(int64_t key, uint64_t hash, Bucket** free_bucket) const;
  void find_block(const int64_t* keys, int n, uint32_t* rows) const;
  void place(uint64_t hash, uint32_t row);
  void grow(uint64_t num_buckets);

  int64_t max_rows_;
  HashSalt salt_;
  int64_t size_ = 0;
  uint64_t num_buckets_ = 0;
  Buffer keys_;     // room for max_rows_
  Buffer buckets_;  // likewise: num_buckets_ are in use
};

}  // namespace ctr
