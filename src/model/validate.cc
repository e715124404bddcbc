// SPDX-License-Identifier: Apache-2.0
#include "model/validate.h"

#include <limits>

#include "base/log.h"
#include "base/parallel.h"
#include "device/plugin.h"
#include "embedding/placement.h"
#include "model/graph.h"

namespace ctr {
namespace {

void validate_devices(const SolverSpec& solver, int ranks) {
  require(ranks > 0, "vvgpu: needs at least one device");
  for (const auto& row : solver.vvgpu)
    for (size_t i = 0; i < row.size(); ++i)
      for (size_t j = 0; j < i; ++j)
        require(row[i] != row[j], "vvgpu: device {} appears twice in one row", row[i]);
  if (ranks > 1 && default_backend() == Backend::cpu)
    log::warn_once(fmt::format("No GPU back end: vvgpu makes {} CPU ranks in this process", ranks));
  if (ranks > available_threads())
    log::warn_once(
        fmt::format("vvgpu makes {} ranks, more than the {} threads of this machine take at a time", ranks,
                    available_threads()));
}

void validate_batch(const char* name, int64_t batch, int ranks) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  require(batch > 0 && batch <= kMost, "{} must be positive and at most {}, got {}", name, kMost, batch);
  require(batch % ranks == 0, "{} = {} is not divisible by the {} devices of vvgpu", name, batch, ranks);
}

}  // namespace

void validate(const ModelSpec& spec) {
  const SolverSpec& solver = spec.solver;
  const int ranks = spec.ranks();
  validate_devices(solver, ranks);
  validate_batch("batchsize", solver.batch_size, ranks);
  validate_batch("batchsize_eval", solver.batch_size_eval, ranks);
  require(!spec.data.sources.empty() && !spec.data.sources.front().empty(),
          "DataReaderParams: source is empty");
  require(!spec.data.eval_source.empty(), "DataReaderParams: eval_source is empty");
  require(spec.layers.size() >= 2, "a model needs an Input and at least two dense layers, got {}",
          spec.layers.size());
  build_graph(spec, solver.batch_size / ranks);
  for (const EmbeddingSpec& embedding : spec.embeddings) validate(embedding);
}

}  // namespace ctr
