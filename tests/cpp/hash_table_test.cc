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
#include <utility>
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

std::vector<uint32_t> erase(HashTable& table, const std::vector<int64_t>& keys) {
  std::vector<uint32_t> rows(keys.size(), 7);
  table.erase(keys, rows);
  return rows;
}

// The specification: a row is the one left last, or the next.
struct Model {
  std::unordered_map<int64_t, uint32_t> rows;
  std::vector<uint32_t> left;
  uint32_t end_row = 0;

  std::vector<uint32_t> find(const std::vector<int64_t>& batch) const {
    std::vector<uint32_t> found;
    for (int64_t k : batch) found.push_back(rows.count(k) ? rows.at(k) : kNoRow);
    return found;
  }
  std::vector<uint32_t> insert(const std::vector<int64_t>& batch) {
    for (int64_t k : batch) {
      if (rows.count(k)) continue;
      rows[k] = left.empty() ? end_row++ : left.back();
      if (!left.empty()) left.pop_back();
    }
    return find(batch);
  }
  std::vector<uint32_t> erase(const std::vector<int64_t>& batch) {
    std::vector<uint32_t> erased;
    for (int64_t k : batch) {
      const auto entry = rows.find(k);
      erased.push_back(entry == rows.end() ? kNoRow : entry->second);
      if (entry == rows.end()) continue;
      left.push_back(entry->second);
      rows.erase(entry);
    }
    return erased;
  }
};

void expect_same(const HashTable& table, const Model& model) {
  ASSERT_EQ(table.size(), std::ssize(model.rows));
  ASSERT_EQ(table.end_row(), int64_t{model.end_row});
  for (const auto& [key, row] : model.rows) {
    ASSERT_TRUE(table.has_row(row));
    ASSERT_EQ(table.keys()[row], key);
  }
  for (const uint32_t row : model.left) ASSERT_FALSE(table.has_row(row));
}

// By which small keys are their own hashes, all in the first segment, bucket and tag.
constexpr HashSalt kNoSalt{1, 1};

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

TEST(HashTable, ErasedRowsAreTakenFirst) {
  HashTable table(5);
  insert(table, {10, 11, 12, 13, 14});
  EXPECT_EQ(erase(table, {11, 99, 13, 11}), (std::vector<uint32_t>{1, kNoRow, 3, kNoRow}));
  EXPECT_EQ(table.size(), 3);
  EXPECT_EQ(find(table, {10, 11, 12, 13, 14}), (std::vector<uint32_t>{0, kNoRow, 2, kNoRow, 4}));
  EXPECT_TRUE(table.has_row(0) && !table.has_row(1) && table.has_row(2) && !table.has_row(3));
  EXPECT_EQ(insert(table, {1, 3}), (std::vector<uint32_t>{3, 1}));  // 1 and 3 are links of free rows, too
  EXPECT_THROW(insert(table, {11}), Error);
  EXPECT_EQ(erase(table, {10, 12, 14, 1, 3}), (std::vector<uint32_t>{0, 2, 4, 3, 1}));
  EXPECT_EQ(table.size(), 0);
  EXPECT_EQ(insert(table, {0, 3, 4}), (std::vector<uint32_t>{1, 3, 4}));
}

TEST(HashTable, AgreesWithTheModelUnderRandomOperations) {
  for (const HashSalt salt : {hash_salt(), HashSalt{}, kNoSalt})
    for (const int64_t range : {int64_t{50}, int64_t{5000}, int64_t{60000}, kMax}) {
      std::mt19937_64 random(static_cast<uint64_t>(range));
      HashTable table(200000, salt);
      Model model;
      for (int step = 0; step < 400; ++step) {
        std::vector<int64_t> batch(random() % 700);
        for (auto& k : batch) k = static_cast<int64_t>(random() % static_cast<uint64_t>(range)) - range / 2;
        switch (random() % 40) {
          case 0:
            table = HashTable(table.max_size(), salt);
            model = {};
            break;
          case 1: table.reserve(std::min<int64_t>(table.max_size(), 2 * table.size())); break;
          case 2:
            batch.clear();
            for (const auto& [key, row] : model.rows) batch.push_back(key);
            break;
          default: break;
        }
        switch (random() % 4) {
          case 0: ASSERT_EQ(find(table, batch), model.find(batch)); break;
          case 1: ASSERT_EQ(erase(table, batch), model.erase(batch)); break;
          default: ASSERT_EQ(insert(table, batch), model.insert(batch)); break;
        }
        ASSERT_EQ(table.size(), std::ssize(model.rows));
      }
      expect_same(table, model);
    }
}

// A table of any size that is full of keys, those of every bucket in use, half of which are replaced again
// and again.
TEST(HashTable, FullTablesGoOn) {
  for (const int64_t rows : {1, 9, 10, 11, 640, 2000, 4001, 30000}) {
    std::mt19937_64 random(static_cast<uint64_t>(rows));
    HashTable table(rows);
    Model model;
    std::vector<int64_t> keys(static_cast<size_t>(rows));
    std::iota(keys.begin(), keys.end(), 1000);
    ASSERT_EQ(insert(table, keys), model.insert(keys));
    for (int round = 0; round < 20; ++round) {
      EXPECT_THROW(insert(table, {-1}), Error);
      std::shuffle(keys.begin(), keys.end(), random);
      const std::vector<int64_t> half(keys.begin(), keys.begin() + (rows + 1) / 2);
      ASSERT_EQ(erase(table, half), model.erase(half));
      for (size_t i = 0; i < half.size(); ++i) keys[i] += rows;
      ASSERT_EQ(insert(table, keys), model.insert(keys));
    }
    expect_same(table, model);
    EXPECT_EQ(table.end_row(), rows);
  }
}

// Not even keys that all belong into one segment.
TEST(HashTable, NoKeysCanFillASegment) {
  HashTable table(300000, kNoSalt);
  std::vector<int64_t> keys(300000);
  std::iota(keys.begin(), keys.end(), 0);
  const auto rows = insert(table, keys);
  for (size_t i = 0; i < rows.size(); ++i) ASSERT_EQ(rows[i], i);
  EXPECT_EQ(find(table, keys), rows);
}

TEST(HashTable, NoCallGrowsMoreThanItsShare) {
  constexpr int64_t kSegment = 2560;  // entries that move together
  HashTable table(3'000'000);
  int64_t moves = 0, most = 0;
  for (int64_t n = 0; n < 3'000'000; n += 1000) {
    std::vector<int64_t> keys(1000);
    std::iota(keys.begin(), keys.end(), n);
    insert(table, keys);
    most = std::max(most, table.moves() - std::exchange(moves, table.moves()));
  }
  EXPECT_LE(most, 14 * 1000 + kSegment);
  EXPECT_LE(moves, 7 * 3'000'000);
}

TEST(HashTable, ServesWhileItGrows) {
  HashTable table(1'000'000);
  std::vector<int64_t> keys(1'000'000);
  for (size_t i = 0; i < keys.size(); ++i) keys[i] = static_cast<int64_t>(i * 37);
  std::mt19937_64 random(1);
  for (int64_t n = 0; n < 1'000'000; n += 9973) {
    insert(table, {keys.begin() + n, keys.begin() + std::min<int64_t>(n + 9973, 1'000'000)});
    std::vector<int64_t> sample(2000);
    std::vector<uint32_t> rows;
    for (int64_t& key : sample) {
      rows.push_back(static_cast<uint32_t>(random() % static_cast<uint64_t>(table.size())));
      key = keys[rows.back()];
    }
    ASSERT_EQ(find(table, sample), rows);
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

TEST(HashTable, TakesTheKeyAndAtMostTenBytesARow) {
  HashTable grown(2'000'000);
  std::vector<int64_t> keys(2'000'000);
  std::iota(keys.begin(), keys.end(), 0);
  for (double size = 600; size < 2e6; size *= 1.003) {
    insert(grown, {keys.begin() + grown.size(), keys.begin() + static_cast<int64_t>(size)});
    ASSERT_LE(grown.bytes(), (grown.size() < 1 << 15 ? 24 : 18) * grown.size());
  }
  HashTable loaded(2'000'000);
  loaded.reserve(1'000'000);
  insert(loaded, {keys.begin(), keys.begin() + 1'000'000});
  EXPECT_LE(loaded.bytes(), 17'300'000);
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
