// SPDX-License-Identifier: Apache-2.0
// A forward pass of any number of samples gives the same bits as in a whole batch, and takes no memory.
#include "model/forward.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>
#include <numeric>
#include <random>

#include "comm/comm.h"
#include "kernels/gemm.h"
#include "model/formats/spec_json.h"
#include "model/rank.h"

namespace {

std::atomic<size_t> ignored_bytes = 0;  // allocations up to this size do not count
std::atomic<int64_t> allocations = 0;

void* counted(size_t bytes, size_t alignment) {
  if (bytes > ignored_bytes) ++allocations;
  void* memory =
      std::aligned_alloc(alignment, (std::max<size_t>(bytes, 1) + alignment - 1) / alignment * alignment);
  if (!memory) throw std::bad_alloc();
  return memory;
}

}  // namespace

// Of the whole process, the libraries included.
void* operator new(size_t bytes) { return counted(bytes, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
void* operator new(size_t bytes, std::align_val_t alignment) {
  return counted(bytes, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }

namespace ctr {
namespace {

constexpr int64_t kBatch = 1024, kDense = 13, kSlots = 26;

// The shape of DLRM: two towers, an interaction, and a Dropout that forward passes over.
ModelSpec model() {
  return spec_from_json(R"({
    "solver": {"batchsize": 1024, "batchsize_eval": 1024},
    "input": {"labels": [{"name": "label"}], "dense_name": "dense", "dense_dim": 13,
              "sparse": [{"name": "data", "nnz_per_slot": [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                                           1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]}]},
    "embeddings": [{"type": "DistributedSlotSparseEmbeddingHash", "name": "embedding", "bottom": "data",
                    "embedding_vec_size": 16, "workspace_size_per_gpu_in_mb": 4, "combiner": "sum"}],
    "layers": [
      {"type": "InnerProduct", "bottoms": ["dense"], "tops": ["a1"], "params": {"num_output": 64}},
      {"type": "ReLU", "bottoms": ["a1"], "tops": ["a2"]},
      {"type": "InnerProduct", "bottoms": ["a2"], "tops": ["a3"], "params": {"num_output": 16}},
      {"type": "Interaction", "bottoms": ["a3", "embedding"], "tops": ["b1"]},
      {"type": "InnerProduct", "bottoms": ["b1"], "tops": ["b2"], "params": {"num_output": 128}},
      {"type": "ReLU", "bottoms": ["b2"], "tops": ["b3"]},
      {"type": "Dropout", "bottoms": ["b3"], "tops": ["b4"], "params": {"dropout_rate": 0.5}},
      {"type": "InnerProduct", "bottoms": ["b4"], "tops": ["b5"], "params": {"num_output": 1}},
      {"type": "BinaryCrossEntropyLoss", "bottoms": ["b5", "label"], "tops": ["loss"]}]})");
}

Batch batch_of(int64_t size) {
  std::mt19937 random(3);
  std::uniform_real_distribution<float> uniform(-1, 1);
  Batch batch;
  batch.capacity = kBatch;
  batch.size = kBatch;
  for (int64_t i = 0; i < kBatch; ++i) batch.labels.push_back(static_cast<float>(i % 2));
  for (int64_t i = 0; i < kBatch * kDense; ++i) batch.dense.push_back(uniform(random));
  CsrKeys& keys = batch.sparse.emplace_back();
  keys.slots = kSlots;
  for (int64_t i = 0; i <= kBatch * kSlots; ++i) keys.offsets.push_back(i);
  for (int64_t i = 0; i < kBatch * kSlots; ++i) keys.keys.push_back(static_cast<int64_t>(random() % 500));
  batch.size = size;
  return batch;
}

class ForwardSizes : public ::testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    if (GetParam() == DType::bf16 && !bf16_instructions()) GTEST_SKIP() << "no bf16 matrix instructions";
  }
  Rank make_rank() const { return Rank(model(), 1, {}, GetParam(), make_solo_comm(), 2); }
  static void predict(Rank& rank, const Batch& batch) {
    rank.evaluator().stage(batch);
    rank.predict(batch);
  }
};

TEST_P(ForwardSizes, EverySampleGetsTheSameBitsInABatchOfAnySize) {
  Rank rank = make_rank();
  Batch batch = batch_of(kBatch);
  rank.trainer().stage(batch);
  rank.train(batch, 0.1f);  // so that there are rows
  predict(rank, batch);
  std::vector<float> whole;
  rank.evaluator().append_predictions(whole);
  ASSERT_EQ(whole.size(), static_cast<size_t>(kBatch));
  EXPECT_NE(whole[0], whole[1]);
  for (int64_t size = 1; size <= kBatch; size += size < 70 ? 1 : 37) {
    batch.size = size;
    predict(rank, batch);
    std::vector<float> part;
    rank.evaluator().append_predictions(part);
    ASSERT_EQ(part, std::vector<float>(whole.begin(), whole.begin() + size)) << size;
  }
}

TEST_P(ForwardSizes, NothingIsAllocatedAfterTenCalls) {
  Rank rank = make_rank();
  Batch batch = batch_of(kBatch);
  rank.trainer().stage(batch);
  rank.train(batch, 0.1f);
  std::vector<int64_t> sizes(kBatch);
  std::iota(sizes.begin(), sizes.end(), 1);
  std::shuffle(sizes.begin(), sizes.end(), std::mt19937(7));
  rank.evaluator().prepare();
  // oneDNN puts the arguments of each of its bf16 products into a map of its own.
  ignored_bytes = GetParam() == DType::bf16 ? 256 : 0;
  int64_t before = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (i == 10) before = allocations;
    batch.size = sizes[i];
    predict(rank, batch);
  }
  EXPECT_EQ(allocations - before, 0);
  ignored_bytes = 0;
}

INSTANTIATE_TEST_SUITE_P(Types, ForwardSizes, ::testing::Values(DType::f32, DType::bf16));

TEST(BatchSizes, AreAQuarterApartAtMost) {
  EXPECT_EQ(batch_sizes(1), std::vector<int64_t>{1});
  EXPECT_EQ(batch_sizes(20), (std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20}));
  for (const int64_t largest : {3, 17, 1000, 1024, 65536}) {
    const std::vector<int64_t> sizes = batch_sizes(largest);
    EXPECT_EQ(sizes.back(), largest);
    for (size_t i = 1; i < sizes.size(); ++i) {
      EXPECT_LT(sizes[i - 1], sizes[i]);
      EXPECT_LE(sizes[i], std::max(sizes[i - 1] + 1, sizes[i - 1] * 5 / 4));
    }
  }
}

}  // namespace
}  // namespace ctr
