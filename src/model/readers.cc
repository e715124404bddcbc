// SPDX-License-Identifier: Apache-2.0
#include "model/readers.h"

#include <algorithm>

namespace ctr {
namespace {

// Cardinality per slot of the whole data set, from the embeddings' own arrays; empty unless every slot has
// one.
std::vector<int64_t> slot_sizes_of_embeddings(const ModelSpec& spec) {
  std::vector<int64_t> sizes;
  for (const auto& input : spec.input.sparse) {
    const auto owner = std::find_if(
        spec.embeddings.begin(), spec.embeddings.end(),
        [&](const EmbeddingSpec& e) { return e.bottom == input.name && !e.slot_size_array.empty(); });
    if (owner == spec.embeddings.end()) return {};
    sizes.insert(sizes.end(), owner->slot_size_array.begin(), owner->slot_size_array.end());
  }
  return sizes;
}

// Raw files hold keys local to their slot. A one-hot table places slots itself; a hash table needs keys that
// no two slots share, so the reader adds the offsets. Parquet readers add offsets whenever they are given
// sizes.
void set_offsets(const ModelSpec& spec, ReaderSpec& reader) {
  const bool one_hot =
      std::any_of(spec.embeddings.begin(), spec.embeddings.end(),
                  [](const EmbeddingSpec& e) { return e.type == EmbeddingType::localized_one_hot; });
  reader.slot_size_array = spec.data.slot_size_array;
  if (is_raw(reader.format) && reader.slot_size_array.empty())
    reader.slot_size_array = slot_sizes_of_embeddings(spec);
  reader.apply_offsets = !reader.slot_size_array.empty() && !one_hot && reader.format != DataFormat::norm;
}

ReaderSpec common(const ModelSpec& spec, const Files& files, const ArrowOpener& open_arrow) {
  ReaderSpec reader;
  reader.format = spec.data.format;
  reader.label_dim = spec.input.label_dim();
  reader.dense_dim = spec.input.dense_dim;
  reader.sparse = spec.input.sparse;
  reader.repeat = spec.solver.repeat_dataset;
  reader.num_workers = spec.data.num_workers;
  reader.check_sum = spec.data.check_sum;
  reader.i64_keys = spec.solver.i64_input_key;
  reader.float_label_dense = spec.data.float_label_dense;
  reader.files = files;
  reader.open_arrow = open_arrow;
  set_offsets(spec, reader);
  return reader;
}

}  // namespace

ReaderSpec train_reader_spec(const ModelSpec& spec, uint64_t seed, const Files& files,
                             const ArrowOpener& open_arrow) {
  ReaderSpec reader = common(spec, files, open_arrow);
  reader.source = spec.data.sources.front();
  reader.batch_size = spec.solver.batch_size;
  reader.num_samples = spec.data.num_samples;
  reader.shuffle = is_raw(spec.data.format) && spec.data.shuffle;
  reader.seed = seed;
  return reader;
}

ReaderSpec eval_reader_spec(const ModelSpec& spec, const Files& files, const ArrowOpener& open_arrow) {
  ReaderSpec reader = common(spec, files, open_arrow);
  reader.source = spec.data.eval_source;
  reader.batch_size = spec.solver.batch_size_eval;
  reader.num_samples = spec.data.eval_num_samples;
  return reader;
}

ReaderSpec prediction_reader_spec(const ModelSpec& spec, const Files& files, const ArrowOpener& open_arrow) {
  ReaderSpec reader = eval_reader_spec(spec, files, open_arrow);
  reader.repeat = false;
  reader.for_predictions = true;
  reader.num_workers = 1;
  return reader;
}

}  // namespace ctr
