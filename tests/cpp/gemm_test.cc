// SPDX-License-Identifier: Apache-2.0
#include "kernels/gemm.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "kernels/small_gemm.h"

namespace ctr {
namespace {

std::vector<float> numbers(int64_t n, uint32_t seed) {
  std::vector<float> v(static_cast<size_t>(n));
  for (auto& x : v) x = static_cast<float>((seed = seed * 1664525u + 1013904223u) >> 8) * 0x1p-23f - 1.0f;
  return v;
}

struct Shape3 {
  int64_t m, n, k;
};

// Largest difference between the kernel and a plain double loop.
double error_of(Shape3 s, GemmOptions o, bool with_bias, int threads) {
  auto a = numbers(s.m * s.k, 1), b = numbers(s.k * s.n, 2), c = numbers(s.m * s.n, 3),
       bias = numbers(s.n, 4);
  const auto before = c;
  const Tensor ta(DType::f32, o.transpose_a ? Shape{s.k, s.m} : Shape{s.m, s.k}, a.data());
  const Tensor tb(DType::f32, o.transpose_b ? Shape{s.n, s.k} : Shape{s.k, s.n}, b.data());
  const Tensor tc(DType::f32, {s.m, s.n}, c.data());
  if (with_bias) o.bias = Tensor(DType::f32, {1, s.n}, bias.data());
  Context ctx;
  ctx.threads = threads;
  gemm(ctx, ta, tb, tc, o);
  double worst = 0;
  for (int64_t i = 0; i < s.m; ++i)
    for (int64_t j = 0; j < s.n; ++j) {
      double sum = o.accumulate ? static_cast<double>(before[static_cast<size_t>(i * s.n + j)]) : 0.0;
      for (int64_t p = 0; p < s.k; ++p)
        sum += static_cast<double>(a[static_cast<size_t>(o.transpose_a ? p * s.m + i : i * s.k + p)]) *
               static_cast<double>(b[static_cast<size_t>(o.transpose_b ? j * s.k + p : p * s.n + j)]);
      if (with_bias) sum += static_cast<double>(bias[static_cast<size_t>(j)]);
      if (o.relu) sum = std::max(sum, 0.0);
      worst = std::max(worst, std::abs(sum - static_cast<double>(c[static_cast<size_t>(i * s.n + j)])));
    }
  return worst;
}

}  // namespace

TEST(Gemm, MatchesPlainLoops) {
  for (const Shape3 s : {Shape3{1, 1, 1},
                         {7, 1, 1500},
                         {1500, 3, 9},
                         {65, 130, 4},
                         {33, 1100, 2},
                         {130, 140, 150},
                         {17, 300, 40},
                         {300, 17, 40},
                         {1, 50, 20},
                         {50, 1, 20}})
    for (const bool ta : {false, true})
      for (const bool tb : {false, true})
        for (const bool accumulate : {false, true})
          for (const bool epilogue : {false, true})
            EXPECT_LT(
                error_of(s,
                         {.transpose_a = ta, .transpose_b = tb, .accumulate = accumulate, .relu = epilogue},
                         epilogue, 3),
                2e-4)
                << s.m << " x " << s.n << " x " << s.k << (ta ? " a^T" : "") << (tb ? " b^T" : "")
                << (accumulate ? " +c" : "") << (epilogue ? " bias relu" : "");
}

TEST(Gemm, RanksCallItAtTheSameTime) {
  double first = 0, second = 0;
  std::thread other([&] { second = error_of({200, 90, 110}, {}, true, 2); });
  first = error_of({200, 90, 110}, {.transpose_a = true}, false, 2);
  other.join();
  EXPECT_LT(std::max(first, second), 1e-4);
}

TEST(Gemm, ShapesMustFit) {
  auto a = numbers(6, 1);
  const Tensor t(DType::f32, {2, 3}, a.data());
  Context ctx;
  EXPECT_THROW(gemm(ctx, t, t, t, {}), Error);
}

TEST(SmallGemm, HandlesEveryTail) {
  for (int64_t m = 1; m <= 8; ++m)
    for (const int64_t n : {1, 15, 16, 17, 40})
      for (const bool accumulate : {false, true}) {
        const auto a = numbers(m * 9, 1), b = numbers(9 * 50, 2);
        auto c = numbers(m * 50, 3);
        const auto before = c;
        small_gemm(m, n, 9, a.data(), 9, b.data(), 50, c.data(), 50, accumulate);
        for (int64_t i = 0; i < m; ++i)
          for (int64_t j = 0; j < 50; ++j) {
            const auto at = static_cast<size_t>(i * 50 + j);
            float expected = before[at];
            if (j < n) {
              if (!accumulate) expected = 0;
              for (int64_t p = 0; p < 9; ++p)
                expected += a[static_cast<size_t>(i * 9 + p)] * b[static_cast<size_t>(p * 50 + j)];
            }
            EXPECT_NEAR(c[at], expected, 1e-5) << m << " x " << n << " at " << i << ", " << j;
          }
      }
}

}  // namespace ctr
