// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
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

// Maps 64-bit keys (any value) to rows. A key that comes in gets a row that an erased key has left, the last
// one first, else the next of 0, 1, 2, ...; whatever the salt. Batched: many keys are in flight at once, so
// that their cache misses overlap. Host memory; docs/design/0014-row-store.md says why it is as it is.
//
// The high bits of a key's hash say its segment, a block of buckets that stays in the first-level cache. A
// bucket is one cache line of ten entries: a row, and the sixteen bits of the hash that follow the segment's.
// These say where in the segment an entry belongs at any size of it, so growing moves entries without reading
// keys, which are kept in row order, elsewhere. Growing is a sweep over the segments from the last to the
// first, in place, a few at a time as keys come in. From 2^15 rows on, the table takes the key and at most 10
// bytes a row.
class HashTable {
 public:
  // `max_rows` is a limit, not an allocation: memory grows with the rows in use.
  explicit HashTable(int64_t max_rows, HashSalt salt = hash_salt());

  int64_t size() const { return size_; }
  int64_t max_size() const { return max_rows_; }
  int64_t bytes() const;                                              // of the rows in use
  int64_t end_row() const { return end_row_; }                        // no row is or was beyond
  bool has_row(int64_t row) const;                                    // below end_row(): whether a key has it
  std::span<const int64_t> keys() const { return {keys(end_row_)}; }  // where has_row()

  // rows[i] = row of keys[i], or kNoRow. Several threads may call it at the same time.
  void find(std::span<const int64_t> keys, std::span<uint32_t> rows) const;
  // Where rows[i] is kNoRow, finds or inserts keys[i], in this order. Throws out_of_memory when the table is
  // full; the keys before that one are then in.
  void insert_missing(std::span<const int64_t> keys, std::span<uint32_t> rows);
  // rows[i] = the row that keys[i] leaves, or kNoRow.
  void erase(std::span<const int64_t> keys, std::span<uint32_t> rows);
  void reserve(int64_t rows);

  int64_t moves() const { return moves_; }  // of entries so far, to grow

 private:
  static constexpr uint32_t kWidth = 10;        // entries of a bucket
  static constexpr uint32_t kMaxSegment = 256;  // buckets
  static constexpr int kInFlight = 128;         // keys

  // Entries in use come first. `state` has bit 2 i for each of them, where a comparison of the tags says yes.
  // The bits above are for the entries further on that belong here or before, one for an eighth of all tags:
  // a search ends where its bit is not set.
  struct alignas(64) Bucket {
    uint16_t tags[kWidth];
    uint32_t state;
    uint32_t rows[kWidth];

    static uint32_t pass_bit(uint16_t tag) { return 1u << (20 + tag % 8); }
    uint32_t used() const { return state & 0x55555; }
    uint32_t count() const { return static_cast<uint32_t>(std::popcount(used())); }
    bool full() const { return used() == 0x55555; }
    bool passed(uint16_t tag) const { return state & pass_bit(tag); }
    void push(uint16_t tag, uint32_t row) {
      const uint32_t entry = count();
      tags[entry] = tag;
      rows[entry] = row;
      state += 1u << 2 * entry;
    }
  };

  // How the hash space is cut: 2^bits segments of `width` buckets.
  struct Cut {
    int bits = 0;
    uint32_t width = 1;

    uint64_t buckets() const { return uint64_t{width} << bits; }
    uint64_t segment(uint64_t hash) const { return (hash >> 1) >> (63 - bits); }
    uint16_t tag(uint64_t hash) const { return static_cast<uint16_t>(hash >> (48 - bits)); }
    uint32_t home(uint16_t tag) const { return tag * width >> 16; }
    uint64_t bucket(uint64_t hash) const { return (hash >> (48 - bits)) * width >> 16; }
  };
  // Where the search for a hash starts.
  struct Probe {
    Bucket* segment;
    uint32_t width, home;
    uint16_t tag;

    uint32_t next(uint32_t i) const { return i + 1 == width ? 0 : i + 1; }
    uint32_t way(uint32_t from, uint32_t to) const { return to < from ? to + width - from : to - from; }
  };
  struct Place {
    uint32_t bucket, entry;
  };
  struct Entries;

  std::span<int64_t> keys(int64_t n) const {
    return {reinterpret_cast<int64_t*>(keys_.data()), static_cast<size_t>(n)};
  }
  Bucket* bucket(uint64_t i) const { return reinterpret_cast<Bucket*>(buckets_.data()) + i; }
  uint64_t* free_bits(int64_t row) const { return reinterpret_cast<uint64_t*>(free_.data()) + row / 64; }

  Cut cut(uint64_t hash) const { return cuts_[hash >= frontier_]; }
  Probe probe(uint64_t hash) const {
    const Cut c = cut(hash);
    const uint16_t tag = c.tag(hash);
    return {bucket(c.segment(hash) * c.width), c.width, c.home(tag), tag};
  }
  static uint32_t matches(const Bucket& b, uint16_t tag);
  uint32_t search(const Probe& p, int64_t key, Place* place) const;
  static uint32_t find_room(const Probe& p);
  void find_block(const int64_t* keys, int n, uint32_t* rows) const;

  bool insert_block(const int64_t* keys, size_t n, uint32_t* rows);
  uint32_t insert(int64_t key, uint64_t hash);
  uint32_t remove(int64_t key, uint64_t hash);
  bool is_passed(const Probe& p, uint32_t i) const;
  uint32_t take_row(int64_t key);
  void leave_row(uint32_t row);

  static uint64_t buckets_for(int64_t rows);
  bool sweeping() const { return frontier_ != 0; }
  void make_room(int64_t keys);
  void touch(int64_t keys);
  bool must_grow(int64_t keys) const;
  Cut next_cut() const;
  void start_sweep(Cut next);
  void sweep_segment();
  static bool put(const Probe& p, uint32_t row);
  void split(Entries& entries) const;
  bool place(const Entries& entries, Bucket* segments, int halves) const;
  void widen();
  void rebuild();
  bool place_all();

  int64_t max_rows_;
  uint64_t max_buckets_;
  HashSalt salt_;
  int64_t size_ = 0, end_row_ = 0;
  uint32_t free_row_ = kNoRow;  // the last one left; the key of a free row is the one left before it
  Cut cuts_[2];                 // of hashes below the frontier, and of the others
  uint64_t frontier_ = 0;
  int64_t due_ = 0;       // moves that a sweep is behind
  uint64_t touched_ = 0;  // buckets in memory, where more than are in use
  int64_t moves_ = 0;
  Buffer keys_;     // room for max_rows_
  Buffer free_;     // likewise: a bit for each row that was left
  Buffer buckets_;  // likewise
};

}  // namespace ctr
