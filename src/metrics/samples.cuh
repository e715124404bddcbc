// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device/buffer.h"
#include "device/cuda.cuh"
#include "device/memory.h"
#include "metrics/metric.h"

// What metrics of samples that stay on the device have in common.
namespace ctr::cuda {

template <class T>
T* data_of(const Buffer& b) {
  return reinterpret_cast<T*>(b.data());
}

// A float array that grows by appending what lies on the device, or on the host.
class Column {
 public:
  void append(const Context& ctx, std::span<const float> values) {
    const auto begin = static_cast<size_t>(size_), added = values.size();
    if ((begin + added) * sizeof(float) > memory_.bytes()) {
      Buffer larger(ctx.device, 2 * (begin + added) * sizeof(float), "samples of a metric");
      copy(ctx, larger.data(), memory_.data(), begin);
      memory_backend(ctx.device).synchronize(ctx);
      memory_ = std::move(larger);
    }
    copy(ctx, data() + begin, values.data(), added);
    size_ += static_cast<int64_t>(added);
  }
  void clear() { size_ = 0; }
  float* data() const { return data_of<float>(memory_); }
  int64_t size() const { return size_; }
  std::vector<float> to_host(const Context& ctx) const {
    return size_ > 0 ? ctr::to_host(ctx, Tensor(DType::f32, {size_}, data())) : std::vector<float>();
  }

 private:
  static void copy(const Context& ctx, void* to, const void* from, size_t count) {
    check(cudaMemcpyAsync(to, from, count * sizeof(float), cudaMemcpyDefault, stream_of(ctx).get()),
          "collecting samples");
  }
  Buffer memory_;
  int64_t size_ = 0;
};

inline void require_solo(const Comm& comm) {
  if (comm.size() > 1) fail(ErrorKind::unsupported, "metrics over several GPUs are not implemented yet");
}

class Collected : public Metric {
 public:
  explicit Collected(const Context& ctx) : ctx_(ctx) {}
  void update(const MetricInput& batch) override {
    columns_ = batch.columns;
    scores_.append(ctx_, batch.predictions);
    labels_.append(ctx_, batch.labels);
  }
  void reset() override {
    scores_.clear();
    labels_.clear();
  }

 protected:
  const Context& ctx_;
  int64_t columns_ = 1;
  Column scores_, labels_;
};

// Unsigned numbers in the order of the floats; 0 and -0 are the same.
__device__ inline uint32_t order_key(float v) {
  const uint32_t bits = __float_as_uint(v + 0.0f);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

// First position of keys [low, high) whose key is not below `key`, or, with `beyond`, is above it; else
// `high`.
template <class K>
__device__ int64_t bound(const K* keys, int64_t low, int64_t high, K key, bool beyond) {
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (keys[middle] < key || (beyond && keys[middle] == key))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

}  // namespace ctr::cuda
