// SPDX-License-Identifier: Apache-2.0
#include "kernels/hash_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <set>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/error.h"

namespace ctr {
namespace {

std::vector<uint32_t> find(const HashTable& table, const std::vector<int64_t>& keys) {
  std::vector<uint32_t> rows(keys.size(), 7);
  table.find(keys, rows);
  return rows;
}

std::vector<uint32_t> insert(HashTable& table, const std::vector<int64_t>& keys) {
  auto rows = find(table, keys);
  table.insert_missing(keys, rows);
  return rows;
}

// The specification: rows count up in the order of first insertion.
struct Model {
  std::unordered_map<int64_t, uint32_t> rows;
  std::vector<int64_t> keys;

  std::vector<uint32_t> find(const std::vector<int64_t>& batch) const {
    std::vector<uint32_t> found;
    for (int64_t k : batch) found.push_back(rows.count(k) ? rows.at(k) : kNoRow);
    return found;
  }
  std::vector<uint32_t> insert(const std::vector<int64_t>& batch) {
    for (int64_t k : batch)
      if (rows.emplace(k, static_cast<uint32_t>(keys.size())).second) keys.push_back(k);
    return find(batch);
  }
};

constexpr int64_t kMin = std::numeric_limits<int64_t>::min(), kMax = std::numeric_limits<int64_t>::max();

}  // namespace

TEST(HashTable, NumbersRowsInOrderOfFirstAppearance) {
  HashTable table(100);
  EXPECT_EQ(insert(table, {5, 0, 5, -1, kMax, 0, kMin}), (std::vector<uint32_t>{0, 1, 0, 2, 3, 1, 4}));
  EXPECT_EQ(find(table, {kMin, 6, -1, 1}), (std::vector<uint32_t>{4, kNoRow, 2, kNoRow}));
  const std::vector<int64_t> keys(table.keys().begin(), table.keys().end());
  EXPECT_EQ(keys, (std::vector<int64_t>{5, 0, -1, kMax, kMin}));
}

TEST(HashTable, LeavesKnownRowsAlone) {
  HashTable table(10);
  std::vector<uint32_t> rows{42, kNoRow};
  table.insert_missing(std::vector<int64_t>{1, 2}, rows);
  EXPECT_EQ(rows, (std::vector<uint32_t>{42, 0}));
  EXPECT_EQ(table.size(), 1);
}

TEST(HashTable, AgreesWithTheModelUnderRandomOperations) {
  for (const int64_t range : {int64_t{50}, int64_t{5000}, kMax}) {
    std::mt19937_64 random(static_cast<uint64_t>(range));
    HashTable table(200000);
    Model model;
    for (int step = 0; step < 400; ++step) {
      std::vector<int64_t> batch(random() % 700);
      for (auto& k : batch) k = static_cast<int64_t>(random() % static_cast<uint64_t>(range)) - range / 2;
      switch (random() % 20) {
        case 0:
          table = HashTable(table.max_size());
          model = {};
          break;
        case 1: table.reserve(std::min<int64_t>(table.max_size(), 2 * table.size())); break;
        default: break;
      }
      if (random() % 2)
        ASSERT_EQ(find(table, batch), model.find(batch));
      else
        ASSERT_EQ(insert(table, batch), model.insert(batch));
      ASSERT_EQ(table.size(), static_cast<int64_t>(model.keys.size()));
    }
    EXPECT_TRUE(std::equal(model.keys.begin(), model.keys.end(), table.keys().begin(), table.keys().end()));
  }
}

// Strided keys are what real data looks like: field number in the high bits, or multiples of a page.
TEST(HashTable, FindsEveryKeyOfAFullTable) {
  for (const uint64_t stride : {1ull, 4096ull, 1ull << 40, 0x9E3779B97F4A7C15ull}) {
    constexpr uint64_t kRows = 100003;
    HashTable table(kRows);
    std::vector<int64_t> keys;
    for (uint64_t i = 0; i < kRows; ++i) keys.push_back(static_cast<int64_t>(i * stride));
    const auto rows = insert(table, keys);
    for (size_t i = 0; i < kRows; ++i) ASSERT_EQ(rows[i], i);
    EXPECT_EQ(find(table, keys), rows);
    EXPECT_EQ(find(table, {-7}), std::vector<uint32_t>{kNoRow});
    EXPECT_THROW(insert(table, {-7}), Error);
    EXPECT_EQ(insert(table, keys), rows);
    EXPECT_EQ(table.size(), static_cast<int64_t>(kRows));
  }
}

TEST(HashTable, TakesTheKeyAndAtMostEightBytesARow) {
  HashTable grown(2'000'000);
  std::vector<int64_t> keys(2'000'000);
  std::iota(keys.begin(), keys.end(), 0);
  for (double size = 600; size < 2e6; size *= 1.03) {
    insert(grown, {keys.begin() + grown.size(), keys.begin() + static_cast<int64_t>(size)});
    ASSERT_LE(grown.bytes(), 16 * grown.size());
  }
  HashTable loaded(2'000'000);
  loaded.reserve(1'000'000);
  insert(loaded, {keys.begin(), keys.begin() + 1'000'000});
  EXPECT_LE(loaded.bytes(), 15'120'000);
}

TEST(HashTable, FullTableKeepsTheKeysBeforeTheOneThatDoesNotFit) {
  HashTable table(2);
  EXPECT_THROW(insert(table, {1, 1, 2, 3, 4}), Error);
  EXPECT_EQ(find(table, {1, 2, 3, 4}), (std::vector<uint32_t>{0, 1, kNoRow, kNoRow}));
  HashTable empty(0);
  EXPECT_EQ(find(empty, {0}), std::vector<uint32_t>{kNoRow});
  EXPECT_THROW(insert(empty, {0}), Error);
}

TEST(HashTable, ServesSeveralReaders) {
  HashTable table(50000);
  std::vector<int64_t> keys(50000);
  for (size_t i = 0; i < keys.size(); ++i) keys[i] = static_cast<int64_t>(i * i);
  const auto rows = insert(table, keys);
  std::vector<std::thread> readers;
  for (int t = 0; t < 4; ++t) readers.emplace_back([&] { EXPECT_EQ(find(table, keys), rows); });
  for (auto& reader : readers) reader.join();
}

// Keys that the finaliser of MurmurHash3, as it is without a salt, maps to neighbouring numbers with one last
// byte.
std::vector<int64_t> flood(uint64_t count) {
  const auto inverse = [](uint64_t odd) {  // modulo 2^64, by Newton's method
    uint64_t x = odd;
    for (int i = 0; i < 6; ++i) x *= 2 - odd * x;
    return x;
  };
  const auto unshift = [](uint64_t h) { return h ^ (h >> 33); };
  std::vector<int64_t> keys;
  for (uint64_t k = 0; k < count; ++k) {
    uint64_t h = unshift(k << 8 | 0x42) * inverse(HashSalt{}.second);
    h = unshift(unshift(h) * inverse(HashSalt{}.first));
    keys.push_back(static_cast<int64_t>(h));
  }
  return keys;
}

TEST(HashTable, ChosenKeysSpreadOverTheBuckets) {
  const std::vector<int64_t> keys = flood(1 << 16);
  std::set<uint64_t> without_salt, buckets;
  for (const int64_t key : keys) {
    without_salt.insert(hash_key(key, {}) >> 48);
    buckets.insert(hash_key(key, hash_salt()) >> 48);
  }
  EXPECT_EQ(without_salt.size(), 1);  // or the keys are no flood
  EXPECT_NEAR(static_cast<double>(buckets.size()), 65536 * (1 - std::exp(-1)), 1000);
  HashTable table(1 << 16);
  const auto rows = insert(table, keys);
  for (size_t i = 0; i < rows.size(); ++i) ASSERT_EQ(rows[i], i);
}

TEST(HashTable, RowsDoNotDependOnTheSalt) {
  std::mt19937_64 random(3);
  HashTable a(30000), b(30000, {random() | 1, random() | 1}), c(30000, {});
  for (int i = 0; i < 100; ++i) {
    std::vector<int64_t> keys(500);
    for (auto& key : keys) key = static_cast<int64_t>(random() % 40000);
    const auto rows = insert(a, keys);
    ASSERT_EQ(insert(b, keys), rows);
    ASSERT_EQ(insert(c, keys), rows);
  }
  EXPECT_TRUE(std::ranges::equal(a.keys(), b.keys()) && std::ranges::equal(a.keys(), c.keys()));
}

}  // namespace ctr
