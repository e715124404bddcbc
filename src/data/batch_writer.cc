// SPDX-License-Identifier: Apache-2.0
#include "data/batch_writer.h"

#include <algorithm>

namespace ctr {

void BatchWriter::begin(Batch& batch) {
  batch_ = &batch;
  size_ = 0;
  batch.capacity = layout_.batch_size;
  batch.labels.resize(static_cast<size_t>(layout_.batch_size * layout_.label_dim));
  batch.dense.resize(static_cast<size_t>(layout_.batch_size * layout_.dense_dim));
  batch.sparse.resize(layout_.inputs.size());
  for (size_t i = 0; i < layout_.inputs.size(); ++i) {
    CsrKeys& csr = batch.sparse[i];
    csr.slots = layout_.inputs[i].slots;
    csr.offsets.resize(static_cast<size_t>(layout_.batch_size * csr.slots) + 1);
    csr.offsets[0] = 0;
  }
}

void BatchWriter::grow(std::vector<int64_t>& keys, int64_t count) {
  keys.resize(std::max(static_cast<size_t>(count), keys.size() + keys.size() / 2));
}

void BatchWriter::finish() {
  batch_->size = size_;
  std::fill(batch_->labels.begin() + size_ * layout_.label_dim, batch_->labels.end(), 0.0f);
  std::fill(batch_->dense.begin() + size_ * layout_.dense_dim, batch_->dense.end(), 0.0f);
  for (CsrKeys& csr : batch_->sparse) {
    const auto last = csr.offsets.begin() + size_ * csr.slots;
    std::fill(last, csr.offsets.end(), *last);
    csr.keys.resize(static_cast<size_t>(*last));
  }
}

}  // namespace ctr
