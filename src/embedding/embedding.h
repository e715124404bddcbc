// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "comm/comm.h"
#include "data/batch.h"
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
  int64_t dim = 0;
  Combiner combiner = Combiner::sum;
  std::vector<int64_t> slot_size_array;
  OptimizerSpec optimizer;
};

// Rows one rank can hold: from the workspace, or from slot_size_array where that decides.
int64_t row_capacity(const EmbeddingSpec& spec, int rank, int world_size);
// The rank that owns `key` of `slot`: key mod N (distributed, unsigned) or slot mod N (localized).
int owner_of(const EmbeddingSpec& spec, int64_t key, int64_t slot, int world_size);

// Some rows of one embedding in host memory, in one common order.
struct RowBlock {
  std::vector<int64_t> keys;
  std::vector<uint64_t> slot_ids;          // localized types only
  std::vector<float> vectors;              // [n, dim]
  std::vector<std::vector<float>> states;  // one [n, dim] per state tensor, on request
  std::vector<int64_t> last_steps;         // LazyGlobal's last hit of each row, on request
};

// What of rows goes into a block besides keys and slots.
struct RowParts {
  bool vectors = false, last_steps = false;
  int first_state = 0, num_states = 0;  // state tensors
};

// What an embedding shall hold on one rank, given block by block.
class RowImport {
 public:
  virtual ~RowImport() = default;
  // Adds those rows of the block that the rank owns, with their vectors; states have their initial values.
  // Returns the position of the first one whose key came before; the size of the block where none did.
  virtual int64_t add(const RowBlock& rows) = 0;
  virtual void commit() = 0;  // in place of what is there; until then nothing changes
};

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
  virtual int64_t size(int e) const = 0;      // rows in use on this rank
  virtual int64_t capacity(int e) const = 0;  // rows this rank can hold
  virtual int64_t bytes(int e) const = 0;     // memory of the rows in use, index included

  // Rows go by numbers below this, which count up in the order of insertion as long as nothing is erased
  // (one-hot: every possible key, in key order).
  virtual int64_t end_row(int e) const = 0;
  // The rows of these numbers.
  virtual RowBlock export_rows(int e, Range numbers, const RowParts& parts) const = 0;
  RowBlock export_rows(int e, bool with_states) const;  // all of them, with vectors
  virtual std::unique_ptr<RowImport> begin_import(int e) = 0;
  void import_rows(int e, const RowBlock& rows);  // all at once
  // Sets the states of rows that exist here, by key; needs no vectors.
  virtual void import_states(int e, const RowBlock& rows) = 0;

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
