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

// Two buckets hold so many rows, of twenty, when a table that may still grow starts to, and at its limit.
constexpr uint64_t kGrowingLoad = 15, kFullLoad = 14;
constexpr uint32_t kGrowth = 6;  // a sweep adds one bucket for so many,
constexpr int kSmall = 4;        // and for two below so many bits of segments, where memory is no matter
constexpr int64_t kMoves = 10;   // of a sweep for each row that comes in
constexpr uint32_t kFirstBuckets = 64;
constexpr int kBlock = 128;  // keys in flight

uint64_t buckets_for(int64_t rows) {
  return std::max<uint64_t>(1, (2 * static_cast<uint64_t>(rows) + kFullLoad - 1) / kFullLoad);
}

// Of so many buckets in need, a segment's share.
uint32_t share(uint64_t buckets, int bits) {
  return static_cast<uint32_t>((buckets + (uint64_t{1} << bits) - 1) >> bits);
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

// Cutting in halves rounds up to a bucket a segment.
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
         static_cast<int64_t>(cuts_[1].buckets() * sizeof(Bucket));
}

bool HashTable::has_row(int64_t row) const { return !(*free_bits(row) >> row % 64 & 1); }

inline HashTable::Probe HashTable::probe(uint64_t hash) const {
  const Cut& c = cut(hash);
  const uint16_t tag = c.tag(hash);
  return {bucket(c.segment(hash) * c.width), c.width, c.home(tag), tag};
}

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
    if (!b.passed()) break;
    i = p.next(i);
  } while (i != p.home);
  if (place) *place = {room == p.width ? find_room(p) : room, 0};
  return kNoRow;
}

// Three passes, each of which asks for the memory the next one needs.
void HashTable::find_block(const int64_t* keys, int n, uint32_t* rows) const {
  const Bucket* homes[kBlock];
  uint16_t tags[kBlock];
  bool ends[kBlock];  // nothing beyond the candidate: neither a second match nor an entry that passed
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
    start([frontier = frontier_, below = cuts_[0], above = cuts_[1]](uint64_t hash) {
      return hash < frontier ? below : above;
    });
  else
    start([c = cuts_[0]](uint64_t) { return c; });
  const int64_t* stored = this->keys(end_row_).data();
  for (int i = 0; i < n; ++i) {
    const Bucket& b = *homes[i];
    const uint32_t m = matches(b, tags[i]);
    rows[i] = m ? b.rows[std::countr_zero(m) / 2] : kNoRow;
    ends[i] = !m && !b.passed();
    const void* next = b.passed() ? &b + 1 : &b;
    prefetch(m ? stored + rows[i] : next);
  }
  for (int i = 0; i < n; ++i) {
    if (ends[i] || (rows[i] != kNoRow && stored[rows[i]] == keys[i])) continue;
    rows[i] = search(probe(hash_key(keys[i], salt_)), keys[i], nullptr);
  }
}

void HashTable::find(std::span<const int64_t> keys, std::span<uint32_t> rows) const {
  const int64_t n = std::ssize(keys);
  for (int64_t i = 0; i < n; i += kBlock)
    find_block(&keys[i], static_cast<int>(std::min<int64_t>(kBlock, n - i)), &rows[i]);
}

void HashTable::insert_missing(std::span<const int64_t> keys, std::span<uint32_t> rows) {
  for (size_t first = 0; first < keys.size(); first += kBlock) {
    const size_t n = std::min<size_t>(kBlock, keys.size() - first);
    while (!insert_block(&keys[first], n, &rows[first])) widen();
  }
}

// False where a segment is full; the keys before are then in.
bool HashTable::insert_block(const int64_t* keys, size_t n, uint32_t* rows) {
  make_room(std::count(rows, rows + n, kNoRow));
  const HashSalt salt = salt_;
  uint64_t hashes[kBlock];
  for (size_t i = 0; i < n; ++i) {
    if (rows[i] != kNoRow) continue;
    hashes[i] = hash_key(keys[i], salt);
    prefetch(bucket(cut(hashes[i]).bucket(hashes[i])));
  }
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
  for (uint32_t i = p.home; i != place.bucket; i = p.next(i)) p.segment[i].state += kPass;
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
  for (size_t first = 0; first < keys.size(); first += kBlock) {
    const size_t n = std::min<size_t>(kBlock, keys.size() - first);
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
  for (uint32_t i = p.home; i != place.bucket; i = p.next(i)) p.segment[i].state -= kPass;
  Bucket& b = p.segment[place.bucket];
  const uint32_t last = b.count() - 1;
  b.tags[place.entry] = b.tags[last];
  b.rows[place.entry] = b.rows[last];
  b.state -= 1u << 2 * last;
  leave_row(row);
  return row;
}

// Puts an entry that is not there; false where the segment is full.
inline bool HashTable::put(const Probe& p, uint32_t row) {
  uint32_t i = p.home;
  while (p.segment[i].full()) {
    p.segment[i].state += kPass;
    if (i = p.next(i); i == p.home) return false;
  }
  p.segment[i].push(p.tag, row);
  return true;
}

// Before so many keys come in: a table at its load starts to grow, one that grows goes on.
void HashTable::make_room(int64_t keys) {
  due_ += kMoves * keys;
  while (sweeping() ? due_ > 0 : must_grow(keys)) {
    if (sweeping())
      sweep_segment();
    else
      start_sweep(next_cut());
  }
}

bool HashTable::must_grow(int64_t keys) const {
  const uint64_t buckets = cuts_[1].buckets();
  return buckets < max_buckets_ && 2 * static_cast<uint64_t>(size_ + keys) > kGrowingLoad * buckets;
}

HashTable::Cut HashTable::next_cut() const {
  const auto [bits, width] = cuts_[1];
  const uint32_t more = std::max(1u, width / (bits < kSmall ? 2 : kGrowth));
  const uint32_t wider = std::min(width + more, share(max_buckets_, bits));
  return wider > kMaxSegment ? Cut{bits + 1, (wider + 1) / 2} : Cut{bits, wider};
}

void HashTable::reserve(int64_t rows) {
  require(rows <= max_rows_, "a hash table of at most {} rows cannot reserve {}", max_rows_, rows);
  const uint64_t needed = buckets_for(rows);
  while (true) {
    while (sweeping()) sweep_segment();
    const auto [bits, width] = cuts_[1];
    if (needed <= cuts_[1].buckets()) return;
    const uint32_t wider = share(needed, bits);
    if (wider <= kMaxSegment)
      start_sweep({bits, wider});
    else if (size_ > 0)
      start_sweep({bits + 1, kMaxSegment / 2 + 1});
    else
      cuts_[0] = cuts_[1] = {bits + 1, kMaxSegment / 2 + 1};
  }
}

void HashTable::start_sweep(Cut next) {
  cuts_[1] = next;
  due_ = 0;
  frontier_ = ~uint64_t{0};  // not reached by any hash before the last segment has moved
  sweep_segment();
}

// Entries on their way from one segment to where they belong, numbers of buckets from its new begin on.
struct HashTable::Entries {
  static constexpr uint32_t kRoom = (kMaxSegment + 2) * kWidth;  // vectors may write beyond the last one
  uint32_t count = 0;
  alignas(32) uint32_t rows[kRoom];
  uint16_t tags[kRoom], homes[kRoom];

  void take(const Bucket* segment, uint32_t width) {
    for (const Bucket* b = segment; b < segment + width; count += b++->count()) {
      std::memcpy(rows + count, b->rows, sizeof b->rows);
      std::memcpy(tags + count, b->tags, sizeof b->tags);
    }
  }
};

// Moves the segment below the frontier to where the new cut has it: never below where it was, so that those
// before it stay untouched.
void HashTable::sweep_segment() {
  const Cut from = cuts_[0], to = cuts_[1];
  const int halves = 1 + to.bits - from.bits;
  const uint64_t s = from.segment(frontier_ - 1);
  Entries entries;
  entries.take(bucket(s * from.width), from.width);
  if (halves == 2)
    split(entries);
  else
    for (uint32_t i = 0; i < entries.count; ++i)
      entries.homes[i] = static_cast<uint16_t>(to.home(entries.tags[i]));
  frontier_ = s == 0 ? 0 : s << (64 - from.bits);
  if (s == 0) cuts_[0] = to;
  moves_ += entries.count;
  due_ -= std::max(1u, entries.count);
  if (!place(entries, bucket(s * halves * to.width), halves)) rebuild();
}

// Into two halves: which one it is takes another bit of the hash, and that the key.
void HashTable::split(Entries& entries) const {
  constexpr uint32_t kAhead = 64;  // keys in flight
  const Cut to = cuts_[1];
  const int64_t* stored = keys(end_row_).data();
  for (uint32_t i = 0; i < std::min(kAhead, entries.count); ++i) prefetch(stored + entries.rows[i]);
  for (uint32_t i = 0; i < entries.count; ++i) {
    prefetch(stored + entries.rows[std::min(i + kAhead, entries.count - 1)]);
    const uint64_t hash = hash_key(stored[entries.rows[i]], salt_);
    entries.tags[i] = to.tag(hash);
    entries.homes[i] = static_cast<uint16_t>((to.segment(hash) & 1) * to.width + to.home(entries.tags[i]));
  }
}

// Fills new segments; false where one has too little room.
bool HashTable::place(const Entries& entries, Bucket* segments, int halves) const {
  const uint32_t width = cuts_[1].width;
  uint8_t used[2 * kMaxSegment] = {};
  uint32_t over[Entries::kRoom], num_over = 0;
  for (uint32_t i = 0; i < entries.count; ++i) {
    const uint32_t home = entries.homes[i], entry = used[home];
    if (entry == kWidth) [[unlikely]] {
      over[num_over++] = i;
      continue;
    }
    segments[home].rows[entry] = entries.rows[i];
    segments[home].tags[entry] = entries.tags[i];
    used[home] = static_cast<uint8_t>(entry + 1);
  }
  for (uint32_t b = 0; b < halves * width; ++b) segments[b].state = 0x55555u & ((1u << 2 * used[b]) - 1);
  for (uint32_t k = 0; k < num_over; ++k) {
    const uint32_t i = over[k], first = entries.homes[i] < width ? 0 : width;
    if (!put({segments + first, width, entries.homes[i] - first, entries.tags[i]}, entries.rows[i]))
      return false;
  }
  return true;
}

// A segment is full though the table is not: it has not moved yet, or by this salt the keys are no random
// numbers.
void HashTable::widen() {
  if (!sweeping()) return rebuild();
  while (sweeping()) sweep_segment();
}

// By another salt.
void HashTable::rebuild() {
  cuts_[0] = cuts_[1];
  frontier_ = 0;
  do {
    const auto mixed = [&](uint64_t x) {
      return static_cast<uint64_t>(hash_key(static_cast<int64_t>(x), {})) | 1;
    };
    salt_ = {mixed(salt_.first + 1), mixed(salt_.second + 2)};
  } while (!place_all());
}

bool HashTable::place_all() {
  std::memset(buckets_.data(), 0, cuts_[1].buckets() * sizeof(Bucket));
  uint64_t hashes[kBlock];
  const auto stored = keys(end_row_);
  for (int64_t first = 0; first < end_row_; first += kBlock) {
    const int64_t n = std::min<int64_t>(kBlock, end_row_ - first);
    for (int64_t i = 0; i < n; ++i) {
      hashes[i] = hash_key(stored[first + i], salt_);
      prefetch(bucket(cut(hashes[i]).bucket(hashes[i])));
    }
    for (int64_t i = 0; i < n; ++i)
      if (has_row(first + i) && !put(probe(hashes[i]), static_cast<uint32_t>(first + i))) return false;
  }
  moves_ += size_;
  return true;
}

}  // namespace ctr
