// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <deque>
#include <functional>
#include <vector>

namespace ctr::cuda {

// Copies from host memory to device memory, gathered: what a step needs is written into a ring of pinned
// memory piece by piece, travels to a ring on the device on a stream of its own, while earlier work still
// runs, and one kernel moves all pieces to their places. The rings have room for a few steps, and are made
// for the first copy.
class Uploads {
 public:
  explicit Uploads(size_t step_bytes);
  ~Uploads();
  Uploads(const Uploads&) = delete;
  Uploads& operator=(const Uploads&) = delete;

  // `fill(pinned, begin, n)` writes bytes [begin, begin + n) of what is to be copied; it is called for parts
  // of large copies at once, by a few threads, and such parts are whole multiples of kFillUnit.
  using Fill = std::function<void(std::byte* pinned, size_t begin, size_t n)>;
  static constexpr size_t kFillUnit = 256;
  static constexpr int kFillThreads = 4;  // more of them gain little and wake up late

  // The copy happens at the next flush(), in the order of `main`. The memory must exist until then.
  void add(void* to, size_t bytes, const Fill& fill, cudaStream_t main);
  bool is_pending() const { return !pending_.empty(); }
  void flush(cudaStream_t main);

 private:
  static constexpr size_t kMaxInUse = 128;  // parts: their events take host memory
  struct Piece {
    std::byte* to;
    size_t at, bytes;  // place in the rings
  };
  struct InUse {  // a part of the rings, until its event has happened
    size_t begin, end;
    cudaEvent_t free;
  };
  void open();
  size_t reserve(size_t bytes, cudaStream_t main);
  void send();
  void recycle_oldest();
  cudaEvent_t take_event();

  size_t ring_bytes_;
  int threads_, multiprocessors_ = 0;
  cudaStream_t copy_ = nullptr;
  cudaEvent_t arrived_ = nullptr;
  std::byte *pinned_ = nullptr, *ring_ = nullptr;
  size_t position_ = 0;              // behind the youngest piece
  size_t begin_ = 0, unsent_ = 0;    // of the pending pieces, and of those that have not begun to travel
  std::vector<Piece> pending_;       // one after the other in the rings
  std::deque<InUse> in_use_;         // in order of use
  std::vector<cudaEvent_t> events_;  // spare
};

}  // namespace ctr::cuda
