// SPDX-License-Identifier: Apache-2.0
#include "model/finite_watch.h"

#include <cmath>

#include "device/stream.h"
#include "on_device.h"

namespace ctr {
namespace {

class FiniteWatchTest : public testing::TestWithParam<Backend> {};

// A loss and three tensors of a network, of which the test makes some not finite.
struct Watch {
  explicit Watch(Backend backend)
      : d(backend),
        loss(d.make({1}, {0.5f})),
        tensors{d.make({3}, normal(3, 1)), d.make({5000}, normal(5000, 2)), d.make({7}, normal(7, 3))},
        watch(d.ctx, {loss}, {{"a", tensors[0]}, {"b", tensors[1]}, {"c", tensors[2]}}) {}

  void set(const Tensor& t, int64_t i, float value) {
    std::vector<float> values = to_host(d.ctx, t);
    values[static_cast<size_t>(i)] = value;
    copy_to_device(d.ctx, t, values.data());
  }
  void check(int64_t step) {
    d.set_step({.step = step});
    watch.check(d.ctx);
  }

  OnDevice d;
  Tensor loss;
  std::vector<Tensor> tensors;
  FiniteWatch watch;
};

TEST_P(FiniteWatchTest, LooksOnlyWhereTheLossIsNotFinite) {
  Watch w(GetParam());
  w.set(w.tensors[1], 4999, INFINITY);
  w.check(3);
  EXPECT_FALSE(w.watch.finding(w.d.ctx));
}

TEST_P(FiniteWatchTest, RemembersTheFirstStepAndTensor) {
  Watch w(GetParam());
  w.check(3);
  w.set(w.loss, 0, NAN);
  w.set(w.tensors[1], 4999, -INFINITY);
  w.set(w.tensors[2], 0, NAN);
  w.check(4);
  w.set(w.tensors[0], 2, NAN);
  w.check(5);
  const auto found = w.watch.finding(w.d.ctx);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->step, 4);
  EXPECT_EQ(found->name, "b");
  w.watch.forget(w.d.ctx);
  EXPECT_FALSE(w.watch.finding(w.d.ctx));
  w.check(6);
  EXPECT_EQ(w.watch.finding(w.d.ctx)->name, "a");
}

TEST_P(FiniteWatchTest, IsPartOfARecordedStep) {
  Watch w(GetParam());
  StepGraph graph;
  for (int64_t step = 0; step < 6; ++step) {
    if (step == 4) w.set(w.loss, 0, INFINITY), w.set(w.tensors[2], 6, NAN);
    w.d.set_step({.step = step});
    graph.run(w.d.ctx, [&] { w.watch.check(w.d.ctx); });
  }
  EXPECT_EQ(w.watch.finding(w.d.ctx)->step, 4);
}

TEST_P(FiniteWatchTest, WithoutATriggerItLooksAtAll) {
  OnDevice d(GetParam());
  const Tensor x = d.make({2, 3}, normal(6, 1));
  const FiniteWatch watch(d.ctx, {}, {{"x", x}});
  watch.check(d.ctx);
  EXPECT_FALSE(watch.finding(d.ctx));
  copy_to_device(d.ctx, x, std::vector<float>{0, 0, 0, 0, 0, NAN}.data());
  watch.check(d.ctx);
  EXPECT_EQ(watch.finding(d.ctx)->name, "x");
}

INSTANTIATE_TEST_SUITE_P(BackEnds, FiniteWatchTest, testing::Values(Backend::cpu, Backend::cuda),
                         [](const auto& info) { return info.param == Backend::cpu ? "cpu" : "cuda"; });

}  // namespace
}  // namespace ctr
