// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "kernels/hash_table.h"
#include "kernels/prefetch.h"

namespace ctr {
namespace {

// Two buckets hold so many rows, of twenty, when a table that may still grow starts to, and at its limit.
constexpr uint64_t kGrowingLoad = 15, kFullLoad = 14;
constexpr uint32_t kGrowth = 6;  // a sweep adds one bucket for so many,
constexpr int kSmall = 4;        // and for two below so many bits of segments, where memory is no matter
// Moves of a sweep for each row that comes in; one that takes reading a key counts half more.
constexpr int64_t kMoves = 14;

// Of so many buckets in need, a segment's share.
uint32_t share(uint64_t buckets, int bits) {
  return static_cast<uint32_t>((buckets + (uint64_t{1} << bits) - 1) >> bits);
}

}  // namespace

uint64_t HashTable::buckets_for(int64_t rows) {
  return std::max<uint64_t>(1, (2 * static_cast<uint64_t>(rows) + kFullLoad - 1) / kFullLoad);
}

// Puts an entry that is not there; false where the segment is full.
inline bool HashTable::put(const Probe& p, uint32_t row) {
  uint32_t i = p.home;
  while (p.segment[i].full()) {
    p.segment[i].state |= Bucket::pass_bit(p.tag);
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
  if (!sweeping()) touch(keys);
}

// Takes the memory of the next sweep beforehand, in the measure in which it comes nearer: some systems take
// milliseconds to clear a page.
void HashTable::touch(int64_t keys) {
  constexpr uint64_t kPage = 4096 / sizeof(Bucket);
  const uint64_t rows = 2 * static_cast<uint64_t>(size_), buckets = cuts_[1].buckets();
  if (rows <= (kGrowingLoad - 1) * buckets || buckets >= max_buckets_) return;
  touched_ = std::max(touched_, buckets);
  const uint64_t end = std::min({buckets + (rows - (kGrowingLoad - 1) * buckets) / kGrowth,
                                 next_cut().buckets(), touched_ + static_cast<uint64_t>(keys) / 2 + 1});
  for (; touched_ < end; touched_ += kPage) bucket(touched_)->state = 0;
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
  if (s > 0) {  // the next one
    prefetch(bucket((s - 1) * from.width), from.width * sizeof(Bucket));
    prefetch(bucket((s - 1) * halves * to.width), halves * to.width * sizeof(Bucket));
  }
  if (halves == 2)
    split(entries);
  else
    for (uint32_t i = 0; i < entries.count; ++i)
      entries.homes[i] = static_cast<uint16_t>(to.home(entries.tags[i]));
  frontier_ = s == 0 ? 0 : s << (64 - from.bits);
  if (s == 0) cuts_[0] = to;
  moves_ += entries.count;
  due_ -= 1 + entries.count * (halves + 1) / 2;
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
  uint64_t hashes[kInFlight];
  const auto stored = keys(end_row_);
  for (int64_t first = 0; first < end_row_; first += kInFlight) {
    const int64_t n = std::min<int64_t>(kInFlight, end_row_ - first);
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
