// SPDX-License-Identifier: Apache-2.0
// The rows of an embedding on each back end: what the verbs do, against a reference, with faults.
#include "embedding/row_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>
#include <set>

#include "base/error.h"
#include "embedding/embedding.h"
#include "kernels/hash_table.h"
#include "on_device.h"

namespace ctr {
namespace {

constexpr int64_t kDim = 64, kSlots = 3, kBatch = 400;
constexpr int64_t kKeys = 3000;  // 0, 1, ...: more than the 2048 rows that a store of hash_spec() holds

EmbeddingSpec hash_spec(EmbeddingType type) {
  EmbeddingSpec spec;
  spec.type = type;
  spec.name = "embedding";
  spec.slots = kSlots;
  spec.dim = kDim;
  spec.workspace_mb = 1;
  spec.optimizer.type = OptimizerType::adagrad;
  spec.columns = {.epoch = true, .score = true};
  return spec;
}

// While it lives, a device's memory lets itself be taken `blocks` times and then no more.
class ScarceMemory {
 public:
  ScarceMemory(Device device, int blocks) : backend_(device.backend), usual_(memory_backend(device)) {
    allocate_ = usual_.allocate, left_ = blocks;
    MemoryBackend scarce = usual_;
    scarce.allocate = [](int index, size_t bytes) { return left_-- > 0 ? allocate_(index, bytes) : nullptr; };
    register_memory_backend(backend_, scarce);
  }
  ~ScarceMemory() { register_memory_backend(backend_, usual_); }
  ScarceMemory(const ScarceMemory&) = delete;
  ScarceMemory& operator=(const ScarceMemory&) = delete;

 private:
  static inline void* (*allocate_)(int, size_t) = nullptr;
  static inline int left_ = 0;
  Backend backend_;
  MemoryBackend usual_;
};

// An embedding whose keys belong to the slot that is their remainder.
class Rows {
 public:
  Rows(Backend backend, const EmbeddingSpec& spec)
      : d(backend), group(make_embedding_group(d.ctx, {spec}, kBatch)), store(group->store(0)) {}

  static std::vector<RowEntry> entries(const std::vector<int64_t>& keys) {
    std::vector<RowEntry> all;
    for (const int64_t key : keys) all.push_back({key, key % kSlots});
    return all;
  }
  std::vector<uint32_t> find(const std::vector<int64_t>& keys) const {
    std::vector<uint32_t> rows(keys.size(), 7);
    store.find(entries(keys), rows);
    return rows;
  }
  std::vector<uint32_t> find_or_insert(const std::vector<int64_t>& keys) const {
    std::vector<uint32_t> rows(keys.size(), 7);
    store.find_or_insert(entries(keys), rows);
    return rows;
  }
  // As a training step inserts them: each in a bag of its own.
  std::vector<uint32_t> train(const std::vector<int64_t>& keys) {
    if (keys.empty()) return {};
    CsrKeys input{kSlots, {0}, keys};
    const auto pad_to = [&](int64_t slot) {
      while ((std::ssize(input.offsets) - 1) % kSlots != slot) input.offsets.push_back(input.offsets.back());
    };
    for (const int64_t key : keys) pad_to(key % kSlots), input.offsets.push_back(input.offsets.back() + 1);
    pad_to(0);
    const int64_t batch = (std::ssize(input.offsets) - 1) / kSlots;
    const CsrKeys* pointer = &input;
    const Tensor y = d.make({batch, kSlots, kDim});
    group->stage(d.ctx, {&pointer, 1}, batch, true);
    group->forward(d.ctx, *comm, {&y, 1});
    return find(keys);
  }

  OnDevice d;
  std::unique_ptr<EmbeddingGroup> group;
  RowStore& store;
  std::unique_ptr<Comm> comm = make_solo_comm();
};

struct Content {
  uint32_t row = 0, epoch = 0;
  float score = 0, state = 0;
  int pins = 0;
};
// The specification: a key gets the row left last, or the next.
struct Model {
  std::map<int64_t, Content> of;
  std::vector<uint32_t> left;
  uint32_t end_row = 0;

  std::vector<int64_t> unseen(const std::vector<int64_t>& keys) const {
    std::vector<int64_t> unseen;
    for (const int64_t key : keys)
      if (!of.contains(key) && std::find(unseen.begin(), unseen.end(), key) == unseen.end())
        unseen.push_back(key);
    return unseen;
  }
  void insert(const std::vector<int64_t>& keys, float state) {
    for (const int64_t key : unseen(keys)) {
      const uint32_t row = left.empty() ? end_row++ : left.back();
      if (!left.empty()) left.pop_back();
      of[key] = {.row = row, .state = state};
    }
  }
  std::vector<uint32_t> rows(const std::vector<int64_t>& keys) const {
    std::vector<uint32_t> rows;
    for (const int64_t key : keys) rows.push_back(of.contains(key) ? of.at(key).row : kNoRow);
    return rows;
  }
  template <class Predicate>
  int64_t erase_if(const Predicate& predicate) {
    std::vector<uint32_t> rows;
    std::erase_if(of, [&](const auto& entry) {
      const bool goes = entry.second.pins == 0 && predicate(entry.first, entry.second);
      if (goes) rows.push_back(entry.second.row);
      return goes;
    });
    std::sort(rows.begin(), rows.end());
    left.insert(left.end(), rows.begin(), rows.end());
    return std::ssize(rows);
  }
};

// Random verbs on a store and on the model. What throws must change nothing.
class RandomVerbs {
 public:
  RandomVerbs(Backend backend, EmbeddingType type)
      : spec_(hash_spec(type)), rows_(backend, spec_), initial_(initial_state(spec_.optimizer, 0)) {
    EmbeddingSpec large = spec_;
    large.workspace_mb = 4;
    const Rows fresh(Backend::cpu, large);
    std::vector<int64_t> keys(kKeys);
    std::iota(keys.begin(), keys.end(), 0);
    fresh.find_or_insert(keys);
    fresh_ = fresh.store.export_rows({0, kKeys}, {.vectors = true}).vectors;
  }

  void run(int steps) {
    for (int step = 1; step <= steps && !testing::Test::HasFatalFailure(); ++step) {
      epoch_ = static_cast<uint32_t>(step);
      const bool scarce = random_() % 4 == 0;
      try {
        one_verb(scarce);
      } catch (const Error& error) {
        ASSERT_EQ(error.kind(), ErrorKind::out_of_memory) << error.what();
        ASSERT_TRUE(scarce || may_fail_);
        ++faults_;
      }
      ASSERT_EQ(rows_.store.size(), std::ssize(model_.of)) << "step " << step;
      ASSERT_EQ(rows_.store.end_row(), int64_t{model_.end_row}) << "step " << step;
      if (step % 8 == 0) expect_same();
    }
    expect_same();
    EXPECT_GT(faults_, steps / 40);
  }

 private:
  std::vector<int64_t> some_keys() {
    std::vector<int64_t> keys(random_() % kBatch);
    for (int64_t& key : keys) key = static_cast<int64_t>(random_() % kKeys);
    return keys;
  }
  template <class Verb>
  void run(bool scarce, const Verb& verb) {
    if (!scarce) return verb();
    const ScarceMemory memory(rows_.d.ctx.device, static_cast<int>(random_() % 5));
    verb();
  }

  void one_verb(bool scarce) {
    may_fail_ = false;
    switch (random_() % 8) {
      case 0: return erase(scarce);
      case 1: return touch(scarce);
      case 2: return hold();
      case 3: return import(scarce);
      case 4: return run(scarce, [&, keys = some_keys()] { ASSERT_EQ(rows_.find(keys), model_.rows(keys)); });
      case 5: return insert(false, [&](const auto& keys) { return rows_.train(keys); });
      default: return insert(scarce, [&](const auto& keys) { return rows_.find_or_insert(keys); });
    }
  }

  template <class Verb>
  void insert(bool scarce, const Verb& verb) {
    const auto keys = some_keys(), unseen = model_.unseen(keys);
    may_fail_ = std::ssize(model_.of) + std::ssize(unseen) > rows_.store.capacity();
    std::vector<uint32_t> got;
    run(scarce, [&] { got = verb(keys); });
    ASSERT_FALSE(may_fail_) << "more keys than rows";
    model_.insert(keys, initial_);
    ASSERT_EQ(got, model_.rows(keys));
    mark(unseen);
  }
  // States that no other key may inherit.
  void mark(const std::vector<int64_t>& keys) {
    RowBlock block;
    block.keys = keys;
    block.states.resize(1);
    for (const int64_t key : keys) {
      if (is_localized()) block.slot_ids.push_back(static_cast<uint64_t>(key % kSlots));
      block.states[0].insert(block.states[0].end(), kDim, static_cast<float>(epoch_));
      model_.of[key].state = static_cast<float>(epoch_);
    }
    rows_.store.import_states(block);
  }

  void erase(bool scarce) {
    const uint64_t what = random_() % 4, modulus = 2 + random_() % 5;
    const auto goes = [&](int64_t key, uint32_t epoch, float score) {
      if (what == 0) return epoch + 20 < epoch_;
      if (what == 1) return score < 2;
      return static_cast<uint64_t>(key) % modulus == 0;
    };
    int64_t erased = 0, seen = 0;
    may_fail_ = what == 3;
    const int64_t stops_at = what == 3 ? std::ssize(model_.of) / 2 : -1;
    run(scarce, [&] {
      erased = rows_.store.erase_if([&](const RowInfo& row) {
        if (seen++ == stops_at) fail(ErrorKind::out_of_memory, "the predicate fails");
        EXPECT_EQ(row.slot, is_localized() ? row.key % kSlots : 0);
        return goes(row.key, row.epoch, row.score);
      });
    });
    ASSERT_EQ(erased,
              model_.erase_if([&](int64_t key, const Content& c) { return goes(key, c.epoch, c.score); }));
  }

  void touch(bool scarce) {
    auto keys = some_keys();
    const auto found = model_.rows(keys);
    run(scarce, [&] { rows_.store.touch(found, epoch_, 0.5f); });
    for (const int64_t key : keys)
      if (model_.of.contains(key)) model_.of[key].epoch = epoch_, model_.of[key].score += 0.5f;
  }

  void hold() {
    auto keys = some_keys();
    keys.resize(keys.size() / 8);
    rows_.store.pin(model_.rows(keys));
    for (const int64_t key : keys)
      if (model_.of.contains(key)) ++model_.of[key].pins;
    if (random_() % 2) release();
  }
  void release() {
    std::vector<uint32_t> held;
    for (auto& [key, content] : model_.of)
      for (; content.pins > 0; --content.pins) held.push_back(content.row);
    rows_.store.unpin(held);
  }

  // The rows themselves, by another number; or half of them and one twice, which is no content.
  void import(bool scarce) {
    release();
    const int64_t at_once = 1 + static_cast<int64_t>(random_() % 500);
    const bool twice = random_() % 3 == 0;
    std::unique_ptr<RowImport> import;
    std::vector<int64_t> keys;
    run(scarce, [&] {
      import = rows_.store.begin_import();
      for (int64_t begin = 0; begin < model_.end_row; begin += at_once) {
        const RowBlock block = rows_.store.export_rows({begin, begin + at_once}, {.vectors = true});
        ASSERT_EQ(import->add(block), std::ssize(block.keys));
        keys.insert(keys.end(), block.keys.begin(), block.keys.end());
        if (twice && !keys.empty()) {
          const RowBlock first = rows_.store.export_rows({model_.of[keys[0]].row, model_.of[keys[0]].row + 1},
                                                         {.vectors = true});
          ASSERT_EQ(import->add(first), 0);
          return;
        }
      }
      import->commit();
    });
    if (twice && !keys.empty()) return;
    model_ = {};
    model_.insert(keys, initial_);
  }

  void expect_same() {
    std::map<int64_t, Content> exported;
    const int64_t at_once = 1 + static_cast<int64_t>(random_() % 500);
    for (int64_t begin = 0; begin < rows_.store.end_row(); begin += at_once) {
      const RowBlock b =
          rows_.store.export_rows({begin, begin + at_once}, {.vectors = true, .num_states = 1});
      for (size_t i = 0; i < b.keys.size(); ++i) {
        const int64_t key = b.keys[i];
        ASSERT_TRUE(std::equal(&b.vectors[i * kDim], &b.vectors[i * kDim] + kDim, &fresh_[key * kDim]));
        if (is_localized()) {
          ASSERT_EQ(b.slot_ids[i], static_cast<uint64_t>(key % kSlots));
        }
        exported[key].state = b.states[0][i * kDim + i % kDim];
      }
    }
    ASSERT_EQ(exported.size(), model_.of.size());
    rows_.store.erase_if([&](const RowInfo& row) {
      exported[row.key].row = row.row, exported[row.key].epoch = row.epoch;
      exported[row.key].score = row.score;
      return false;
    });
    for (const auto& [key, content] : model_.of) {
      const Content& there = exported[key];
      ASSERT_EQ(there.state, content.state) << key;
      if (content.pins > 0) continue;  // the predicate does not see it
      ASSERT_EQ(there.row, content.row) << key;
      ASSERT_EQ(there.epoch, content.epoch) << key;
      ASSERT_EQ(there.score, content.score) << key;
    }
  }
  bool is_localized() const { return spec_.type != EmbeddingType::distributed_hash; }

  EmbeddingSpec spec_;
  Rows rows_;
  float initial_;
  std::vector<float> fresh_;  // vector of each key
  Model model_;
  std::mt19937_64 random_{5};
  uint32_t epoch_ = 0;
  bool may_fail_ = false;
  int faults_ = 0;
};

void agrees_with_the_model(Backend backend) {
  for (const auto type : {EmbeddingType::distributed_hash, EmbeddingType::localized_hash})
    RandomVerbs(backend, type).run(600);
}
TEST(RowStore, AgreesWithTheModelUnderRandomVerbs) { agrees_with_the_model(Backend::cpu); }
TEST(CudaRowStore, AgreesWithTheModelUnderRandomVerbs) { agrees_with_the_model(Backend::cuda); }

void keeps_pinned_rows(Backend backend) {
  const Rows rows(backend, hash_spec(EmbeddingType::distributed_hash));
  const auto handles = rows.find_or_insert({10, 11, 12, 13});
  rows.store.touch(std::vector{handles[1], handles[3], handles[3], kNoRow}, 5, 1.5f);
  rows.store.pin(std::vector{handles[0], kNoRow});
  const auto old = [](const RowInfo& row) { return row.epoch < 5; };
  EXPECT_EQ(rows.store.erase_if(old), 1);  // 12, for 10 is held
  EXPECT_EQ(rows.find({10, 11, 12, 13}), (std::vector<uint32_t>{handles[0], handles[1], kNoRow, handles[3]}));
  EXPECT_EQ(rows.store.erase_if([](const RowInfo& row) { return row.score == 1.5f; }), 1);
  EXPECT_THROW(rows.store.begin_import(), Error);
  rows.store.unpin(std::vector{handles[0], kNoRow});
  EXPECT_THROW(rows.store.unpin(std::vector{handles[0]}), Error);
  EXPECT_EQ(rows.store.erase_if(old), 1);
  EXPECT_EQ(rows.find({10, 11, 13}), (std::vector<uint32_t>{kNoRow, kNoRow, handles[3]}));
  EXPECT_EQ(rows.find_or_insert({20, 21, 22}), (std::vector<uint32_t>{handles[0], handles[1], handles[2]}));
  EXPECT_EQ(rows.store.end_row(), 4);
  EXPECT_EQ(rows.store.erase_if([](const RowInfo& row) { return row.epoch == 0 && row.score == 0; }), 3);
}
TEST(RowStore, KeepsPinnedRows) { keeps_pinned_rows(Backend::cpu); }
TEST(CudaRowStore, KeepsPinnedRows) { keeps_pinned_rows(Backend::cuda); }

void one_hot_rows_start_afresh(Backend backend) {
  EmbeddingSpec spec = hash_spec(EmbeddingType::localized_one_hot);
  spec.slot_size_array = {2, 3, 400};
  spec.optimizer = {.type = OptimizerType::sgd};
  const Rows rows(backend, spec);
  const std::vector<float> fresh = rows.group->export_rows(0, false).vectors;
  RowBlock nines = rows.group->export_rows(0, false);
  std::fill(nines.vectors.begin(), nines.vectors.end(), 9.0f);
  rows.group->import_rows(0, nines);
  rows.store.touch(std::vector<uint32_t>{3, 4}, 6, 1);
  const auto goes = [](const RowInfo& row) { return row.key == 1 || row.epoch == 6 || row.key % 7 == 5; };
  std::vector<float> expected = nines.vectors;
  int64_t gone = 0;
  for (int64_t key = 0; key < 405; ++key)
    if (key == 1 || key == 3 || key == 4 || key % 7 == 5)
      std::copy_n(&fresh[key * kDim], kDim, &expected[key * kDim]), ++gone;
  EXPECT_EQ(rows.store.erase_if(goes), gone);
  EXPECT_EQ(rows.group->export_rows(0, false).vectors, expected);
  EXPECT_EQ(rows.store.size(), 405);
  EXPECT_EQ(rows.store.erase_if([](const RowInfo& row) { return row.epoch == 6; }), 0);
}
TEST(RowStore, OneHotRowsStartAfresh) { one_hot_rows_start_afresh(Backend::cpu); }
TEST(CudaRowStore, OneHotRowsStartAfresh) { one_hot_rows_start_afresh(Backend::cuda); }

// What a step learns with rows that others have left is what it learns with new ones.
std::map<int64_t, std::vector<float>> trained_after_erasing(Backend backend, bool erase) {
  EmbeddingSpec spec = hash_spec(EmbeddingType::localized_hash);
  spec.optimizer.type = OptimizerType::adam;
  spec.optimizer.update = UpdateType::global;
  Rows rows(backend, spec);
  const Tensor y = rows.d.make({kBatch, kSlots, kDim});
  const Tensor d_y = rows.d.make({kBatch, kSlots, kDim}, normal(kBatch * kSlots * kDim, 3));
  for (int64_t step = 0; step < 3; ++step) {
    CsrKeys input{kSlots, {0}, {}};
    for (int64_t bag = 0; bag < kBatch * kSlots; ++bag) {
      input.keys.push_back((step * 100 + bag / kSlots % 150) * kSlots + bag % kSlots);
      input.offsets.push_back(bag + 1);
    }
    const CsrKeys* pointer = &input;
    rows.group->stage(rows.d.ctx, {&pointer, 1}, kBatch, true);
    rows.group->forward(rows.d.ctx, *rows.comm, {&y, 1});
    rows.group->backward(rows.d.ctx, *rows.comm, {&d_y, 1}, {false});
    // Keys that come no more.
    if (erase) rows.store.erase_if([&](const RowInfo& row) { return row.key < (step + 1) * 100 * kSlots; });
  }
  const RowBlock all = rows.group->export_rows(0, true);
  std::map<int64_t, std::vector<float>> trained;
  for (size_t i = 0; i < all.keys.size(); ++i)
    if (all.keys[i] >= 300 * kSlots)
      trained[all.keys[i]] = {&all.vectors[i * kDim], &all.vectors[i * kDim] + kDim};
  return trained;
}
void trains_in_rows_of_others(Backend backend) {
  auto trained = trained_after_erasing(backend, true);
  EXPECT_EQ(trained.size(), 150u);
  for (const auto& [key, vector] : trained_after_erasing(backend, false))
    expect_close(trained.at(key), vector, 1e-6f, fmt::format("key {}", key));
}
TEST(RowStore, TrainsInRowsOfOthers) { trains_in_rows_of_others(Backend::cpu); }
TEST(CudaRowStore, TrainsInRowsOfOthers) { trains_in_rows_of_others(Backend::cuda); }

}  // namespace
}  // namespace ctr
