// SPDX-License-Identifier: Apache-2.0
#include "model/precision.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "kernels/gemm.h"
#include "model/formats/spec_json.h"

namespace ctr {
namespace {

constexpr ProductShape kLarge{2048, 1024, 429};

// The choice where products take `f32` and `bf16` seconds.
Precision choose(double f32, double bf16, const std::string& wanted = "auto",
                 const char* instructions = "AVX512-BF16", ProductShape largest = kLarge) {
  return mixed_precision_on_cpu(wanted, instructions, largest, [=](const ProductShape& shape) {
    EXPECT_EQ(shape, class_of(largest));
    return GemmSeconds{f32, bf16};
  });
}

Precision choose_unmeasured(const std::string& wanted, const char* instructions,
                            ProductShape largest = kLarge) {
  return mixed_precision_on_cpu(wanted, instructions, largest, [](const ProductShape&) {
    ADD_FAILURE() << "nothing to measure here";
    return GemmSeconds{1, 1};
  });
}

TEST(Precision, TheFasterTypeIsChosenAndTheReasonHasBothTimes) {
  const Precision faster = choose(2e-3, 1e-3), slower = choose(1e-3, 2e-3);
  EXPECT_EQ(faster.type, DType::bf16);
  EXPECT_EQ(faster.reason,
            "products of 128 x 256 x 256, in place of 2048 x 1024 x 429, take 2.000 ms in fp32 and "
            "1.000 ms in bf16 (AVX512-BF16)");
  EXPECT_EQ(slower.type, DType::f32);
  EXPECT_NE(slower.reason.find("take 1.000 ms in fp32 and 2.000 ms in bf16"), std::string::npos);
  EXPECT_NE(slower.reason.find("mixed_precision_type=\"bf16\" forces bf16"), std::string::npos);
}

TEST(Precision, WhatIsHardlyFasterIsNotChosen) {
  EXPECT_EQ(choose(1.2e-3, 1e-3).type, DType::f32);
  EXPECT_EQ(choose(1.3e-3, 1e-3).type, DType::bf16);
}

TEST(Precision, ANameIsObeyedWithoutMeasuring) {
  const Precision forced = choose_unmeasured("bf16", "AMX");
  EXPECT_EQ(forced.type, DType::bf16);
  EXPECT_EQ(forced.reason, "mixed_precision_type=\"bf16\" asks for it (AMX)");
  EXPECT_THROW(choose_unmeasured("fp16", "AMX"), Error);
}

TEST(Precision, NothingIsMeasuredWithoutInstructionsOrForSmallProducts) {
  for (const char* wanted : {"auto", "bf16"}) {
    const Precision without = choose_unmeasured(wanted, nullptr);
    EXPECT_EQ(without.type, DType::f32);
    EXPECT_NE(without.reason.find("no bf16 matrix instructions"), std::string::npos);
  }
  const Precision small = choose_unmeasured("auto", "AMX", {64, 32, 48});
  EXPECT_EQ(small.type, DType::f32);
  EXPECT_EQ(small.reason, "products of at most 64 x 32 x 48 are too small for AMX to pay");
  EXPECT_EQ(choose_unmeasured("auto", "AMX", {0, 0, 0}).type, DType::f32);
}

TEST(Precision, ShapesOfOneClassAreMeasuredOnce) {
  EXPECT_EQ(class_of(kLarge), (ProductShape{128, 256, 256}));
  EXPECT_EQ(class_of({16384, 400, 400}), class_of(kLarge));
  EXPECT_EQ(class_of({127, 100, 64}), (ProductShape{64, 64, 64}));
  EXPECT_EQ(class_of({2048, 1, 1024}), (ProductShape{128, 1, 256}));
}

TEST(Precision, TheLargestProductIsThatOfTheWholeBatch) {
  const ModelSpec model = spec_from_json(R"({
    "solver": {"batchsize": 512, "vvgpu": [[0, 1]]},
    "input": {"labels": [{"name": "label"}], "dense_name": "dense", "dense_dim": 3, "sparse": []},
    "layers": [
      {"type": "InnerProduct", "bottoms": ["dense"], "tops": ["fc1"], "params": {"num_output": 40}},
      {"type": "FusedInnerProduct", "bottoms": ["fc1"], "tops": ["fc2"], "params": {"num_output": 20}},
      {"type": "InnerProduct", "bottoms": ["fc2"], "tops": ["fc3"], "params": {"num_output": 1}},
      {"type": "BinaryCrossEntropyLoss", "bottoms": ["fc3", "label"], "tops": ["loss"]}]})");
  EXPECT_EQ(largest_product(model), (ProductShape{512, 20, 40}));
}

TEST(Precision, BothTypesAreMeasured) {
  if (!bf16_instructions()) GTEST_SKIP() << "no bf16 matrix instructions";
  const GemmSeconds seconds = measure_gemm(32, 64, 48);
  EXPECT_GT(seconds.f32, 0);
  EXPECT_GT(seconds.bf16, 0);
  EXPECT_LT(seconds.f32 + seconds.bf16, 1);
}

}  // namespace
}  // namespace ctr
