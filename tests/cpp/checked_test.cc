// SPDX-License-Identifier: Apache-2.0
// Sizes that do not fit, and memory that is not there.
#include "base/checked.h"

#include <gtest/gtest.h>

#include <fstream>
#include <limits>

#include "base/shape.h"
#include "device/arena.h"
#include "device/host_memory.h"
#include "in_folder.h"
#include "layers/layer.h"

namespace ctr {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

TEST(Checked, ArithmeticThrowsInsteadOfWrapping) {
  EXPECT_EQ(checked_sum(kMax - 1, 1), kMax);
  EXPECT_EQ(checked_product(kMax / 3, 3), kMax / 3 * 3);
  EXPECT_THROW(checked_sum(kMax, 1), Error);
  EXPECT_THROW(checked_sum(-kMax, -2), Error);
  EXPECT_THROW(checked_product(int64_t{1} << 62, 2), Error);
}

TEST(Checked, FloatsAreFinite) {
  EXPECT_EQ(checked_float("x", 0.1), 0.1f);
  EXPECT_EQ(checked_nonnegative("x", 0), 0.0f);
  EXPECT_THROW(checked_float("x", 1e39), Error);
  EXPECT_THROW(checked_float("x", std::numeric_limits<double>::quiet_NaN()), Error);
  EXPECT_THROW(checked_nonnegative("x", -1e-50), Error);
}

TEST(Shape, HoldsNoMoreElementsThanCanBeCounted) {
  EXPECT_EQ((Shape{Shape::kMaxElements / 4, 4}).numel(), Shape::kMaxElements);
  EXPECT_THROW((Shape{Shape::kMaxElements, 2}), Error);
  EXPECT_THROW((Shape{16, int64_t{6148914691236517206}, 3}), Error);  // 8 elements modulo 2^64
  EXPECT_THROW((Shape{int64_t{1} << 32, int64_t{1} << 32}), Error);   // 0 elements modulo 2^64
  EXPECT_THROW((Shape{4, -1}), Error);
  Shape shape{4, 4};
  EXPECT_THROW(shape.set(-1, kMax), Error);
}

TEST(Arena, IsNotLargerThanCanBeAddressed) {
  Arena arena("test");
  const auto add_many = [&] {
    for (int i = 0; i < 1 << 14; ++i) arena.add(DType::f32, {Shape::kMaxElements});
  };
  EXPECT_THROW(add_many(), Error);
}

// What layers make of shapes: an error, whatever the number.
TEST(Shape, LayersRefuseWhatOverflows) {
  const auto infer = [](const std::string& type,
                        const std::vector<std::pair<std::string, ParamValue>>& params,
                        const std::vector<Shape>& inputs) {
    const LayerDef& def = find_layer(type);
    Params p;
    for (const ParamDef& d : def.params) p.set(d.keyword, d.initial);
    for (const auto& [keyword, value] : params) p.set(keyword, value);
    return def.create(p)->infer({inputs});
  };
  const int64_t big = int64_t{1} << 62, wide = int64_t{1} << 40;
  EXPECT_THROW(infer("Reshape", {{"leading_dim", int64_t{8}}, {"time_step", big}}, {{16, 2, 4}}), Error);
  EXPECT_THROW(infer("Reshape", {{"leading_dim", int64_t{3}}, {"time_step", int64_t{6148914691236517208}}},
                     {{16, 2, 4}}),
               Error);
  EXPECT_THROW(infer("InnerProduct", {{"num_output", big}}, {{16, 4}}), Error);
  EXPECT_THROW(infer("WeightMultiply", {{"weight_dims", IntList{4, big}}}, {{16, 4}}), Error);
  EXPECT_THROW(infer("Interaction", {}, {{1, 1}, {1, wide, 1}}), Error);
  EXPECT_THROW(infer("Concat", {}, {{1, Shape::kMaxElements}, {1, 1}}), Error);
}

class HostMemoryTest : public InFolder {
 protected:
  void put(const std::string& path, const std::string& text) {
    const std::filesystem::path file = folder_.string() + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
};

TEST_F(HostMemoryTest, IsWhatTheSystemHas) {
  EXPECT_EQ(available_host_memory(folder_.string()), kMax);
  put("/proc/meminfo", "MemTotal:  9000 kB\nMemAvailable:  1000 kB\nSwapFree:  24 kB\n");
  EXPECT_EQ(available_host_memory(folder_.string()), 1024 * 1024);
  EXPECT_GT(available_host_memory(), 1 << 20);
}

TEST_F(HostMemoryTest, IsLimitedByControlGroups) {
  put("/proc/meminfo", "MemAvailable:  1000 kB\n");
  put("/proc/self/cgroup", "0::/a/b\n");
  put("/sys/fs/cgroup/a/memory.max", "500000\n");
  put("/sys/fs/cgroup/a/memory.current", "450000\n");
  put("/sys/fs/cgroup/a/memory.stat", "anon 350000\ninactive_file 100000\n");
  put("/sys/fs/cgroup/a/b/memory.max", "max\n");
  put("/sys/fs/cgroup/a/b/memory.current", "1\n");
  EXPECT_EQ(available_host_memory(folder_.string()), 150000);
}

TEST_F(HostMemoryTest, IsLimitedByTheGroupsOfAContainer) {
  put("/proc/meminfo", "MemAvailable:  1000 kB\n");
  put("/proc/self/cgroup", "3:cpu,cpuacct:/x\n7:memory:/of/the/host\n");
  put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "70000\n");
  put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "80000\n");
  EXPECT_EQ(available_host_memory(folder_.string()), 0);
}

}  // namespace
}  // namespace ctr
