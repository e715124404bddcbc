// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "data/batch.h"
#include "data/sample_layout.h"

namespace ctr {

// A label or dense value that is a NaN or an infinity.
struct NotFinite {
  int64_t row;  // in the batch
  bool is_label;
  int64_t column;
  float value;
  std::string name() const;  // `label 0`, `dense value 3`
};

// Fills a recycled batch sample by sample. A parser writes behind the committed samples and then commits;
// what it wrote and did not commit is overwritten by the next sample. `i` counts from the first uncommitted
// sample.
class BatchWriter {
 public:
  explicit BatchWriter(const SampleLayout& layout) : layout_(layout) {}

  const SampleLayout& layout() const { return layout_; }
  void begin(Batch& batch);
  int64_t size() const { return size_; }
  int64_t room() const { return layout_.batch_size - size_; }

  float* labels(int64_t i = 0) const { return batch_->labels.data() + (size_ + i) * layout_.label_dim; }
  float* dense(int64_t i = 0) const { return batch_->dense.data() + (size_ + i) * layout_.dense_dim; }
  // Row offsets of an input: [0] is set and says where the keys go, the parser sets those after it.
  int64_t* offsets(size_t input, int64_t i = 0) const {
    CsrKeys& csr = batch_->sparse[input];
    return csr.offsets.data() + (size_ + i) * csr.slots;
  }
  // The key array of an input, with room for `count` keys from the start of the batch.
  int64_t* keys(size_t input, int64_t count) const {
    auto& keys = batch_->sparse[input].keys;
    if (static_cast<int64_t>(keys.size()) < count) grow(keys, count);
    return keys.data();
  }
  // A slot of the input has fewer keys than declared, or more.
  void is_not_full(size_t input) const { batch_->sparse[input].is_full = false; }
  // Before a commit: the file's samples that follow, from `number` on.
  void comes_from(const std::shared_ptr<const std::string>& file, const char* unit, int64_t number) {
    if (!batch_->runs.empty()) {
      const SampleRun& last = batch_->runs.back();
      if (last.file == file && last.number - last.first == number - size_) return;
    }
    batch_->runs.push_back({size_, file, unit, number});
  }
  void commit(int64_t samples) { size_ += samples; }

  // The first such value of the committed samples from row `first` on.
  std::optional<NotFinite> find_not_finite(int64_t first) const;

  // Turns the rest of the batch into padding.
  void finish();

 private:
  static void grow(std::vector<int64_t>& keys, int64_t count);

  const SampleLayout& layout_;
  Batch* batch_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace ctr
