// SPDX-License-Identifier: Apache-2.0
#include "kernels/elementwise.h"
#include "on_device.h"

namespace ctr {
namespace {

class StepGraphTest : public testing::TestWithParam<Backend> {};

// y += rate x, with y as it is on the device: a replay goes on where the last one stopped.
TEST_P(StepGraphTest, ReplaysTheSameStepOnNewData) {
  OnDevice d(GetParam());
  const Tensor x = d.make({4}), y = d.make({4}, {0, 0, 0, 0});
  StepGraph graph;
  int calls = 0;
  for (int step = 1; step <= 5; ++step) {
    const std::vector<float> input(4, static_cast<float>(step));
    copy_to_device(d.ctx, x, input.data());
    graph.run(d.ctx, [&] {
      ++calls;
      scale_into(d.ctx, x, y, 2.0f, true);
    });
  }
  EXPECT_EQ(to_host(d.ctx, y), std::vector<float>(4, 30.0f));
  EXPECT_EQ(calls, GetParam() == Backend::cpu ? 5 : 2);  // once to run, once to record
}

TEST_P(StepGraphTest, ResetRecordsAnew) {
  OnDevice d(GetParam());
  const Tensor x = d.make({1}, {1}), y = d.make({1}, {0}), z = d.make({1}, {0});
  StepGraph graph;
  for (int i = 0; i < 3; ++i) graph.run(d.ctx, [&] { scale_into(d.ctx, x, y, 1.0f, true); });
  graph.reset();
  for (int i = 0; i < 3; ++i) graph.run(d.ctx, [&] { scale_into(d.ctx, x, z, 1.0f, true); });
  EXPECT_EQ(to_host(d.ctx, y)[0], 3.0f);
  EXPECT_EQ(to_host(d.ctx, z)[0], 3.0f);
}

TEST_P(StepGraphTest, AnErrorWhileRecordingLeavesTheStreamUsable) {
  OnDevice d(GetParam());
  const Tensor x = d.make({1}, {1}), y = d.make({1}, {0});
  StepGraph graph;
  graph.run(d.ctx, [] {});
  EXPECT_THROW(graph.run(d.ctx, [] { fail(ErrorKind::internal, "on purpose"); }), Error);
  for (int i = 0; i < 3; ++i) graph.run(d.ctx, [&] { scale_into(d.ctx, x, y, 1.0f, true); });
  EXPECT_EQ(to_host(d.ctx, y)[0], 3.0f);
}

// What is copied while work goes to another lane is there for that work.
TEST_P(StepGraphTest, CopiesComeBeforeWorkAside) {
  OnDevice d(GetParam());
  constexpr int64_t kCount = 1 << 20;
  const Tensor x = d.make({kCount}), sum = d.make({kCount});
  fill_zero(d.ctx, sum);
  for (int step = 1; step <= 20; ++step) {
    const std::vector<float> input(kCount, static_cast<float>(step));
    {
      const Aside aside(d.ctx, Lane::branch);
      copy_to_device(d.ctx, x, input.data());
      scale_into(d.ctx, x, sum, 1.0f, true);
    }
    join_aside(d.ctx, Lane::branch);
  }
  EXPECT_EQ(to_host(d.ctx, sum), std::vector<float>(kCount, 210.0f));
}

TEST_P(StepGraphTest, AnErrorWhileRecordingIsReportedItself) {
  OnDevice d(GetParam());
  const Tensor x = d.make({1}, {1}), y = d.make({1}, {0});
  StepGraph graph;
  graph.run(d.ctx, [&] {  // takes what a recording must not
    {
      const Aside aside(d.ctx, Lane::branch);
      scale_into(d.ctx, x, y, 1.0f, true);
    }
    join_aside(d.ctx, Lane::branch);
  });
  try {
    graph.run(d.ctx, [&] {
      const Aside aside(d.ctx, Lane::branch);  // not joined: the recording cannot end well
      scale_into(d.ctx, x, y, 1.0f, true);
      fail(ErrorKind::internal, "on purpose");
    });
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "on purpose");
  }
  fill_zero(d.ctx, y);
  for (int i = 0; i < 3; ++i) graph.run(d.ctx, [&] { scale_into(d.ctx, x, y, 1.0f, true); });
  EXPECT_EQ(to_host(d.ctx, y)[0], 3.0f);
}

// Large copies travel through the ring many times around.
TEST_P(StepGraphTest, CopiesArriveInOrder) {
  OnDevice d(GetParam());
  constexpr int64_t kCount = 5 << 20;
  const Tensor x = d.make({kCount}), sum = d.make({kCount});
  fill_zero(d.ctx, sum);
  std::vector<float> host(kCount);
  for (int step = 0; step < 12; ++step) {
    for (int64_t i = 0; i < kCount; ++i) host[static_cast<size_t>(i)] = static_cast<float>((i + step) % 1000);
    copy_to_device(d.ctx, x, host.data());
    std::fill(host.begin(), host.end(), -1.0f);  // may be reused at once
    scale_into(d.ctx, x, sum, 1.0f, true);
  }
  const std::vector<float> result = to_host(d.ctx, sum);
  for (int64_t i = 0; i < kCount; ++i) {
    float expected = 0;
    for (int step = 0; step < 12; ++step) expected += static_cast<float>((i + step) % 1000);
    ASSERT_EQ(result[static_cast<size_t>(i)], expected) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(BackEnds, StepGraphTest, testing::Values(Backend::cpu, Backend::cuda),
                         [](const auto& info) { return info.param == Backend::cpu ? "cpu" : "cuda"; });

// A back end that records nothing but what it was asked for, in place of the CPU's, which has none.
class FakeRecording : public testing::Test {
 protected:
  void SetUp() override {
    asked.clear();
    StreamBackend backend{};
    backend.begin_recording = [](const Context&) {
      asked += "begin ";
      return true;
    };
    backend.end_recording = [](const Context&) -> void* {
      asked += "end ";
      return &asked;
    };
    backend.abandon_recording = [](const Context&) noexcept { asked += "abandon "; };
    backend.replay = [](const Context&, void*) { asked += "replay "; };
    backend.release_graph = [](void*) {};
    register_stream_backend(Backend::cpu, backend);
  }
  void TearDown() override { register_stream_backend(Backend::cpu, {}); }

  static inline std::string asked;
  Context ctx;
};

TEST_F(FakeRecording, BeginsAfterAStepThatSucceeded) {
  StepGraph graph;
  const auto broken = [] { fail(ErrorKind::internal, "on purpose"); };
  EXPECT_THROW(graph.run(ctx, broken), Error);
  EXPECT_THROW(graph.run(ctx, broken), Error);
  graph.run(ctx, [] {});
  EXPECT_EQ(asked, "");
  graph.run(ctx, [] {});
  graph.run(ctx, [] {});
  EXPECT_EQ(asked, "begin end replay replay ");
}

TEST_F(FakeRecording, IsGivenUpWhenTheStepFails) {
  StepGraph graph;
  graph.run(ctx, [] {});
  EXPECT_THROW(graph.run(ctx, [] { fail(ErrorKind::internal, "on purpose"); }), Error);
  EXPECT_EQ(asked, "begin abandon ");
  graph.run(ctx, [] {});
  EXPECT_EQ(asked, "begin abandon begin end replay ");
}

}  // namespace
}  // namespace ctr
