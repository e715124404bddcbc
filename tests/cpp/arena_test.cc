// SPDX-License-Identifier: Apache-2.0
#include "device/arena.h"

#include <gtest/gtest.h>

namespace ctr {

TEST(Arena, PacksWeightsAndAlignsTheRest) {
  Arena arena("test");
  const int a = arena.add(DType::f32, {3}, true);
  const int b = arena.add(DType::f32, {2, 2}, true);
  const int c = arena.add(DType::f32, {1});
  arena.allocate({});
  EXPECT_EQ(arena[b].data<float>() - arena[a].data<float>(), 3);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(arena[c].raw()) % 64, 0u);
  EXPECT_EQ(arena[b].shape(), (Shape{2, 2}));
  for (int64_t i = 0; i < 4; ++i) EXPECT_EQ(arena[b].data<float>()[i], 0.0f);
}

TEST(Arena, WrongTypeIsAnError) {
  Arena arena("test");
  arena.add(DType::f32, {1});
  arena.allocate({});
  EXPECT_THROW(arena[0].data<int64_t>(), Error);
}

}  // namespace ctr
