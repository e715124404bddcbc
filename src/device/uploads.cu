// SPDX-License-Identifier: Apache-2.0
#include "device/uploads.cuh"

#include <bit>

#include "base/parallel.h"
#include "device/cuda.cuh"

namespace ctr::cuda {
namespace {

// The least lets several threads fill each piece of a large copy, as of rows that are loaded.
constexpr size_t kLeastRing = size_t{8} << 20, kLargestRing = size_t{64} << 20;
constexpr size_t kStepsAhead = 4;  // of the device, as far as the host gets

constexpr size_t kMaxPieces = 32;
struct Moves {
  std::byte* to[kMaxPieces];
  const std::byte* from[kMaxPieces];
  size_t bytes[kMaxPieces];
};

// blockIdx.y is the piece. Wide accesses where place and length allow.
__global__ void move_kernel(Moves moves) {
  std::byte* to = moves.to[blockIdx.y];
  const std::byte* from = moves.from[blockIdx.y];
  const size_t bytes = moves.bytes[blockIdx.y];
  const size_t first = blockIdx.x * size_t{kBlock} + threadIdx.x, stride = size_t{gridDim.x} * kBlock;
  size_t done = 0;
  if (reinterpret_cast<uintptr_t>(to) % sizeof(int4) == 0) {
    const size_t packs = bytes / sizeof(int4);
    for (size_t i = first; i < packs; i += stride)
      reinterpret_cast<int4*>(to)[i] = reinterpret_cast<const int4*>(from)[i];
    done = packs * sizeof(int4);
  } else if (reinterpret_cast<uintptr_t>(to) % sizeof(int) == 0) {
    const size_t words = bytes / sizeof(int);
    for (size_t i = first; i < words; i += stride)
      reinterpret_cast<int*>(to)[i] = reinterpret_cast<const int*>(from)[i];
    done = words * sizeof(int);
  }
  for (size_t i = done + first; i < bytes; i += stride) to[i] = from[i];
}

}  // namespace

Uploads::Uploads(size_t step_bytes)
    : ring_bytes_(std::bit_ceil(std::clamp(kStepsAhead * step_bytes, kLeastRing, kLargestRing))),
      threads_(std::min(kFillThreads, available_threads())) {}

void Uploads::open() {
  if (ring_) return;
  int device = 0;
  check(cudaGetDevice(&device), "reading the device");
  check(cudaDeviceGetAttribute(&multiprocessors_, cudaDevAttrMultiProcessorCount, device),
        "reading the device");
  check(cudaStreamCreateWithFlags(&copy_, cudaStreamNonBlocking), "creating a stream");
  check(cudaMalloc(&ring_, ring_bytes_), "allocating the input ring");
  check(cudaMallocHost(&pinned_, ring_bytes_), "allocating the pinned input ring");
  arrived_ = take_event();
}

Uploads::~Uploads() {
  if (!arrived_) return;
  cudaStreamSynchronize(copy_);
  for (const InUse& part : in_use_) cudaEventDestroy(part.free);
  for (cudaEvent_t event : events_) cudaEventDestroy(event);
  cudaEventDestroy(arrived_);
  cudaFree(ring_);
  cudaFreeHost(pinned_);
  cudaStreamDestroy(copy_);
}

cudaEvent_t Uploads::take_event() {
  if (events_.empty()) return new_event();
  const cudaEvent_t event = events_.back();
  events_.pop_back();
  return event;
}

void Uploads::recycle_oldest() {
  check(cudaEventSynchronize(in_use_.front().free), "waiting for the input ring");
  events_.push_back(in_use_.front().free);
  in_use_.pop_front();
}

// Position of `bytes` behind the pending pieces, or, after a flush, at the beginning of the rings. The oldest
// parts in use are the first in the way.
size_t Uploads::reserve(size_t bytes, cudaStream_t main) {
  const size_t wanted = (bytes + kFillUnit - 1) / kFillUnit * kFillUnit;
  if (position_ + wanted > ring_bytes_) {
    flush(main);
    while (!in_use_.empty() && in_use_.front().begin >= position_) recycle_oldest();
    position_ = 0;
  }
  const size_t begin = position_, end = begin + wanted;
  while (!in_use_.empty() && in_use_.front().begin < end && begin < in_use_.front().end) recycle_oldest();
  if (pending_.empty()) begin_ = unsent_ = begin;
  position_ = end;
  return begin;
}

void Uploads::add(void* to, size_t bytes, const Fill& fill, cudaStream_t main) {
  constexpr size_t kAlone = size_t{1} << 20, kLarge = size_t{1} << 20;
  open();
  const size_t piece_bytes = ring_bytes_ / 8;
  auto* target = static_cast<std::byte*>(to);
  const auto overlaps = [&](const Piece& p) { return p.to < target + bytes && target < p.to + p.bytes; };
  if (std::any_of(pending_.begin(), pending_.end(), overlaps)) flush(main);
  for (size_t done = 0; done < bytes; done += piece_bytes) {
    if (pending_.size() == kMaxPieces) flush(main);
    const size_t n = std::min(piece_bytes, bytes - done);
    const size_t at = reserve(n, main);
    const auto units = static_cast<int64_t>((n + kFillUnit - 1) / kFillUnit);
    parallel_team(n < kAlone ? 1 : threads_, [&](int member, int team) {
      const Range r = split(units, member, team);
      const size_t begin = static_cast<size_t>(r.begin) * kFillUnit;
      fill(pinned_ + at + begin, done + begin, std::min(static_cast<size_t>(r.end) * kFillUnit, n) - begin);
    });
    pending_.push_back({target + done, at, n});
    if (position_ - unsent_ >= kLarge) send();
  }
}

void Uploads::send() {
  if (unsent_ == position_) return;
  check(
      cudaMemcpyAsync(ring_ + unsent_, pinned_ + unsent_, position_ - unsent_, cudaMemcpyHostToDevice, copy_),
      "copying to the device");
  unsent_ = position_;
}

void Uploads::flush(cudaStream_t main) {
  if (pending_.empty()) return;
  send();
  check(cudaEventRecord(arrived_, copy_), "copying to the device");
  check(cudaStreamWaitEvent(main, arrived_), "copying to the device");
  Moves moves;
  size_t largest = 0;
  for (size_t i = 0; i < pending_.size(); ++i) {
    moves.to[i] = pending_[i].to, moves.from[i] = ring_ + pending_[i].at, moves.bytes[i] = pending_[i].bytes;
    largest = std::max(largest, pending_[i].bytes);
  }
  constexpr int64_t kBytesPerBlock = int64_t{4} * kBlock * sizeof(int4);
  const auto blocks = std::clamp<int64_t>(divide_up(static_cast<int64_t>(largest), kBytesPerBlock), 1,
                                          int64_t{multiprocessors_} * 8);
  move_kernel<<<dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(pending_.size())), kBlock, 0,
                main>>>(moves);
  check(cudaGetLastError(), "copying to the device");
  if (in_use_.size() == kMaxInUse) recycle_oldest();
  in_use_.push_back({begin_, position_, take_event()});
  check(cudaEventRecord(in_use_.back().free, main), "copying to the device");
  pending_.clear();
}

}  // namespace ctr::cuda
