// SPDX-License-Identifier: Apache-2.0
// Weights, optimizer states, step counters and statistics of arbitrary bytes, read for an arbitrary small
// model.
#include "base/error.h"
#include "model/formats/dense_files.h"
#include "model/formats/sparse_files.h"
#include "model/formats/sparse_states.h"
#include "model/formats/spec_json.h"
#include "model/formats/state_files.h"
#include "reading.h"

namespace {

ctr::EmbeddingSpec arbitrary_embedding(FuzzedDataProvider& data) {
  ctr::EmbeddingSpec e;
  e.type = static_cast<ctr::EmbeddingType>(data.ConsumeIntegralInRange(0, 2));
  e.name = "e";
  e.slots = data.ConsumeIntegralInRange(1, 3);
  e.dim = data.ConsumeIntegralInRange(1, 4);
  e.optimizer.type = static_cast<ctr::OptimizerType>(data.ConsumeIntegralInRange(0, 4));
  if (data.ConsumeBool() || e.type == ctr::EmbeddingType::localized_one_hot)
    e.slot_size_array.assign(static_cast<size_t>(e.slots), 2);
  else
    e.workspace_mb = 1;
  return e;
}

// BatchNorm over two columns: the only layer with statistics.
const ctr::ModelSpec& normalised_model() {
  static const ctr::ModelSpec spec = ctr::spec_from_json(R"({
    "input": {"labels": [{"name": "label"}], "dense_name": "dense", "dense_dim": 2},
    "layers": [{"type": "BatchNorm", "bottoms": ["dense"], "tops": ["norm"]},
               {"type": "InnerProduct", "bottoms": ["norm"], "tops": ["fc"]},
               {"type": "BinaryCrossEntropyLoss", "bottoms": ["fc", "label"], "tops": ["loss"]}]})");
  return spec;
}

template <class Read>
void attempt(const Read& read) {
  try {
    read();
  } catch (const ctr::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static ctr::Context ctx;
  static const ctr::Graph graph = ctr::build_graph(normalised_model(), 2);
  static const ctr::Weights weights(ctx, graph, ctr::DType::f32);

  FuzzedDataProvider data(bytes, size);
  const ctr::EmbeddingSpec e = arbitrary_embedding(data);
  const auto count = data.ConsumeIntegralInRange<int64_t>(0, 8);
  const bool i64_keys = data.ConsumeBool();
  const ctr::fuzz::MemoryFile file(data.ConsumeRemainingBytesAsString());
  const std::string path = file.path();
  const ctr::FileSystem& files = *ctr::local_files();
  attempt([&] { ctr::read_dense_weights(files, path, count); });
  attempt([&] { ctr::read_dense_optimizer(files, path, e.optimizer, graph); });
  attempt([&] { ctr::read_steps(files, path, {count}); });
  attempt([&] { ctr::read_statistics(files, path, ctx, graph, weights); });
  attempt([&] {
    const ctr::SparseFile weights(files, path, e, i64_keys, 1);
    const ctr::RowBlock keys = weights.read({0, weights.rows()}, true);
    ctr::SparseStates(
        files, path, e, {&e, 1}, [&](const ctr::VisitRows& visit) { visit(keys); }, 1);
  });
  return 0;
}
