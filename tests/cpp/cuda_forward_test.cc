// SPDX-License-Identifier: Apache-2.0
// A rank on a GPU that predicts batches of any size, alone and between the steps of a training.
#include "device/memory.h"
#include "dlrm_rank.h"
#include "on_device.h"

namespace ctr {
namespace {

constexpr Device kGpu{Backend::cuda, 0};

class CudaForward : public testing::TestWithParam<DType> {
 protected:
  Rank make_rank() const { return Rank(dlrm(), 1, kGpu, GetParam(), make_solo_comm(), 2); }
  float tolerance() const { return GetParam() == DType::f32 ? 1e-5f : 4e-3f; }
};

// The library takes another algorithm for other sizes.
TEST_P(CudaForward, SamplesGetTheSamePredictionsInABatchOfAnySize) {
  Rank rank = make_rank();
  Batch batch = batch_of(kBatch);
  train(rank, batch);
  const std::vector<float> whole = predictions_of(rank, batch);
  ASSERT_EQ(whole.size(), static_cast<size_t>(kBatch));
  EXPECT_NE(whole[0], whole[1]);
  for (int64_t size = 1; size <= kBatch; size += size < 70 ? 1 : 37) {
    batch.size = size;
    expect_close(predictions_of(rank, batch), {whole.begin(), whole.begin() + size}, tolerance(),
                 std::to_string(size) + " samples");
  }
}

// Of the device's memory; what the driver sets aside in blocks is seen by the block.
TEST_P(CudaForward, NoDeviceMemoryIsTakenAfterTenCalls) {
  Rank rank = make_rank();
  Batch batch = batch_of(kBatch);
  train(rank, batch);
  const std::vector<int64_t> sizes = shuffled_sizes();
  rank.evaluator().prepare();
  const MemoryBackend& memory = memory_backend(kGpu);
  int64_t before = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    memory.synchronize(rank.context());
    if (i == 10) before = memory.available(kGpu.index);
    batch.size = sizes[i];
    predict(rank, batch);
  }
  memory.synchronize(rank.context());
  EXPECT_EQ(memory.available(kGpu.index), before);
}

// Steps are recorded, then replayed, while workspaces grow and products come and go between them.
TEST_P(CudaForward, ATrainingDoesNotNoticePredictions) {
  std::vector<double> losses[2];
  for (const bool predicts : {false, true}) {
    Rank rank = make_rank();
    Batch batch = batch_of(kBatch);
    for (int64_t step = 0; step < 6; ++step) {
      train(rank, batch);
      losses[predicts].push_back(rank.trainer().loss());
      Batch part = batch;
      part.size = 1 + 171 * step;
      if (predicts) predict(rank, part);
    }
  }
  EXPECT_EQ(losses[0], losses[1]);
  EXPECT_NE(losses[0].back(), losses[0].front());
}

INSTANTIATE_TEST_SUITE_P(Types, CudaForward, testing::Values(DType::f32, DType::f16));

}  // namespace
}  // namespace ctr
