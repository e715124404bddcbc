// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "device/cuda.cuh"

namespace ctr::cuda {

// How many rows a table holds at most, known to the host without waiting: the device reports, for each batch
// whose keys it has inserted, the rows in use; batches that it has not reported bring new rows with all their
// keys.
class RowReport {
 public:
  RowReport() {
    void* word = nullptr;
    check(cudaMallocHost(&word, sizeof(uint64_t)), "allocating a word that the device reports to");
    word_.reset(static_cast<uint64_t*>(word));
    *word_ = 0;
  }

  // Where a kernel writes word().
  uint64_t* place() const { return word_.get(); }
  CTR_HOST_DEVICE static uint64_t word(uint32_t batch, uint32_t rows) { return uint64_t{batch} << 32 | rows; }

  int64_t most_rows() {
    const uint64_t word = *static_cast<const volatile uint64_t*>(word_.get());
    const auto batch = static_cast<uint32_t>(word >> 32);
    const auto newer = static_cast<int32_t>(batch - known_batch_);
    if (newer > 0 && batches_ - batch < kBatches)
      known_batch_ = batch, known_ = static_cast<uint32_t>(word), known_total_ = totals_[batch % kBatches];
    return known_ + total_ - known_total_;
  }

  // The number by which the device reports the batch that comes next.
  uint32_t next_batch() const { return batches_ + 1; }
  void add_batch(int64_t new_rows) {
    total_ += new_rows;
    totals_[++batches_ % kBatches] = total_;
  }

  // After waiting for the device.
  void set(int64_t rows) { known_ = rows, known_total_ = total_, known_batch_ = batches_; }
  // What other verbs add, after waiting for the device.
  void add(int64_t rows) {
    most_rows();
    known_ += rows;
  }

 private:
  static constexpr uint32_t kBatches = 64;  // that may be under way
  struct Free {
    void operator()(uint64_t* word) const { cudaFreeHost(word); }
  };

  std::unique_ptr<uint64_t, Free> word_;
  int64_t known_ = 0, known_total_ = 0;  // rows after batch `known_batch_`, and new rows up to it
  uint32_t known_batch_ = 0, batches_ = 0;
  int64_t total_ = 0;  // of all batches' new rows
  std::array<int64_t, kBatches> totals_{};
};

}  // namespace ctr::cuda
