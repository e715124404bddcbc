// SPDX-License-Identifier: Apache-2.0
#include "kernels/hash_table.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>
#include <random>

#include "base/error.h"
#include "kernels/prefetch.h"

namespace ctr {
namespace {

constexpr uint32_t kFirstBuckets = 64;

}  // namespace

HashSalt hash_salt() {
  static const HashSalt salt = [] {
    std::random_device device;
    const auto draw = [&] { return uint64_t{device()} << 32 | device(); };
    return HashSalt{draw() | 1, draw() | 1};
  }();
  return salt;
}

// Segments round up to whole buckets: there may be some more than it takes.
HashTable::HashTable(int64_t max_rows, HashSalt salt)
    : max_rows_(max_rows),
      max_buckets_(buckets_for(max_rows)),
      salt_(salt),
      keys_(Device{}, static_cast<size_t>(max_rows) * sizeof(int64_t), "hash table keys"),
      free_(Device{}, static_cast<size_t>(max_rows / 64 + 1) * sizeof(uint64_t), "hash table free rows"),
      buckets_(Device{}, (max_buckets_ + max_buckets_ / 64 + 1) * sizeof(Bucket), "hash table buckets") {
  require(max_rows >= 0 && max_rows < kNoRow, "a hash table holds at most {} rows, got {}", kNoRow - 1,
          max_rows);
  cuts_[0] = cuts_[1] = {0, static_cast<uint32_t>(std::min<uint64_t>(kFirstBuckets, max_buckets_))};
}

int64_t HashTable::bytes() const {
  return end_row_ * static_cast<int64_t>(sizeof(int64_t)) +
         static_cast<int64_t>(std::max(cuts_[1].buckets(), touched_) * sizeof(Bucket));
}

bool HashTable::has_row(int64_t row) const { return !(*free_bits(row) >> row % 64 & 1); }

// Bit 2 i is set where entry i carries the tag.
inline uint32_t HashTable::matches(const Bucket& b, uint16_t tag) {
#ifdef __AVX2__  // reads the tags and twelve bytes more
  static_assert(offsetof(Bucket, tags) == 0);
  const __m256i tags = _mm256_load_si256(reinterpret_cast<const __m256i*>(&b));
  const __m256i equal = _mm256_cmpeq_epi16(tags, _mm256_set1_epi16(static_cast<int16_t>(tag)));
  return static_cast<uint32_t>(_mm256_movemask_epi8(equal)) & b.used();
#else
  uint32_t equal = 0;
  for (uint32_t i = 0; i < kWidth; ++i) equal |= uint32_t{b.tags[i] == tag} << 2 * i;
  return equal & b.used();
#endif
}

// The first bucket with room, or `width`.
uint32_t HashTable::find_room(const Probe& p) {
  uint32_t i = p.home;
  while (p.segment[i].full())
    if (i = p.next(i); i == p.home) return p.width;
  return i;
}

// The row of `key` and its place; else kNoRow and the first bucket with room, or `width` where none has.
inline uint32_t HashTable::search(const Probe& p, int64_t key, Place* place) const {
  const int64_t* stored = keys(end_row_).data();
  uint32_t room = p.width, i = p.home;
  do {
    const Bucket& b = p.segment[i];
    for (uint32_t m = matches(b, p.tag); m; m &= m - 1) {
      const auto entry = static_cast<uint32_t>(std::countr_zero(m)) / 2;
      if (stored[b.rows[entry]] != key) continue;
      if (place) *place = {i, entry};
      return b.rows[entry];
    }
    if (room == p.width && !b.full()) room = i;
    if (!b.passed(p.tag)) break;
    i = p.next(i);
  } while (i != p.home);
  if (place) *place = {room == p.width ? find_room(p) : room, 0};
  return kNoRow;
}

// Three passes, each of which asks for the memory the next one needs.
void HashTable::find_block(const int64_t* keys, int n, uint32_t* rows) const {
  const Bucket* homes[kInFlight];
  uint16_t tags[kInFlight];
  bool ends[kInFlight];  // nothing beyond the candidate: neither a second match nor an entry that passed
  const auto start = [&, salt = salt_, first = bucket(0)](const auto& cut_of) {
    for (int i = 0; i < n; ++i) {
      const uint64_t hash = hash_key(keys[i], salt);
      const Cut c = cut_of(hash);
      homes[i] = first + c.bucket(hash);
      tags[i] = c.tag(hash);
      prefetch(homes[i]);
    }
  };
  if (sweeping())
    start([this](uint64_t hash) { return cut(hash); });
  else
    start([c = cuts_[0]](uint64_t) { return c; });
  const int64_t* stored = this->keys(end_row_).data();
  for (int i = 0; i < n; ++i) {
    const Bucket& b = *homes[i];
    const uint32_t m = matches(b, tags[i]);
    rows[i] = m ? b.rows[std::countr_zero(m) / 2] : kNoRow;
    const bool passed = b.passed(tags[i]);
    ends[i] = !m && !passed;
    const void* next = &b + passed;
    prefetch(m ? stored + rows[i] : next);
  }
  for (int i = 0; i < n; ++i) {
    if (ends[i] || (rows[i] != kNoRow && stored[rows[i]] == keys[i])) continue;
    rows[i] = search(probe(hash_key(keys[i], salt_)), keys[i], nullptr);
  }
}

void HashTable::find(std::span<const int64_t> keys, std::span<uint32_t> rows) const {
  const int64_t n = std::ssize(keys);
  if (size_ == 0) std::fill_n(rows.begin(), n, kNoRow);
  for (int64_t i = 0; i < n && size_ > 0; i += kInFlight)
    find_block(&keys[i], static_cast<int>(std::min<int64_t>(kInFlight, n - i)), &rows[i]);
}

void HashTable::insert_missing(std::span<const int64_t> keys, std::span<uint32_t> rows) {
  for (size_t first = 0; first < keys.size(); first += kInFlight) {
    const size_t n = std::min<size_t>(kInFlight, keys.size() - first);
    while (!insert_block(&keys[first], n, &rows[first])) widen();
  }
}

// False where a segment is full; the keys before are then in.
bool HashTable::insert_block(const int64_t* keys, size_t n, uint32_t* rows) {
  make_room(std::count(rows, rows + n, kNoRow));
  const HashSalt salt = salt_;
  uint64_t hashes[kInFlight];
  const Bucket* homes[kInFlight];
  for (size_t i = 0; i < n; ++i) {
    homes[i] = bucket(0);
    if (rows[i] != kNoRow) continue;
    hashes[i] = hash_key(keys[i], salt);
    homes[i] = bucket(cut(hashes[i]).bucket(hashes[i]));
    prefetch(homes[i]);
  }
  for (size_t i = 0; i < n; ++i) prefetch(homes[i] + homes[i]->full());
  for (size_t i = 0; i < n; ++i) {
    if (rows[i] != kNoRow) continue;
    rows[i] = insert(keys[i], hashes[i]);
    if (rows[i] == kNoRow) return false;
  }
  return true;
}

// kNoRow where its segment is full.
inline uint32_t HashTable::insert(int64_t key, uint64_t hash) {
  const Probe p = probe(hash);
  Place place;
  if (const uint32_t row = search(p, key, &place); row != kNoRow) return row;
  if (size_ == max_rows_)
    fail(ErrorKind::out_of_memory, "a hash table of {} rows is full: no room for key {}", max_rows_, key);
  if (place.bucket == p.width) return kNoRow;
  const uint32_t row = take_row(key);
  for (uint32_t i = p.home; i != place.bucket; i = p.next(i)) p.segment[i].state |= Bucket::pass_bit(p.tag);
  p.segment[place.bucket].push(p.tag, row);
  return row;
}

inline uint32_t HashTable::take_row(int64_t key) {
  uint32_t row = free_row_;
  if (row == kNoRow) {
    row = static_cast<uint32_t>(end_row_++);
  } else {
    free_row_ = static_cast<uint32_t>(keys(end_row_)[row]);
    *free_bits(row) &= ~(uint64_t{1} << row % 64);
  }
  keys(end_row_)[row] = key;
  ++size_;
  return row;
}

inline void HashTable::leave_row(uint32_t row) {
  keys(end_row_)[row] = free_row_;
  free_row_ = row;
  *free_bits(row) |= uint64_t{1} << row % 64;
  --size_;
}

void HashTable::erase(std::span<const int64_t> keys, std::span<uint32_t> rows) {
  for (size_t first = 0; first < keys.size(); first += kInFlight) {
    const size_t n = std::min<size_t>(kInFlight, keys.size() - first);
    find_block(&keys[first], static_cast<int>(n), &rows[first]);  // brings the memory near
    for (size_t i = first; i < first + n; ++i)
      if (rows[i] != kNoRow) rows[i] = remove(keys[i], hash_key(keys[i], salt_));
  }
}

uint32_t HashTable::remove(int64_t key, uint64_t hash) {
  const Probe p = probe(hash);
  Place place;
  const uint32_t row = search(p, key, &place);
  if (row == kNoRow) return kNoRow;
  Bucket& b = p.segment[place.bucket];
  const uint32_t last = b.count() - 1;
  b.tags[place.entry] = b.tags[last];
  b.rows[place.entry] = b.rows[last];
  b.state -= 1u << 2 * last;
  for (uint32_t i = p.home; i != place.bucket; i = p.next(i))
    if (!is_passed(p, i)) p.segment[i].state &= ~Bucket::pass_bit(p.tag);
  leave_row(row);
  return row;
}

// Whether an entry beyond bucket i needs the bit of this tag there.
bool HashTable::is_passed(const Probe& p, uint32_t i) const {
  for (uint32_t k = p.next(i); k != i; k = p.next(k)) {
    const Bucket& b = p.segment[k];
    for (uint32_t e = 0; e < b.count(); ++e) {
      const uint32_t home = b.tags[e] * p.width >> 16;
      if (Bucket::pass_bit(b.tags[e]) == Bucket::pass_bit(p.tag) && p.way(home, i) < p.way(home, k))
        return true;
    }
    if (!b.passed(p.tag)) return false;
  }
  return false;
}

}  // namespace ctr
