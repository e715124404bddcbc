// SPDX-License-Identifier: Apache-2.0
#include "device/buffer.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdint>

namespace ctr {

TEST(Buffer, IsAlignedAndZeroed) {
  for (const size_t bytes : {size_t{1}, size_t{1000}, size_t{2} << 20, (size_t{5} << 20) + 1}) {
    for (int round = 0; round < 3; ++round) {  // the second block may be the first one's memory
      Buffer buffer({}, bytes, "test");
      EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % (bytes >= size_t{2} << 20 ? 2 << 20 : 256), 0u);
      EXPECT_TRUE(
          std::all_of(buffer.data(), buffer.data() + bytes, [](std::byte b) { return b == std::byte{0}; }));
      std::fill_n(buffer.data(), bytes, std::byte{1});
    }
  }
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // their own calloc fills what it gives
TEST(Buffer, LargeBlocksCostMemoryOnlyWhereTouched) {
  auto peak_mib = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss / 1024;
  };
  const auto before = peak_mib();
  Buffer buffer({}, size_t{1} << 30, "test");
  buffer.data()[size_t{1} << 29] = std::byte{1};
  EXPECT_LT(peak_mib() - before, 100);
}
#endif

}  // namespace ctr
