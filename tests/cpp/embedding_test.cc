// SPDX-License-Identifier: Apache-2.0
#include "embedding/embedding.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

namespace ctr {
namespace {

constexpr int64_t kBatch = 1024, kSlots = 3, kDim = 8;

std::vector<EmbeddingSpec> specs() {
  EmbeddingSpec spec;
  spec.slots = kSlots;
  spec.workspace_mb = 1;
  spec.dim = kDim;
  spec.combiner = Combiner::mean;
  EmbeddingSpec localized = spec;
  localized.type = EmbeddingType::localized_hash;
  localized.optimizer.update = UpdateType::local;
  return {spec, localized};
}

CsrKeys random_keys(uint64_t seed) {
  std::mt19937_64 random(seed);
  CsrKeys input{kSlots, {0}, {}};
  for (int64_t bag = 0; bag < kBatch * kSlots; ++bag) {
    for (uint64_t n = random() % 4; n > 0; --n)
      input.keys.push_back(static_cast<int64_t>(random() % 500) * kSlots + bag % kSlots);
    input.offsets.push_back(std::ssize(input.keys));
  }
  return input;
}

float narrow(float v, float) { return v; }
bf16 narrow(float v, bf16) { return to_bf16(v); }

// Outputs of the last of three steps, [embedding][batch, slot, dim]. Gradients are numbers that fit both
// types.
template <class T>
std::vector<std::vector<T>> train(int ranks, int threads) {
  const auto comms = make_local_comms(ranks);
  constexpr int64_t kElements = kBatch * kSlots * kDim;
  std::vector<std::vector<T>> outputs(2, std::vector<T>(kElements));
  std::vector<T> gradients;
  for (int64_t i = 0; i < kElements; ++i)
    gradients.push_back(narrow(static_cast<float>(i % 7 - 3) * 0.125f, T{}));
  const StepState state{.learning_rate = 0.1f};
  auto run_rank = [&](int rank) {
    Context ctx{
        .device = {}, .threads = threads, .seed = 5, .rank = rank, .world_size = ranks, .step = &state};
    const auto group = make_embedding_group(ctx, specs(), kBatch);
    const int64_t samples = kBatch / ranks, first = rank * samples * kSlots * kDim;
    auto slice = [&](std::vector<T>& whole) {
      return Tensor(dtype_of<T>, {samples, kSlots, kDim}, &whole[first]);
    };
    for (uint64_t step = 0; step < 3; ++step) {
      const CsrKeys input = random_keys(step);
      group->stage(ctx, std::vector{&input, &input}, kBatch, true);
      group->forward(ctx, *comms[rank], std::vector{slice(outputs[0]), slice(outputs[1])});
      group->backward(ctx, *comms[rank], std::vector{slice(gradients), slice(gradients)}, {false, false});
    }
  };
  std::vector<std::thread> team;
  for (int rank = 0; rank < ranks; ++rank) team.emplace_back(run_rank, rank);
  for (auto& member : team) member.join();
  return outputs;
}

}  // namespace

TEST(Embedding, RanksAndThreadsAgree) {
  const auto expected = train<float>(1, 1);
  for (const auto& [ranks, threads] : {std::pair{2, 2}, {4, 1}, {1, 3}}) {
    const auto got = train<float>(ranks, threads);
    for (size_t e = 0; e < expected.size(); ++e)
      for (size_t i = 0; i < expected[e].size(); ++i) ASSERT_NEAR(got[e][i], expected[e][i], 1e-6);
  }
}

TEST(Embedding, NarrowOutputsAreRoundedOnce) {
  for (const int ranks : {1, 2}) {
    const auto wide = train<float>(ranks, 1);
    const auto rounded = train<bf16>(ranks, 2);
    for (size_t e = 0; e < wide.size(); ++e)
      for (size_t i = 0; i < wide[e].size(); ++i) ASSERT_EQ(rounded[e][i].bits, to_bf16(wide[e][i]).bits);
  }
}

}  // namespace ctr
