// SPDX-License-Identifier: Apache-2.0
#include "kernels/gemm.h"

#include <gtest/gtest.h>

#include <cmath>
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

template <class T>
std::vector<T> rounded(const std::vector<float>& v) {
  std::vector<T> narrow(v.size());
  for (size_t i = 0; i < v.size(); ++i) narrow[i] = from_float<T>(v[i]);
  return narrow;
}

// What one product reads and writes; a and b are stored as T, c as C.
template <class T, class C>
struct Product {
  Shape3 s;
  GemmOptions options;
  std::vector<T> a = rounded<T>(numbers(s.m * s.k, 1)), b = rounded<T>(numbers(s.k * s.n, 2));
  std::vector<C> before = rounded<C>(numbers(s.m * s.n, 3)), c = before;
  std::vector<float> bias = numbers(s.n, 4);

  Product(Shape3 shape, GemmOptions o, bool with_bias, int threads) : s(shape), options(o) {
    const Tensor ta(dtype_of<T>, o.transpose_a ? Shape{s.k, s.m} : Shape{s.m, s.k}, a.data());
    const Tensor tb(dtype_of<T>, o.transpose_b ? Shape{s.n, s.k} : Shape{s.k, s.n}, b.data());
    if (with_bias) options.bias = Tensor(DType::f32, {1, s.n}, bias.data());
    Context ctx;
    ctx.threads = threads;
    gemm(ctx, ta, tb, Tensor(dtype_of<C>, {s.m, s.n}, c.data()), options);
  }

  double expected(int64_t i, int64_t j) const {
    const auto at = [](const auto& values, int64_t k) {
      return static_cast<double>(to_float(values[static_cast<size_t>(k)]));
    };
    double sum = options.accumulate ? at(before, i * s.n + j) : 0.0;
    for (int64_t p = 0; p < s.k; ++p)
      sum += at(a, options.transpose_a ? p * s.m + i : i * s.k + p) *
             at(b, options.transpose_b ? j * s.k + p : p * s.n + j);
    if (options.bias) sum += at(bias, j);
    return options.relu ? std::max(sum, 0.0) : sum;
  }

  // Largest difference from a plain double loop, beyond one rounding of the result.
  double error() const {
    constexpr double kRounding = std::is_same_v<C, bf16> ? 0x1p-8 : 0;
    double worst = 0;
    for (int64_t i = 0; i < s.m; ++i)
      for (int64_t j = 0; j < s.n; ++j) {
        const double sum = expected(i, j);
        const double difference = std::abs(sum - to_float(c[static_cast<size_t>(i * s.n + j)]));
        worst = std::max(worst, difference - kRounding * std::abs(sum));
      }
    return worst;
  }
};

constexpr Shape3 kShapes[] = {{1, 1, 1},     {7, 1, 1500}, {1500, 3, 9},    {65, 130, 4},
                              {33, 1100, 2}, {2, 9, 1},    {130, 140, 150}, {17, 300, 40},
                              {300, 17, 40}, {1, 50, 20},  {50, 1, 20}};

// Every shape, orientation and epilogue.
template <class F>
void for_all(F&& f) {
  for (const Shape3 s : kShapes)
    for (const bool ta : {false, true})
      for (const bool tb : {false, true})
        for (const bool accumulate : {false, true})
          for (const bool epilogue : {false, true}) {
            SCOPED_TRACE(fmt::format("{} x {} x {}{}{}{}{}", s.m, s.n, s.k, ta ? " a^T" : "",
                                     tb ? " b^T" : "", accumulate ? " +c" : "",
                                     epilogue ? " bias relu" : ""));
            f(s,
              GemmOptions{.transpose_a = ta, .transpose_b = tb, .accumulate = accumulate, .relu = epilogue},
              epilogue);
          }
}

template <class T, class C>
std::vector<float> result(Shape3 s, GemmOptions o, bool with_bias, int threads) {
  std::vector<float> wide;
  for (const C v : Product<T, C>(s, o, with_bias, threads).c) wide.push_back(to_float(v));
  return wide;
}

template <class Types>
class GemmTest : public testing::Test {
 protected:
  void SetUp() override {
    if (Types::kNeedsBf16 && !bf16_instructions()) GTEST_SKIP() << "no bf16 matrix instructions";
  }
};

template <class A, class B>
struct Stored {
  using T = A;
  using C = B;
  static constexpr bool kNeedsBf16 = std::is_same_v<T, bf16>;
};
using AllStored = testing::Types<Stored<float, float>, Stored<bf16, bf16>, Stored<bf16, float>>;
TYPED_TEST_SUITE(GemmTest, AllStored);

}  // namespace

TYPED_TEST(GemmTest, MatchesPlainLoops) {
  for_all([](auto... arguments) {
    EXPECT_LT((Product<typename TypeParam::T, typename TypeParam::C>(arguments..., 3).error()), 2e-4);
  });
}

TYPED_TEST(GemmTest, ThreadsChangeNoBit) {
  for_all([](auto... arguments) {
    const auto run = result<typename TypeParam::T, typename TypeParam::C>;
    const std::vector<float> one = run(arguments..., 1);
    for (const int threads : {2, 3, 8}) EXPECT_EQ(run(arguments..., threads), one) << threads << " threads";
  });
}

TYPED_TEST(GemmTest, RanksCallItAtTheSameTime) {
  using P = Product<typename TypeParam::T, typename TypeParam::C>;
  double first = 0, second = 0;
  std::thread other([&] { second = P({200, 90, 110}, {}, true, 2).error(); });
  first = P({200, 90, 110}, {.transpose_a = true}, false, 2).error();
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
