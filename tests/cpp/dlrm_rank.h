// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "comm/comm.h"
#include "model/bind.h"
#include "model/formats/spec_json.h"
#include "model/rank.h"

namespace ctr {

inline constexpr int64_t kBatch = 1024, kDense = 13, kSlots = 26;

// The shape of DLRM: two towers, an interaction, and a Dropout that forward passes over.
inline ModelSpec dlrm() {
  return bind(spec_from_json(R"({
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
      {"type": "BinaryCrossEntropyLoss", "bottoms": ["b5", "label"], "tops": ["loss"]}]})"));
}

inline Batch batch_of(int64_t size) {
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

// 1 to kBatch, in random order.
inline std::vector<int64_t> shuffled_sizes() {
  std::vector<int64_t> sizes(kBatch);
  std::iota(sizes.begin(), sizes.end(), 1);
  std::shuffle(sizes.begin(), sizes.end(), std::mt19937(7));
  return sizes;
}

inline void predict(Rank& rank, const Batch& batch) {
  rank.evaluator().stage(batch);
  rank.predict(batch);
}

inline std::vector<float> predictions_of(Rank& rank, const Batch& batch) {
  predict(rank, batch);
  std::vector<float> values;
  rank.evaluator().append_predictions(values);
  return values;
}

inline void train(Rank& rank, const Batch& batch) {
  rank.trainer().stage(batch);
  rank.train(batch, 0.01f);
}

}  // namespace ctr
