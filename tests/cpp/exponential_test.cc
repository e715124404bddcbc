// SPDX-License-Identifier: Apache-2.0
#include "kernels/exponential.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/elementwise.h"

namespace ctr {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// |got - exp(x)| in units of the last place of a float of that size. Beyond the largest one, inf is 2^128.
double error(float x, float got) {
  const double exact = std::min(std::exp(static_cast<double>(x)), 0x1p128);
  const int exponent = exact > 0 ? std::ilogb(exact) : -200;
  const double unit = std::ldexp(1.0, std::clamp(exponent, -126, 127) - 23);
  return std::abs(std::min(static_cast<double>(got), 0x1p128) - exact) / unit;
}

// Every 127th of all floats, and the neighbourhoods of those where something happens.
TEST(Exponential, IsWithinTwoUnitsInTheLastPlaceEverywhere) {
  constexpr uint64_t kStep = 127, kFloats = uint64_t{1} << 32, kBlock = 65536;
  std::vector<float> x, y;
  double worst = 0;
  const auto compare = [&] {
    y.resize(x.size());
    map_part(x.data(), y.data(), static_cast<int64_t>(x.size()), [](float v) { return exponential(v); });
    for (size_t i = 0; i < x.size(); ++i) {
      if (std::isnan(x[i])) {
        ASSERT_TRUE(std::isnan(y[i])) << std::bit_cast<uint32_t>(x[i]);
        continue;
      }
      worst = std::max(worst, error(x[i], y[i]));
      ASSERT_LE(worst, 2) << x[i] << " gives " << y[i];
    }
    x.clear();
  };
  for (uint64_t bits = 0; bits < kFloats; bits += kStep) {
    x.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
    if (x.size() < kBlock) continue;
    ASSERT_NO_FATAL_FAILURE(compare());
  }
  ASSERT_NO_FATAL_FAILURE(compare());
  for (const float centre : {88.7228394f, 88.72284f, 89.0f, 88.3762589f, -87.3365479f, -103.278931f,
                             -103.972084f, -105.0f, 0.346573591f, -0.346573591f, 1.0f, -1.0f}) {
    const auto bits = std::bit_cast<uint32_t>(centre);
    for (uint32_t b = bits - 1000; b < bits + 1000; ++b) x.push_back(std::bit_cast<float>(b));
    ASSERT_NO_FATAL_FAILURE(compare());
  }
  RecordProperty("worst", std::to_string(worst));
}

TEST(Exponential, OfWhatIsNotFinite) {
  EXPECT_EQ(exponential(kInf), kInf);
  EXPECT_EQ(exponential(-kInf), 0);
  EXPECT_TRUE(std::isnan(exponential(std::numeric_limits<float>::quiet_NaN())));
  EXPECT_EQ(exponential(0), 1);
  EXPECT_EQ(exponential(-0.0f), 1);
}

}  // namespace
}  // namespace ctr
