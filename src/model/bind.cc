// SPDX-License-Identifier: Apache-2.0
#include "model/bind.h"

#include <algorithm>

#include "base/checked.h"
#include "base/log.h"
#include "embedding/placement.h"

namespace ctr {
namespace {

// Older files have a number of rows instead of megabytes.
int64_t rows_of(const DeclaredEmbedding& declared, int ranks) {
  if (declared.workspace_mb > 0) return 0;
  return std::max(declared.rows_of_rank, checked_sum(declared.rows_of_all, ranks - 1) / std::max(1, ranks));
}

// Megabytes count: a number of rows beside them that no release makes of them is of no effect.
void warn_about_rows(const DeclaredEmbedding& declared, const EmbeddingSpec& e) {
  if (declared.workspace_mb < 1 || e.dim < 1 || slots_decide(e)) return;
  const int64_t counts[] = {row_capacity(e, 0, 1), row_limit(e, 0, 1)};
  const auto check = [&](const char* name, int64_t value, bool of_all) {
    const auto makes = [&](int64_t n) {
      return n == value || (of_all && n > 0 && value > n && value % n == 0);
    };
    if (value == 0 || std::any_of(std::begin(counts), std::end(counts), makes)) return;
    log::warn_once(
        fmt::format("embedding \"{}\": {}={} has no effect beside workspace_size_per_gpu_in_mb={}, which "
                    "makes {} rows on a device",
                    e.name, name, value, e.workspace_mb, counts[0]));
  };
  check("max_vocabulary_size_per_gpu", declared.rows_of_rank, false);
  check("max_vocabulary_size_global", declared.rows_of_all, true);
}

EmbeddingSpec bind(const DeclaredEmbedding& declared, const ModelSpec& model) {
  EmbeddingSpec e;
  e.name = declared.name;
  e.bottom = declared.bottom;
  e.dim = declared.dim;
  e.combiner = declared.combiner;
  e.slot_size_array = declared.slot_size_array;
  e.initializer = declared.initializer;
  e.optimizer = declared.optimizer.value_or(model.optimizer);
  for (const auto& sparse : model.input.sparse)
    if (sparse.name == e.bottom) e.slots = sparse.slots(), e.nnz_per_slot = sparse.nnz_per_slot;
  in_context(fmt::format("embedding \"{}\"", e.name), [&] {
    e.type = parse_embedding_type(declared.type);
    in_context("optimizer", [&] { validate(e.optimizer); });
    e.workspace_mb = declared.workspace_mb;
    e.rows = rows_of(declared, model.ranks());
  });
  warn_about_rows(declared, e);
  return e;
}

}  // namespace

ModelSpec bind(ModelSpec spec) {
  in_context("optimizer", [&] { validate(spec.optimizer); });
  spec.embeddings.clear();
  for (const DeclaredEmbedding& declared : spec.declared) spec.embeddings.push_back(bind(declared, spec));
  return spec;
}

}  // namespace ctr
