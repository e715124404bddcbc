// SPDX-License-Identifier: Apache-2.0
#include "embedding/row_hits.h"

#include <algorithm>
#include <atomic>
#include <bit>

#include "base/parallel.h"

namespace ctr {
namespace {

constexpr int kMaxPartBits = 8;
constexpr int64_t kHitsPerPart = 1024;  // smaller parts are not worth the bookkeeping
constexpr int64_t kGrain = 1 << 13;     // hits worth one thread
constexpr int kMaxDigitBits = 8;

int bits_for(int64_t values) { return values <= 1 ? 0 : std::bit_width(static_cast<uint64_t>(values - 1)); }

// Stable counting sort by one digit.
void sort_by_digit(const RowHit* in, RowHit* out, int64_t n, int shift, int bits) {
  const uint32_t mask = (1u << bits) - 1;
  uint32_t begin[1 << kMaxDigitBits] = {};
  for (int64_t i = 0; i < n; ++i) ++begin[in[i].row >> shift & mask];
  uint32_t sum = 0;
  for (uint32_t d = 0; d <= mask; ++d) sum += std::exchange(begin[d], sum);
  for (int64_t i = 0; i < n; ++i) out[begin[in[i].row >> shift & mask]++] = in[i];
}

}  // namespace

void RowHits::build(Context& ctx, const Bags& bags, std::span<const uint32_t> rows, int64_t num_rows,
                    Cut cut) {
  const int64_t n = std::ssize(rows);
  cut_ = cut;
  num_rows_ = num_rows;
  row_bits_ = bits_for(num_rows);
  const int64_t work = cut == Cut::ranges ? num_rows : n;
  part_bits_ = std::min({kMaxPartBits, row_bits_, bits_for(work / kHitsPerPart)});
  parts_ = 1 << part_bits_;
  passes_ = (row_bits_ - part_bits_ + kMaxDigitBits - 1) / kMaxDigitBits;
  hits_.resize(static_cast<size_t>(n));
  spare_.resize(static_cast<size_t>(n));
  scatter(ctx, bags, rows);

  std::atomic<int> next = 0;
  parallel_team(n < kGrain ? 1 : ctx.threads, [&](int, int) {
    for (int p = next++; p < parts_; p = next++) sort_part(p);
  });
}

// Stable partition: every team member counts, then moves, its share of the bags.
void RowHits::scatter(Context& ctx, const Bags& bags, std::span<const uint32_t> rows) {
  const int team = static_cast<int>(std::clamp<int64_t>(std::ssize(rows) / kGrain, 1, ctx.threads));
  cursors_.assign(static_cast<size_t>(team * parts_), 0);
  parallel_team(team, [&](int t, int) {
    const Range share = split(bags.count(), t, team);
    int64_t* count = &cursors_[static_cast<size_t>(t * parts_)];
    for (int64_t i = bags.offsets[share.begin]; i < bags.offsets[share.end]; ++i) ++count[part_of(rows[i])];
  });
  begins_.assign(1, 0);
  for (int p = 0; p < parts_; ++p) {
    int64_t end = begins_.back();
    for (int t = 0; t < team; ++t) end += std::exchange(cursors_[static_cast<size_t>(t * parts_ + p)], end);
    begins_.push_back(end);
  }
  parallel_team(team, [&](int t, int) {
    const Range share = split(bags.count(), t, team);
    int64_t* cursor = &cursors_[static_cast<size_t>(t * parts_)];
    for (int64_t bag = share.begin; bag < share.end; ++bag)
      for (int64_t i = bags.offsets[bag]; i < bags.offsets[bag + 1]; ++i)
        hits_[cursor[part_of(rows[i])]++] = {rows[i], static_cast<uint32_t>(bag)};
  });
}

// Radix sort by the bits of the row that the part leaves open.
void RowHits::sort_part(int p) {
  const int64_t begin = begins_[p], n = begins_[p + 1] - begin;
  const int first = cut_ == Cut::spread ? part_bits_ : 0, last = first + row_bits_ - part_bits_;
  RowHit *in = hits_.data() + begin, *out = spare_.data() + begin;
  for (int pass = 0, shift = first; pass < passes_; ++pass) {
    const int bits = (last - shift) / (passes_ - pass);
    sort_by_digit(in, out, n, shift, bits);
    shift += bits;
    std::swap(in, out);
  }
}

std::span<const RowHit> RowHits::part(int p) const {
  const auto& sorted = passes_ % 2 ? spare_ : hits_;
  return {sorted.data() + begins_[p], static_cast<size_t>(begins_[p + 1] - begins_[p])};
}

Range RowHits::rows(int p) const {
  const int shift = row_bits_ - part_bits_;
  return {std::min(num_rows_, int64_t{p} << shift), std::min(num_rows_, int64_t{p + 1} << shift)};
}

}  // namespace ctr
