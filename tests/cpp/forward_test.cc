// SPDX-License-Identifier: Apache-2.0
// A forward pass of any number of samples gives the same bits as in a whole batch, and takes no memory.
#include "model/forward.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

#include "dlrm_rank.h"
#include "kernels/gemm.h"

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

class ForwardSizes : public ::testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    if (GetParam() == DType::bf16 && !bf16_instructions()) GTEST_SKIP() << "no bf16 matrix instructions";
  }
  Rank make_rank() const { return Rank(dlrm(), 1, {}, GetParam(), make_solo_comm(), 2); }
};

TEST_P(ForwardSizes, EverySampleGetsTheSameBitsInABatchOfAnySize) {
  Rank rank = make_rank();
  Batch batch = batch_of(kBatch);
  train(rank, batch);  // so that there are rows
  const std::vector<float> whole = predictions_of(rank, batch);
  ASSERT_EQ(whole.size(), static_cast<size_t>(kBatch));
  EXPECT_NE(whole[0], whole[1]);
  for (int64_t size = 1; size <= kBatch; size += size < 70 ? 1 : 37) {
    batch.size = size;
    ASSERT_EQ(predictions_of(rank, batch), std::vector<float>(whole.begin(), whole.begin() + size)) << size;
  }
}

TEST_P(ForwardSizes, NothingIsAllocatedAfterTenCalls) {
  Rank rank = make_rank();
  Batch batch = batch_of(kBatch);
  train(rank, batch);
  const std::vector<int64_t> sizes = shuffled_sizes();
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
