// SPDX-License-Identifier: Apache-2.0
#include "embedding/table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "base/error.h"

namespace ctr {
namespace {

constexpr int64_t kDim = 4, kSlots = 3;

EmbeddingSpec hash_spec(EmbeddingType type) {
  EmbeddingSpec spec;
  spec.type = type;
  spec.name = "embedding";
  spec.slots = kSlots;
  spec.dim = kDim;
  spec.workspace_mb = 1;
  spec.optimizer.type = OptimizerType::adagrad;
  return spec;
}

// A table and batches of one bag a key, whose slot is the key modulo their number.
class Rows {
 public:
  explicit Rows(const EmbeddingSpec& spec, RowColumns columns = {}) : table(Context{}, spec, 0, columns) {}

  std::vector<uint32_t> find(const std::vector<int64_t>& keys) {
    Context ctx;
    std::vector<uint32_t> rows(keys.size());
    table.index().find(ctx, bags(keys), rows);
    return rows;
  }
  std::vector<uint32_t> find_or_insert(const std::vector<int64_t>& keys) {
    auto rows = find(keys);
    table.insert(bags(keys), rows);
    return rows;
  }

  Table table;

 private:
  // Bag i belongs to slot i % kSlots: keys are filled up so that each comes in its own.
  Bags bags(const std::vector<int64_t>& keys) {
    offsets_ = {0};
    for (const int64_t key : keys) {
      const int64_t slot = key % kSlots;
      while ((std::ssize(offsets_) - 1) % kSlots != slot) offsets_.push_back(offsets_.back());
      offsets_.push_back(offsets_.back() + 1);
    }
    return {{0, 1, kSlots}, offsets_, keys, offsets_};
  }
  std::vector<int64_t> offsets_;
};

std::vector<float> fresh_vector(const EmbeddingSpec& spec, int64_t key) {
  Rows rows(spec);
  const uint32_t row = rows.find_or_insert({key})[0];
  return {rows.table.row(row), rows.table.row(row) + kDim};
}

}  // namespace

// Random verbs against a map from keys to the first element of their vectors.
TEST(Table, AgreesWithTheModelUnderRandomVerbs) {
  for (const auto type : {EmbeddingType::distributed_hash, EmbeddingType::localized_hash}) {
    const EmbeddingSpec spec = hash_spec(type);
    std::mt19937_64 random(5);
    Rows rows(spec, {.epoch = true, .score = true});
    std::map<int64_t, float> first;
    for (int step = 1; step <= 300; ++step) {
      std::vector<int64_t> keys(random() % 300);
      for (auto& key : keys) key = static_cast<int64_t>(random() % 3000);
      const auto verb = random() % 4;
      if (verb == 0) {
        const int64_t modulus = 2 + static_cast<int64_t>(random() % 5);
        const auto goes = [&](int64_t key) { return key % modulus == 0; };
        const int64_t erased = rows.table.erase_if([&](const Table::RowInfo& row) { return goes(row.key); });
        ASSERT_EQ(erased, std::erase_if(first, [&](const auto& entry) { return goes(entry.first); }));
      } else if (verb == 1) {
        const auto found = rows.find(keys);
        for (size_t i = 0; i < keys.size(); ++i) ASSERT_EQ(found[i] != kNoRow, first.contains(keys[i]));
      } else {
        const auto got = rows.find_or_insert(keys);
        for (size_t i = 0; i < keys.size(); ++i) {
          float* row = rows.table.row(got[i]);
          if (!first.contains(keys[i])) {
            ASSERT_EQ(std::vector<float>(row, row + kDim), fresh_vector(spec, keys[i]));
            ASSERT_EQ(row[kDim], initial_state(spec.optimizer, 0));
            row[0] = first[keys[i]] = static_cast<float>(step);
            row[kDim] = 7;  // a state, which nobody may inherit
          }
          ASSERT_EQ(row[0], first[keys[i]]);
        }
      }
      ASSERT_EQ(rows.table.index().size(), std::ssize(first));
    }
    std::map<int64_t, float> exported;
    for (int64_t begin = 0; begin < rows.table.index().end_row(); begin += 100) {
      const RowBlock block = rows.table.export_rows({begin, begin + 100}, {.vectors = true});
      for (size_t i = 0; i < block.keys.size(); ++i) {
        exported[block.keys[i]] = block.vectors[i * kDim];
        if (is_localized(spec)) {
          ASSERT_EQ(block.slot_ids[i], block.keys[i] % kSlots);
        }
      }
    }
    EXPECT_EQ(exported, first);
    EXPECT_LT(rows.table.index().end_row(), 3001);  // erased rows are used again
  }
}

TEST(Table, ErasesByEpochAndScoreAndKeepsPinnedRows) {
  Rows rows(hash_spec(EmbeddingType::distributed_hash), {.epoch = true, .score = true});
  const auto handles = rows.find_or_insert({10, 11, 12, 13});
  rows.table.touch(std::vector{handles[1], handles[3], handles[3]}, 5, 1.5f);
  rows.table.pin(std::vector{handles[0]});
  const auto old = [](const Table::RowInfo& row) { return row.epoch < 5; };
  EXPECT_EQ(rows.table.erase_if(old), 1);  // 12, for 10 is held
  EXPECT_EQ(rows.find({10, 11, 12, 13}), (std::vector<uint32_t>{handles[0], handles[1], kNoRow, handles[3]}));
  EXPECT_EQ(rows.table.erase_if([](const Table::RowInfo& row) { return row.score == 1.5f; }), 1);
  rows.table.unpin(std::vector{handles[0]});
  EXPECT_EQ(rows.table.erase_if(old), 1);
  EXPECT_EQ(rows.find({10, 11, 13}), (std::vector<uint32_t>{kNoRow, kNoRow, handles[3]}));
  EXPECT_THROW(rows.table.unpin(std::vector{handles[3]}), Error);
  rows.find_or_insert({20, 21, 22});  // in their rows, with neither epoch nor score
  EXPECT_EQ(rows.table.index().end_row(), 4);
  EXPECT_EQ(rows.table.erase_if([](const Table::RowInfo& row) { return row.epoch == 0 && row.score == 0; }),
            3);
}

TEST(Table, ErasedOneHotRowsStartAfresh) {
  EmbeddingSpec spec = hash_spec(EmbeddingType::localized_one_hot);
  spec.slot_size_array = {2, 3, 4};
  spec.optimizer = {};
  Table table(Context{}, spec, 0);
  const std::vector<float> fresh(table.row(3), table.row(3) + kDim);
  std::fill_n(table.row(3), kDim, 9.0f), std::fill_n(table.row(4), kDim, 9.0f);
  EXPECT_EQ(table.erase_if([](const Table::RowInfo& row) { return row.key == 3; }), 1);
  EXPECT_EQ(std::vector<float>(table.row(3), table.row(3) + kDim), fresh);
  EXPECT_EQ(table.row(4)[0], 9.0f);
  EXPECT_EQ(table.index().size(), 9);
}

TEST(Table, ImportsByBlocksOrNotAtAll) {
  const EmbeddingSpec spec = hash_spec(EmbeddingType::localized_hash);
  Rows rows(spec);
  rows.find_or_insert({1, 2});
  const auto block = [&](int64_t begin, int64_t end) {
    RowBlock b;
    for (int64_t key = begin; key < end; ++key) {
      b.keys.push_back(key), b.slot_ids.push_back(static_cast<uint64_t>(key % kSlots));
      b.vectors.insert(b.vectors.end(), kDim, static_cast<float>(key));
    }
    return b;
  };
  auto import = rows.table.begin_import();
  EXPECT_EQ(import->add(block(100, 200)), 100);
  EXPECT_EQ(import->add(block(195, 300)), 0);  // key 195 came before
  import = rows.table.begin_import();
  EXPECT_EQ(import->add(block(100, 200)), 100);
  EXPECT_EQ(import->add(block(200, 300)), 100);
  EXPECT_EQ(rows.find({1, 150}), (std::vector<uint32_t>{0, kNoRow}));
  import->commit();
  EXPECT_EQ(rows.find({1, 150, 299}), (std::vector<uint32_t>{kNoRow, 50, 199}));
  EXPECT_EQ(rows.table.row(199)[1], 299.0f);
  EXPECT_EQ(rows.table.export_rows({150, 152}, {}).keys, (std::vector<int64_t>{250, 251}));
}

}  // namespace ctr
