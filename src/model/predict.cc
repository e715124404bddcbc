// SPDX-License-Identifier: Apache-2.0
#include "model/predict.h"

#include <algorithm>
#include <cmath>

#include "base/interrupt.h"
#include "base/log.h"
#include "data/sample_layout.h"
#include "model/readers.h"

namespace ctr {
namespace {

// Makes batches of samples in memory, checked as readers check what they read.
class SampleBatches {
 public:
  SampleBatches(const ReaderSpec& spec, const SampleArrays& samples)
      : samples_(samples), layout_(make_layout(spec)) {
    const auto rows = static_cast<size_t>(samples.count);
    require(samples.dense.size() == rows * static_cast<size_t>(spec.dense_dim),
            "dense values: {} for {} samples of {}", samples.dense.size(), samples.count, spec.dense_dim);
    for (size_t i = 0; i < layout_.inputs.size(); ++i) check(layout_.inputs[i], samples.sparse[i]);
    batch_.capacity = spec.batch_size;
    batch_.labels.resize(static_cast<size_t>(spec.batch_size * spec.label_dim));
    batch_.dense.resize(static_cast<size_t>(spec.batch_size * spec.dense_dim));
    batch_.sparse.resize(layout_.inputs.size());
  }

  // The samples from `first` on.
  const Batch& batch(int64_t first) {
    batch_.size = std::min(batch_.capacity, samples_.count - first);
    const int64_t width = layout_.dense_dim;
    const auto dense =
        samples_.dense.subspan(static_cast<size_t>(first * width), static_cast<size_t>(batch_.size * width));
    for (size_t i = 0; i < dense.size(); ++i)
      if (!std::isfinite(dense[i]))
        fail_not_finite(fmt::format("sample {}, dense value {}", first + static_cast<int64_t>(i) / width,
                                    static_cast<int64_t>(i) % width),
                        static_cast<double>(dense[i]));
    std::fill(std::copy(dense.begin(), dense.end(), batch_.dense.begin()), batch_.dense.end(), 0.0f);
    for (size_t i = 0; i < batch_.sparse.size(); ++i) fill(i, first);
    return batch_;
  }

 private:
  void check(const SampleLayout::Input& input, const SampleArrays::Sparse& sparse) const {
    const int64_t rows = samples_.count * input.slots;
    require(std::ssize(sparse.offsets) == rows + 1 && sparse.offsets.front() == 0 &&
                sparse.offsets.back() == std::ssize(sparse.keys) &&
                std::is_sorted(sparse.offsets.begin(), sparse.offsets.end()),
            "\"{}\": offsets must be {} ascending numbers, from 0 to the {} keys", input.name, rows + 1,
            sparse.keys.size());
  }

  void fill(size_t i, int64_t first) {
    const SampleLayout::Input& input = layout_.inputs[i];
    const SampleArrays::Sparse& from = samples_.sparse[i];
    CsrKeys& to = batch_.sparse[i];
    to.slots = input.slots;
    to.offsets.assign(static_cast<size_t>(batch_.capacity * input.slots) + 1, 0);
    to.keys.clear();
    for (int64_t r = 0; r < batch_.capacity * input.slots; ++r) {
      if (r < batch_.size * input.slots) append(input, from, first * input.slots + r, to.keys);
      to.offsets[static_cast<size_t>(r) + 1] = std::ssize(to.keys);
      if ((r + 1) % input.slots == 0) check_sample(input, to, first, r / input.slots);
    }
  }

  // Slots may share a bound.
  void check_sample(const SampleLayout::Input& input, const CsrKeys& keys, int64_t first, int64_t i) const {
    const auto offset = keys.offsets.begin() + i * input.slots;
    if (const int64_t n = offset[input.slots] - offset[0]; n > input.max_keys)
      fail_nnz(layout_, fmt::format("sample {}", first + i), input.first_slot + input.slots - 1, n);
  }

  void append(const SampleLayout::Input& input, const SampleArrays::Sparse& from, int64_t row,
              std::vector<int64_t>& to) const {
    const int64_t slot = input.first_slot + row % input.slots;
    const SlotRule& rule = layout_.slots[static_cast<size_t>(slot)];
    const auto where = [&] { return fmt::format("sample {}", row / input.slots); };
    const int64_t begin = from.offsets[static_cast<size_t>(row)],
                  end = from.offsets[static_cast<size_t>(row) + 1];
    if (end - begin > rule.max_nnz) fail_nnz(layout_, where(), slot, end - begin);
    for (int64_t k = begin; k < end; ++k) {
      const int64_t key = from.keys[static_cast<size_t>(k)];
      if (key < rule.min_key || key > rule.max_key) fail_key(layout_, where(), slot, std::to_string(key));
      to.push_back(key + rule.key_offset);
    }
  }

  const SampleArrays& samples_;
  SampleLayout layout_;
  Batch batch_;
};

}  // namespace

std::vector<float> predict(Engine& engine, const std::string& source) {
  ReaderSpec spec = engine.prediction_reader_spec();
  if (!source.empty()) spec.num_samples = 0;  // which is of the evaluation data
  const std::unique_ptr<Reader> reader = make_reader(spec);
  reader->start(source);
  std::vector<float> predictions;
  while (const Batch* batch = reader->next()) {
    check_interrupt();
    engine.predict(*batch, predictions);
  }
  if (reader->skipped() > 0)
    log::warning("predict(): {} samples of \"{}\" are damaged and have no prediction", reader->skipped(),
                 reader->source());
  return predictions;
}

std::vector<float> predict(Engine& engine, const SampleArrays& samples) {
  SampleBatches batches(engine.prediction_reader_spec(), samples);
  std::vector<float> predictions;
  const int64_t size = engine.spec().solver.batch_size_eval;
  for (int64_t first = 0; first < samples.count; first += size) {
    check_interrupt();
    engine.predict(batches.batch(first), predictions);
  }
  return predictions;
}

std::vector<int64_t> prediction_widths(Engine& engine) {
  const Graph& graph = engine.ranks()[0].graph();
  std::vector<int64_t> widths;
  for (const int loss : graph.losses) {
    const int value = graph.nodes[static_cast<size_t>(loss)].outputs[1];
    widths.push_back(graph.values[static_cast<size_t>(value)].shape.last());
  }
  return widths;
}

}  // namespace ctr
