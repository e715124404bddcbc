// SPDX-License-Identifier: Apache-2.0
#include "kernels/hash_table.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <numeric>
#include <vector>

#include "base/parallel.h"
#include "bench.h"

namespace ctr::bench {
namespace {

constexpr int64_t kLookups = 1 << 20;
constexpr double kMillions = 1e-6 * kLookups;

// Keys of no pattern, each row's own.
int64_t key_of(uint64_t row) { return static_cast<int64_t>(hash_key(static_cast<int64_t>(row), {})); }

std::vector<int64_t> random_keys(uint64_t first_row, uint64_t rows) {
  std::vector<int64_t> keys(kLookups);
  for (uint64_t i = 0; i < keys.size(); ++i)
    keys[i] = key_of(first_row + hash_key(static_cast<int64_t>(i + 1), {}) % rows);
  return keys;
}

// Rows [0, rows) by a power law of exponent 1.05.
std::vector<int64_t> skewed_keys(int64_t rows) {
  constexpr double kPower = 1 - 1.05;
  const double last = std::pow(static_cast<double>(rows), kPower) - 1;
  std::vector<int64_t> keys(kLookups);
  for (size_t i = 0; i < keys.size(); ++i) {
    const double unit = static_cast<double>(hash_key(static_cast<int64_t>(i + 1), {}) >> 11) * 0x1p-53;
    keys[i] = key_of(static_cast<uint64_t>(std::pow(last * unit + 1, 1 / kPower) - 1));
  }
  return keys;
}

Seconds find_seconds(const HashTable& table, const std::vector<int64_t>& keys, int threads) {
  std::vector<uint32_t> rows(keys.size());
  return time_runs([&] {
    parallel_for(threads, kLookups, 1024, [&](int64_t begin, int64_t end) {
      const auto n = static_cast<size_t>(end - begin), first = static_cast<size_t>(begin);
      table.find(std::span(keys).subspan(first, n), std::span(rows).subspan(first, n));
    });
  });
}

void rates_at(int64_t size, int threads) {
  heading(fmt::format("hash table of {} rows", size));
  std::vector<int64_t> keys(static_cast<size_t>(size));
  for (size_t i = 0; i < keys.size(); ++i) keys[i] = key_of(i);
  std::vector<uint32_t> rows(keys.size());
  HashTable table(size);
  const Seconds insert = time_runs([&] {
    table = HashTable(size);
    rows.assign(rows.size(), kNoRow);
    table.insert_missing(keys, rows);
  });
  row("insert, growing from empty", insert, 1e-6 * static_cast<double>(size), "Mkey");
  const auto hits = random_keys(0, static_cast<uint64_t>(size));
  row("find, Zipf 1.05, 1 thread", find_seconds(table, skewed_keys(size), 1), kMillions, "Mkey");
  const auto misses = random_keys(static_cast<uint64_t>(size), static_cast<uint64_t>(size));
  row("find, all there, 1 thread", find_seconds(table, hits, 1), kMillions, "Mkey");
  row("find, none there, 1 thread", find_seconds(table, misses, 1), kMillions, "Mkey");
  if (threads > 1)
    row(fmt::format("find, all there, {} threads", threads), find_seconds(table, hits, threads), kMillions,
        "Mkey");
  const size_t some = std::min(keys.size(), hits.size());
  std::vector<uint32_t> erased(some);
  Seconds erase, again;
  for (double total = 0; erase.size() < 3 || total < seconds_per_row(); total += erase.back()) {
    erase.push_back(seconds_of([&] { table.erase(std::span(keys).first(some), erased); }));
    std::fill_n(rows.begin(), some, kNoRow);
    again.push_back(
        seconds_of([&] { table.insert_missing(std::span(keys).first(some), std::span(rows).first(some)); }));
  }
  row("erase", erase, 1e-6 * static_cast<double>(some), "Mkey");
  row("insert into erased rows", again, 1e-6 * static_cast<double>(some), "Mkey");
}

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace

void hash_table_rates(int threads) {
  for (const int64_t size : {int64_t{1} << 14, int64_t{1} << 20, int64_t{10'000'000}})
    rates_at(size, threads);
}

// As a training that meets new keys does it; the longest call shows what growing costs. Processor time leaves
// out what other programs took meanwhile.
void hash_table_growth(int) {
  constexpr int64_t kRows = 100'000'000, kCall = 65536;
  heading(fmt::format("hash table that grows to {} rows, {} keys a call", kRows, kCall));
  HashTable table(kRows);
  std::vector<int64_t> keys(kCall);
  Seconds calls, processor;
  double most_bytes = 0;
  while (table.size() + kCall <= kRows) {
    for (size_t i = 0; i < keys.size(); ++i) keys[i] = key_of(static_cast<uint64_t>(table.size()) + i);
    std::vector<uint32_t> rows(keys.size(), kNoRow);
    const double before = processor_seconds();
    calls.push_back(seconds_of([&] { table.insert_missing(keys, rows); }));
    processor.push_back(processor_seconds() - before);
    most_bytes = std::max(most_bytes, static_cast<double>(table.bytes()) / static_cast<double>(table.size()));
  }
  const double total = std::accumulate(calls.begin(), calls.end(), 0.0);
  row("insert, all calls", {total}, 1e-6 * static_cast<double>(table.size()), "Mkey");
  row("longest call", {*std::max_element(calls.begin(), calls.end())}, 1e-6 * kCall, "Mkey");
  row("longest call, processor time", {*std::max_element(processor.begin(), processor.end())}, 1e-6 * kCall,
      "Mkey");
  row("bytes a row, key included, at most", {1.0}, most_bytes, "B");
}

}  // namespace ctr::bench
