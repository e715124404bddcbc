// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "memory_files.h"
#include "model/checkpoint.h"
#include "model/engine.h"
#include "model/formats/spec_json.h"

namespace ctr {
namespace {

constexpr int32_t kSamples = 8;

ModelSpec model(int seed) {
  return spec_from_json(fmt::format(R"({{
    "solver": {{"seed": {}, "batchsize": 4, "batchsize_eval": 4, "vvgpu": [[0]]}},
    "reader": {{"data_reader_type": "Raw", "source": ["far://data"], "eval_source": "far://data"}},
    "optimizer": {{"type": "Adam"}},
    "input": {{"labels": [{{"name": "label"}}], "dense_name": "dense", "dense_dim": 2,
               "sparse": [{{"name": "keys", "nnz_per_slot": [1]}}]}},
    "embeddings": [{{"type": "DistributedSlotSparseEmbeddingHash", "name": "e", "bottom": "keys",
                     "workspace_size_per_gpu_in_mb": 1, "embedding_vec_size": 3}}],
    "layers": [{{"type": "BatchNorm", "bottoms": ["dense"], "tops": ["norm"]}},
               {{"type": "Reshape", "bottoms": ["e"], "tops": ["flat"], "params": {{"leading_dim": 3}}}},
               {{"type": "Concat", "bottoms": ["norm", "flat"], "tops": ["all"]}},
               {{"type": "InnerProduct", "bottoms": ["all"], "tops": ["fc"]}},
               {{"type": "BinaryCrossEntropyLoss", "bottoms": ["fc", "label"], "tops": ["loss"]}}]}})",
                                    seed));
}

std::shared_ptr<MemoryFiles> files_with_data() {
  auto files = std::make_shared<MemoryFiles>();
  files->write("far://data", [](OutputFile& file) {
    for (int32_t i = 0; i < kSamples; ++i) {
      const int32_t sample[] = {i % 2, i, 3 * i, i % 5};
      file.write(sample, sizeof sample);
    }
  });
  return files;
}

// Nothing of a model's life goes past the file system that it was given.
TEST(EngineFiles, DataModelsAndPredictionsLiveWhereTheyAreSaidTo) {
  const auto files = files_with_data();
  Engine engine(model(1), files, {});
  engine.start_reading();
  for (int i = 0; i < 5; ++i) engine.train();
  engine.evaluate();
  engine.export_predictions("far://predictions", "far://labels");
  save_checkpoint(engine, "far://m", 5);

  Engine other(model(2), files, {});
  load_dense_weights(other, "far://m_dense_5.model");
  load_dense_optimizer(other, "far://m_opt_dense_5.model");
  load_sparse_weights(other, {{"e", "far://m0_sparse_5.model"}});
  load_sparse_optimizer(other, {{"e", "far://m0_opt_sparse_5.model"}});
  save_checkpoint(other, "far://again", 5);

  MemoryFiles::Contents all = files->contents();
  int compared = 0;
  for (const auto& [path, content] : files->contents()) {
    if (!path.starts_with("far://m")) continue;
    EXPECT_EQ(all["far://again" + path.substr(7)], content) << path;
    ++compared;
  }
  EXPECT_EQ(compared, 10);  // weights, statistics, keys, vectors, two times states with two companions
  const std::string& labels = all["far://labels"];
  EXPECT_EQ(std::count(labels.begin(), labels.end(), ' '), 4);
}

}  // namespace
}  // namespace ctr
