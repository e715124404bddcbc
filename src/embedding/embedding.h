// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "comm/comm.h"
#include "data/batch.h"
#include "embedding/row_store.h"
#include "optim/rules.h"

namespace ctr {

enum class EmbeddingType : uint8_t { distributed_hash, localized_hash, localized_one_hot };
enum class Combiner : uint8_t { sum, mean };

// One SparseEmbedding(...) as the user wrote it, with its place in the model.
struct EmbeddingSpec {
  EmbeddingType type = EmbeddingType::distributed_hash;
  std::string name;                   // output tensor
  std::string bottom;                 // sparse input
  int64_t slots = 0;                  // of that input
  std::vector<int64_t> nnz_per_slot;  // most keys of each slot; empty: not known
  int64_t workspace_mb = 0;
  int64_t rows = 0;            // of each rank, where no workspace says it
  bool counts_states = false;  // a workspace pays for optimizer states, see row_limit()
  int64_t dim = 0;
  Combiner combiner = Combiner::sum;
  std::vector<int64_t> slot_size_array;
  OptimizerSpec optimizer;
  RowColumns columns;
  std::string initializer = "Default";  // of the rows of unseen keys
};

// Rows of one rank, from the workspace, or from slot_size_array where that decides: as releases from 3.5
// count them, with their states, and as files are laid out.
int64_t row_capacity(const EmbeddingSpec& spec, int rank, int world_size);
// Rows one rank may take. Earlier releases counted vectors alone, and a script does not say which release it
// was written for: the larger number, unless the machine has no place for as many (`counts_states`). A CPU
// takes memory as keys come, a GPU at once.
int64_t row_limit(const EmbeddingSpec& spec, int rank, int world_size);
// The rank that owns `key` of `slot`: key mod N (distributed, unsigned) or slot mod N (localized).
int owner_of(const EmbeddingSpec& spec, int64_t key, int64_t slot, int world_size);

// All embeddings of a model on one rank. A step is stage, forward, and in training backward. The CPU
// implementation loops over the embeddings; a device one may serve all of them in one launch.
class EmbeddingGroup {
 public:
  virtual ~EmbeddingGroup() = default;

  // Finds the rows of this rank's keys in the whole batch; `inputs[e]` belongs to embedding e. In training,
  // verifies that unseen keys fit. Changes nothing, so that an error on any rank leaves every table as it
  // was. The inputs stay as they are until the step ends.
  virtual void stage(Context&, std::span<const CsrKeys* const> inputs, int64_t batch, bool training) = 0;
  // Inserts the staged unseen keys (training), gathers, combines, exchanges. outputs[e]: [batch / ranks,
  // slots, dim].
  virtual void forward(Context&, Comm&, std::span<const Tensor> outputs) = 0;
  // Exchanges output gradients and updates the staged rows with the optimizer; `frozen[e]` leaves embedding e
  // alone. The learning rate and loss scale come from ctx.step; each embedding counts its own optimizer
  // steps.
  virtual void backward(Context&, Comm&, std::span<const Tensor> d_outputs,
                        const std::vector<bool>& frozen) = 0;

  virtual int count() const = 0;
  virtual const EmbeddingSpec& spec(int e) const = 0;
  virtual RowStore& store(int e) const = 0;
  int64_t size(int e) const { return store(e).size(); }
  int64_t capacity(int e) const { return store(e).capacity(); }
  int64_t bytes(int e) const { return store(e).bytes(); }
  int64_t end_row(int e) const { return store(e).end_row(); }
  RowBlock export_rows(int e, Range numbers, const RowParts& parts) const {
    return store(e).export_rows(numbers, parts);
  }
  RowBlock export_rows(int e, bool with_states) const;  // all of them, with vectors
  std::unique_ptr<RowImport> begin_import(int e) { return store(e).begin_import(); }
  void import_rows(int e, const RowBlock& rows);  // all at once
  void import_states(int e, const RowBlock& rows) { store(e).import_states(rows); }

  // Changes when what a step graph recorded of forward() and backward() no longer holds.
  virtual int64_t generation() const { return 0; }

  virtual int64_t optimizer_step(int e) const = 0;
  virtual void set_optimizer_step(int e, int64_t step) = 0;
};

// Makes the group of a back end; the CPU's is built in.
using EmbeddingGroupFactory = std::unique_ptr<EmbeddingGroup> (*)(Context&,
                                                                  const std::vector<EmbeddingSpec>& specs,
                                                                  int64_t max_batch);
void register_embedding_group(Backend backend, EmbeddingGroupFactory factory);

// Throws invalid_argument naming the embedding when the spec is not usable. `max_batch` is the larger of the
// training and evaluation batch.
std::unique_ptr<EmbeddingGroup> make_embedding_group(Context&, const std::vector<EmbeddingSpec>& specs,
                                                     int64_t max_batch);

}  // namespace ctr
