// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <random>

#include "device/buffer.h"
#include "device/memory.h"
#include "device/stream.h"
#include "kernels/columns.h"

namespace ctr {

// A context with tensors on one device, whose contents tests see as host arrays.
class OnDevice {
 public:
  explicit OnDevice(Backend backend)
      : device_{backend, 0}, stream_(device_), step_memory_(device_, sizeof(StepState), "step") {
    ctx.device = device_;
    ctx.stream = stream_.handle();
    ctx.threads = 2;
    ctx.seed = 7;
    ctx.step = reinterpret_cast<const StepState*>(step_memory_.data());
    set_step(
        {.step = 3, .dense_step = 4, .learning_rate = 0.1f, .loss_scale = 4, .global_rows = 64, .rows = 64});
  }

  void set_step(const StepState& step) {
    memory_backend(device_).copy_to_device(ctx, step_memory_.data(), &step, sizeof(step));
  }
  Tensor make(const Shape& shape, DType dtype = DType::f32) {
    memory_.emplace_back(device_, static_cast<size_t>(shape.numel()) * size_of(dtype) + 1, "test");
    return {dtype, shape, memory_.back().data()};
  }
  Tensor make(const Shape& shape, const std::vector<float>& values) {
    const Tensor t = make(shape);
    copy_to_device(ctx, t, values.data());
    return t;
  }

  // With rows of `run` elements `gap` elements apart, which hold NaN.
  Tensor make_apart(const Shape& shape, const std::vector<float>& values, int64_t run, int64_t gap) {
    const Tensor all = make({shape.numel() / run * (run + gap)});
    copy_to_device(ctx, all, std::vector<float>(static_cast<size_t>(all.numel()), NAN).data());
    const Tensor t(DType::f32, shape, all.raw(), {run, run + gap});
    copy_columns(ctx, make(shape, values), t, shape.rows(), {0, 0, shape.last()}, false);
    return t;
  }
  // The elements of a tensor, packed or not.
  std::vector<float> values_of(const Tensor& t) {
    if (t.is_packed()) return to_host(ctx, t);
    const Tensor packed = make(t.shape());
    copy_columns(ctx, t, packed, t.shape().rows(), {0, 0, t.shape().last()}, false);
    return to_host(ctx, packed);
  }

  Context ctx;

 private:
  Device device_;
  Stream stream_;
  Buffer step_memory_;
  std::deque<Buffer> memory_;
};

inline std::vector<float> normal(int64_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> draw;
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = draw(random);
  return values;
}

// Within `tolerance` of the largest magnitude involved.
inline void expect_close(const std::vector<float>& actual, const std::vector<float>& expected,
                         float tolerance, const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  float scale = 1, worst = 0;
  size_t where = 0;
  for (const float v : expected) scale = std::max(scale, std::fabs(v));
  for (size_t i = 0; i < actual.size(); ++i) {
    const float difference = std::fabs(actual[i] - expected[i]);
    if (!(difference <= worst)) worst = difference, where = i;
  }
  EXPECT_LE(worst, tolerance * scale)
      << what << " at " << where << ": " << actual[where] << " instead of " << expected[where];
}

}  // namespace ctr
