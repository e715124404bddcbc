// SPDX-License-Identifier: Apache-2.0
#include "data/batch_writer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"

namespace ctr {
namespace {

// As integers, so that it vectorises and no option of the compiler takes it away.
bool all_finite(const float* values, int64_t count) {
  int32_t bad = 0;
  for (int64_t i = 0; i < count; ++i) {
    int32_t bits;
    std::memcpy(&bits, values + i, sizeof bits);
    bad |= static_cast<int32_t>((bits & 0x7fffffff) >= 0x7f800000);
  }
  return bad == 0;
}

std::optional<NotFinite> find(const std::vector<float>& values, int64_t width, int64_t first, int64_t end,
                              bool is_label) {
  const float* from = values.data();
  if (all_finite(from + first * width, (end - first) * width)) return std::nullopt;
  int64_t i = first * width;
  while (std::isfinite(from[i])) ++i;
  return NotFinite{i / width, is_label, i % width, from[i]};
}

}  // namespace

std::string NotFinite::name() const {
  return fmt::format("{} {}", is_label ? "label" : "dense value", column);
}

std::string place_of(const Batch& batch, int64_t sample) {
  const auto after = std::upper_bound(batch.runs.begin(), batch.runs.end(), sample,
                                      [](int64_t s, const SampleRun& run) { return s < run.first; });
  if (after == batch.runs.begin()) return fmt::format("sample {} of a batch", sample);
  const SampleRun& run = after[-1];
  return fmt::format("\"{}\", {} {}", *run.file, run.unit, run.number + sample - run.first);
}

void BatchWriter::begin(Batch& batch) {
  batch_ = &batch;
  batch.runs.clear();
  size_ = 0;
  batch.capacity = layout_.batch_size;
  batch.labels.resize(static_cast<size_t>(layout_.batch_size * layout_.label_dim));
  batch.dense.resize(static_cast<size_t>(layout_.batch_size * layout_.dense_dim));
  batch.sparse.resize(layout_.inputs.size());
  for (size_t i = 0; i < layout_.inputs.size(); ++i) {
    CsrKeys& csr = batch.sparse[i];
    csr.slots = layout_.inputs[i].slots;
    csr.is_full = true;
    csr.offsets.resize(static_cast<size_t>(layout_.batch_size * csr.slots) + 1);
    csr.offsets[0] = 0;
  }
}

void BatchWriter::grow(std::vector<int64_t>& keys, int64_t count) {
  keys.resize(std::max(static_cast<size_t>(count), keys.size() + keys.size() / 2));
}

std::optional<NotFinite> BatchWriter::find_not_finite(int64_t first) const {
  if (const auto label = find(batch_->labels, layout_.label_dim, first, size_, true)) return label;
  return find(batch_->dense, layout_.dense_dim, first, size_, false);
}

void BatchWriter::finish() {
  batch_->size = size_;
  std::fill(batch_->labels.begin() + size_ * layout_.label_dim, batch_->labels.end(), 0.0f);
  std::fill(batch_->dense.begin() + size_ * layout_.dense_dim, batch_->dense.end(), 0.0f);
  for (size_t i = 0; i < layout_.inputs.size(); ++i) {
    CsrKeys& csr = batch_->sparse[i];
    const auto last = csr.offsets.begin() + size_ * csr.slots;
    csr.is_full &= *last == layout_.batch_size * layout_.inputs[i].declared_keys;
    std::fill(last, csr.offsets.end(), *last);
    csr.keys.resize(static_cast<size_t>(*last));
  }
}

}  // namespace ctr
