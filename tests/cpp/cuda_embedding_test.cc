// SPDX-License-Identifier: Apache-2.0
// The embedding group of a GPU against the CPU's, batch by batch.
#include <cmath>

#include "embedding/embedding.h"
#include "on_device.h"

namespace ctr {
namespace {

constexpr int64_t kBatch = 512;

// Power-law keys, bags of 0 to max_nnz keys; `width` distinct keys a slot, the same key never in two slots.
CsrKeys draw(uint32_t seed, int64_t slots, int max_nnz, int64_t width, bool per_slot) {
  std::mt19937_64 random(seed);
  CsrKeys input{slots, {0}, {}};
  for (int64_t bag = 0; bag < kBatch * slots; ++bag) {
    const auto nnz = max_nnz == 1 ? 1 : static_cast<int>(random() % static_cast<uint64_t>(max_nnz + 1));
    for (int n = 0; n < nnz; ++n) {
      const double u = static_cast<double>(random() % (1 << 24)) / (1 << 24);
      const auto key = static_cast<int64_t>(std::pow(u, 4) * static_cast<double>(width));
      input.keys.push_back(per_slot ? key : (key * slots + bag % slots) * 7919 - 1000);
    }
    input.offsets.push_back(std::ssize(input.keys));
  }
  return input;
}

struct Outcome {
  std::vector<std::vector<float>> outputs;
  std::vector<RowBlock> dumps;
  std::vector<int64_t> steps;
};

// A few training steps with constant pseudo-random gradients, then an evaluation of unseen keys. Samples are
// `gap` elements apart.
Outcome train(Backend backend, const std::vector<EmbeddingSpec>& specs, int max_nnz,
              const std::vector<bool>& frozen, int64_t gap = 0) {
  OnDevice d(backend);
  const auto comm = make_solo_comm();
  const auto group = make_embedding_group(d.ctx, specs, kBatch);
  std::vector<Tensor> y, d_y;
  for (const auto& spec : specs) {
    const Shape shape{kBatch, spec.slots, spec.dim};
    const std::vector<float> zeros(static_cast<size_t>(shape.numel()), 0.0f);
    y.push_back(d.make_apart(shape, zeros, spec.slots * spec.dim, gap));
    d_y.push_back(d.make_apart(shape, normal(shape.numel(), 11), spec.slots * spec.dim, gap));
  }
  Outcome outcome;
  const auto run = [&](uint32_t seed, bool training) {
    std::vector<CsrKeys> inputs;
    std::vector<const CsrKeys*> pointers;
    for (const auto& spec : specs) {
      const bool one_hot = spec.type == EmbeddingType::localized_one_hot;
      inputs.push_back(
          draw(seed++, spec.slots, one_hot ? 1 : max_nnz, one_hot ? spec.slot_size_array[0] : 300, one_hot));
    }
    for (const auto& input : inputs) pointers.push_back(&input);
    group->stage(d.ctx, pointers, kBatch, training);
    group->forward(d.ctx, *comm, y);
    for (const Tensor& t : y) outcome.outputs.push_back(d.values_of(t));
    if (training) group->backward(d.ctx, *comm, d_y, frozen);
  };
  for (uint32_t step = 0; step < 4; ++step) run(100 * step, true);
  run(999, false);
  for (int e = 0; e < group->count(); ++e) {
    outcome.dumps.push_back(group->export_rows(e, true));
    outcome.steps.push_back(group->optimizer_step(e));
  }
  return outcome;
}

void expect_same(const Outcome& actual, const Outcome& expected, float tolerance) {
  ASSERT_EQ(actual.outputs.size(), expected.outputs.size());
  for (size_t i = 0; i < expected.outputs.size(); ++i)
    expect_close(actual.outputs[i], expected.outputs[i], tolerance, fmt::format("output {}", i));
  EXPECT_EQ(actual.steps, expected.steps);
  for (size_t e = 0; e < expected.dumps.size(); ++e) {
    const RowBlock &a = actual.dumps[e], &b = expected.dumps[e];
    EXPECT_EQ(a.keys, b.keys) << "embedding " << e;
    EXPECT_EQ(a.slot_ids, b.slot_ids);
    EXPECT_EQ(a.last_steps, b.last_steps);
    expect_close(a.vectors, b.vectors, tolerance, fmt::format("vectors of embedding {}", e));
    ASSERT_EQ(a.states.size(), b.states.size());
    for (size_t s = 0; s < b.states.size(); ++s)
      expect_close(a.states[s], b.states[s], tolerance, fmt::format("state {} of embedding {}", s, e));
  }
}

EmbeddingSpec make_spec(EmbeddingType type, Combiner combiner, int64_t dim, OptimizerSpec optimizer) {
  EmbeddingSpec spec;
  spec.type = type;
  spec.name = "table";
  spec.slots = 3;
  spec.workspace_mb = 4;
  spec.dim = dim;
  spec.combiner = combiner;
  spec.optimizer = optimizer;
  if (type == EmbeddingType::localized_one_hot) spec.slot_size_array = {50, 50, 50};
  return spec;
}

TEST(CudaEmbeddingTest, EveryOptimizerAndUpdateAgreesWithTheCpu) {
  for (const auto type :
       {OptimizerType::adam, OptimizerType::adagrad, OptimizerType::momentum_sgd, OptimizerType::nesterov,
        OptimizerType::sgd, OptimizerType::ftrl, OptimizerType::rmsprop})
    for (const auto update : {UpdateType::local, UpdateType::global, UpdateType::lazy_global}) {
      if (update == UpdateType::lazy_global && type != OptimizerType::adam) continue;
      SCOPED_TRACE(fmt::format("{} {}", name_of(type), name_of(update)));
      const OptimizerSpec optimizer{.type = type,
                                    .update = update,
                                    .initial_accumulator = 0.1,
                                    .momentum = 0.9,
                                    .beta = 0.5,
                                    .lambda1 = 0.01,
                                    .lambda2 = 0.1};
      const std::vector<EmbeddingSpec> specs{
          make_spec(EmbeddingType::distributed_hash, Combiner::sum, 16, optimizer),
          make_spec(EmbeddingType::localized_hash, Combiner::mean, 11, optimizer)};
      expect_same(train(Backend::cuda, specs, 4, {false, false}),
                  train(Backend::cpu, specs, 4, {false, false}), 2e-5f);
    }
}

// Inside a Concat, vectors of a sample lie side by side and samples do not.
void expect_same_with_gaps(Backend backend) {
  const OptimizerSpec adam{.type = OptimizerType::adam, .update = UpdateType::local};
  const std::vector<EmbeddingSpec> specs{
      make_spec(EmbeddingType::distributed_hash, Combiner::sum, 16, adam),
      make_spec(EmbeddingType::localized_hash, Combiner::mean, 11, adam),
      make_spec(EmbeddingType::localized_one_hot, Combiner::sum, 128, {.type = OptimizerType::sgd})};
  const std::vector<bool> none(specs.size(), false);
  const Outcome packed = train(backend, specs, 4, none);
  for (const int64_t gap : {1, 8, 13}) expect_same(train(backend, specs, 4, none, gap), packed, 0);
}
TEST(EmbeddingTest, SamplesMayBeApart) { expect_same_with_gaps(Backend::cpu); }
TEST(CudaEmbeddingTest, SamplesMayBeApart) { expect_same_with_gaps(Backend::cuda); }

TEST(CudaEmbeddingTest, MoreTablesThanOneLaunchServes) {
  std::vector<EmbeddingSpec> specs;
  for (int64_t e = 0; e < 130; ++e)
    specs.push_back(make_spec(EmbeddingType::distributed_hash, Combiner::sum, 1 + e % 5,
                              {.type = OptimizerType::adagrad, .initial_accumulator = 0.1}));
  std::vector<bool> frozen(specs.size(), false);
  for (size_t e = 60; e < 70; ++e) frozen[e] = true;
  expect_same(train(Backend::cuda, specs, 2, frozen), train(Backend::cpu, specs, 2, frozen), 2e-5f);
}

TEST(CudaEmbeddingTest, ManyTablesOfAllTypesAndWidths) {
  const OptimizerSpec sgd{.type = OptimizerType::sgd},
      adam{.type = OptimizerType::adam, .update = UpdateType::local};
  const std::vector<EmbeddingSpec> specs{
      make_spec(EmbeddingType::localized_one_hot, Combiner::sum, 128, sgd),
      make_spec(EmbeddingType::distributed_hash, Combiner::sum, 1, adam),
      make_spec(EmbeddingType::distributed_hash, Combiner::mean, 200, adam),
      make_spec(EmbeddingType::localized_hash, Combiner::sum, 1024, sgd),
      make_spec(EmbeddingType::localized_hash, Combiner::mean, 6, adam)};
  for (const int max_nnz : {1, 6})
    for (const bool frozen : {false, true}) {
      SCOPED_TRACE(fmt::format("nnz {} frozen {}", max_nnz, frozen));
      const std::vector<bool> flags{false, frozen, false, frozen, false};
      const Outcome actual = train(Backend::cuda, specs, max_nnz, flags);
      expect_same(actual, train(Backend::cpu, specs, max_nnz, flags), 2e-5f);
      const Outcome again = train(Backend::cuda, specs, max_nnz, flags);
      EXPECT_EQ(actual.outputs, again.outputs) << "not the same bits twice";
      for (size_t e = 0; e < specs.size(); ++e) EXPECT_EQ(actual.dumps[e].vectors, again.dumps[e].vectors);
    }
}

TEST(CudaEmbeddingTest, EveryKeyValueIsAKey) {
  OnDevice d(Backend::cuda);
  const auto comm = make_solo_comm();
  EmbeddingSpec spec =
      make_spec(EmbeddingType::distributed_hash, Combiner::sum, 4, {.type = OptimizerType::sgd});
  spec.slots = 1;
  const auto group = make_embedding_group(d.ctx, {spec}, 6);
  using Limits = std::numeric_limits<int64_t>;
  const CsrKeys input{1, {0, 1, 2, 3, 4, 5, 6}, {Limits::max(), Limits::min(), -1, 0, Limits::max(), 0}};
  const CsrKeys* pointer = &input;
  const Tensor y = d.make({6, 1, 4});
  group->stage(d.ctx, {&pointer, 1}, 6, true);
  group->forward(d.ctx, *comm, {&y, 1});
  EXPECT_EQ(group->export_rows(0, false).keys, (std::vector<int64_t>{Limits::max(), Limits::min(), -1, 0}));
  const std::vector<float> vectors = to_host(d.ctx, y);
  EXPECT_TRUE(std::equal(vectors.begin(), vectors.begin() + 4, vectors.begin() + 16));
}

TEST(CudaEmbeddingTest, OverflowIsAnErrorThatChangesNothing) {
  OnDevice d(Backend::cuda);
  const auto comm = make_solo_comm();
  EmbeddingSpec spec =
      make_spec(EmbeddingType::localized_hash, Combiner::sum, 8, {.type = OptimizerType::sgd});
  spec.slots = 1;
  spec.slot_size_array = {100};
  const auto group = make_embedding_group(d.ctx, {spec}, kBatch);
  const Tensor y = d.make({kBatch, 1, 8});
  const auto stage = [&](int64_t first, int64_t distinct) {
    CsrKeys input{1, {0}, {}};
    for (int64_t i = 0; i < kBatch; ++i) {
      input.keys.push_back(first + i % distinct);
      input.offsets.push_back(i + 1);
    }
    const CsrKeys* pointer = &input;
    group->stage(d.ctx, {&pointer, 1}, kBatch, true);
  };
  const auto forward = [&] { group->forward(d.ctx, *comm, {&y, 1}); };
  stage(0, 60), forward();
  const RowBlock before = group->export_rows(0, true);
  EXPECT_THROW(stage(1000, 41), Error);
  EXPECT_THROW(stage(5000, kBatch), Error);  // more than the hash table has places
  EXPECT_EQ(group->size(0), 60);
  stage(1000, 40);  // fills it to the last row
  stage(2000, 30);  // a batch that was staged but not run leaves no trace
  stage(1000, 40), forward();
  const RowBlock after = group->export_rows(0, true);
  EXPECT_EQ(group->size(0), 100);
  EXPECT_TRUE(std::equal(before.vectors.begin(), before.vectors.end(), after.vectors.begin()));
  for (int64_t i = 0; i < 40; ++i) EXPECT_EQ(after.keys[static_cast<size_t>(60 + i)], 1000 + i);
  stage(0, 60), forward();  // full, and nothing new
  EXPECT_THROW(stage(77777, 1), Error);
}

TEST(CudaEmbeddingTest, MoreRowsThanItCanNumberAreAnError) {
  OnDevice d(Backend::cuda);
  const auto make = [&](EmbeddingSpec spec) { return make_embedding_group(d.ctx, {spec}, kBatch); };
  EmbeddingSpec hash =
      make_spec(EmbeddingType::distributed_hash, Combiner::sum, 1, {.type = OptimizerType::sgd});
  hash.workspace_mb = 4096;  // 2^30 rows
  EXPECT_THROW(make(hash), Error);
  EmbeddingSpec one_hot =
      make_spec(EmbeddingType::localized_one_hot, Combiner::sum, 1, {.type = OptimizerType::sgd});
  one_hot.slots = 2;
  one_hot.slot_size_array = {int64_t{1} << 30, int64_t{1} << 30};
  EXPECT_THROW(make(one_hot), Error);
}

TEST(CudaEmbeddingTest, DumpsTravelBetweenBackEnds) {
  const OptimizerSpec lazy{.type = OptimizerType::adam, .update = UpdateType::lazy_global};
  for (const auto type :
       {EmbeddingType::distributed_hash, EmbeddingType::localized_hash, EmbeddingType::localized_one_hot}) {
    const std::vector<EmbeddingSpec> specs{make_spec(
        type, Combiner::sum, 12,
        type == EmbeddingType::localized_one_hot ? OptimizerSpec{.type = OptimizerType::sgd} : lazy)};
    const RowBlock dump = train(Backend::cpu, specs, 3, {false}).dumps[0];
    OnDevice d(Backend::cuda);
    const auto group = make_embedding_group(d.ctx, specs, kBatch);
    group->import_rows(0, dump);
    group->import_states(0, dump);
    const RowBlock back = group->export_rows(0, true);
    EXPECT_EQ(back.keys, dump.keys);
    EXPECT_EQ(back.vectors, dump.vectors);
    EXPECT_EQ(back.states, dump.states);
    EXPECT_EQ(back.last_steps, dump.last_steps);
    RowBlock twice = dump;
    twice.keys[1] = twice.keys[0];
    if (!twice.slot_ids.empty()) twice.slot_ids[1] = twice.slot_ids[0];
    EXPECT_THROW(group->import_rows(0, twice), Error);
    EXPECT_EQ(group->export_rows(0, false).vectors, dump.vectors);
  }
}

// Many threads insert the same and different keys at once; none may be lost or doubled.
TEST(CudaEmbeddingTest, NoKeyIsLostOrDoubledUnderContention) {
  OnDevice d(Backend::cuda);
  const auto comm = make_solo_comm();
  constexpr int64_t kSamples = 1 << 16;
  EmbeddingSpec spec =
      make_spec(EmbeddingType::distributed_hash, Combiner::sum, 1, {.type = OptimizerType::sgd});
  spec.slots = 8;
  spec.workspace_mb = 8;
  const auto group = make_embedding_group(d.ctx, {spec}, kSamples);
  const Tensor y = d.make({kSamples, 8, 1});
  std::mt19937_64 random(3);
  std::vector<int64_t> expected;
  std::unordered_map<int64_t, int> seen;
  for (int step = 0; step < 6; ++step) {
    CsrKeys input{8, {0}, {}};
    for (int64_t i = 0; i < kSamples * 8; ++i) {
      const auto key = static_cast<int64_t>(random() % (step % 2 ? 1000 : 300000));
      input.keys.push_back(key);
      input.offsets.push_back(i + 1);
      if (seen.emplace(key, 0).second) expected.push_back(key);
    }
    const CsrKeys* pointer = &input;
    group->stage(d.ctx, {&pointer, 1}, kSamples, true);
    group->forward(d.ctx, *comm, {&y, 1});
  }
  EXPECT_EQ(group->export_rows(0, false).keys, expected);
}

}  // namespace
}  // namespace ctr
