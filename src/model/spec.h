// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "data/reader.h"
#include "embedding/embedding.h"
#include "layers/params.h"
#include "optim/rules.h"
#include "optim/schedule.h"

namespace ctr {

struct SolverSpec {
  uint64_t seed = 0;  // 0: draw one and log it
  ScheduleSpec schedule;
  int64_t max_eval_batches = 100;
  int64_t batch_size_eval = 2048;  // global, as is batch_size
  int64_t batch_size = 2048;
  std::vector<std::vector<int>> vvgpu = {{0}};
  bool repeat_dataset = true;
  bool use_mixed_precision = false;
  std::string mixed_precision_type = "auto";  // or fp16, bf16
  float scaler = 1.0f;
  bool enable_tf32_compute = false;  // f32 matrix products with factors rounded to 10 bits, where devices can
  bool use_cuda_graph = true;        // record a training step and replay it, where devices can
  std::map<std::string, double> metrics = {{"AUC", 1.0}};  // name -> stopping threshold (AUC only)
  std::string gauc_input;  // the sparse input and its slot whose key groups samples
  int64_t gauc_slot = 0;
  bool i64_input_key = false;
};

struct LabelSpec {
  std::string name;
  int64_t dim = 1;
  float weight = 1.0f;
};

struct InputSpec {
  std::vector<LabelSpec> labels;  // their columns follow each other in the data, in this order
  std::string dense_name;
  int64_t dense_dim = 0;
  std::vector<SparseInputSpec> sparse;
  int64_t label_dim() const;
};

// What of a HybridSparseEmbedding only matters between GPUs; graph files keep it.
struct HybridSpec {
  int64_t max_num_frequent_categories = 1, max_num_infrequent_samples = -1;
  double p_dup_max = 0.01;
  double max_all_reduce_bandwidth = 1.3e11, max_all_to_all_bandwidth = 1.9e11;
  double efficiency_bandwidth_ratio = 1.0;
  std::string communication_type = "NVLink_SingleNode", hybrid_embedding_type = "Distributed";
};

// One SparseEmbedding(...) as the user wrote it; bind() makes an EmbeddingSpec of it.
struct DeclaredEmbedding {
  std::string type;  // canonical name
  std::string name, bottom;
  int64_t workspace_mb = 0;
  int64_t rows_of_rank = 0, rows_of_all = 0;  // what older graph files give instead
  int64_t dim = 0;
  Combiner combiner = Combiner::sum;
  std::vector<int64_t> slot_size_array;
  std::string initializer = "Default";
  std::optional<OptimizerSpec> optimizer;  // unset: the model's
  std::optional<HybridSpec> hybrid;
};

struct LayerSpec {
  std::string type;  // canonical name
  std::vector<std::string> bottoms, tops;
  Params params;
};

struct DataSpec {
  DataFormat format = DataFormat::norm;
  std::vector<std::string> sources;
  std::string eval_source;
  bool check_sum = false;
  int64_t num_samples = 0;
  int64_t eval_num_samples = 0;
  bool float_label_dense = false;
  int num_workers = 12;
  std::vector<int64_t> slot_size_array;
  bool drop_incomplete_train = true, drop_incomplete_eval = false;  // batches at the end of the data
  bool shuffle = true;  // Raw training: chunks in another order in each pass
};

// Everything a model is made of, as plain data. The front of any era produces one of these.
struct ModelSpec {
  std::string name;
  SolverSpec solver;
  DataSpec data;
  OptimizerSpec optimizer;  // of dense weights, and of embeddings without their own
  InputSpec input;
  std::vector<DeclaredEmbedding> declared;
  std::vector<EmbeddingSpec> embeddings;  // made of them by bind()
  std::vector<LayerSpec> layers;

  int ranks() const;  // devices of vvgpu, all nodes
};

std::string describe(const LayerSpec& layer);  // `layer "fc1" (InnerProduct)`

std::string_view name_of(EmbeddingType type);
// HybridSparseEmbedding computes what a one-hot embedding does.
EmbeddingType parse_embedding_type(std::string_view name);
std::string_view name_of(Combiner combiner);
Combiner parse_combiner(std::string_view name);

}  // namespace ctr
