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

namespace {

// [2, 3] products of matrices whose rows are `gap` elements apart, with one thread and with several.
template <class T, class C>
void multiply_batches(Shape3 s, BatchedGemmOptions o, int64_t gap) {
  constexpr int64_t kBatches = 6;
  const int64_t a_rows = o.transpose_a ? s.k : s.m, a_width = o.transpose_a ? s.m : s.k;
  const int64_t b_rows = o.transpose_b ? s.n : s.k, b_width = o.transpose_b ? s.k : s.n;
  auto a = rounded<T>(numbers(kBatches * a_rows * (a_width + gap), 1)),
       b = rounded<T>(numbers(kBatches * b_rows * (b_width + gap), 2));
  const auto before = rounded<C>(numbers(kBatches * s.m * (s.n + gap), 3));
  std::vector<C> c = before, again = before;
  const auto tensor = [gap](auto& values, int64_t rows, int64_t width) {
    using Element = std::decay_t<decltype(values[0])>;
    return Tensor(dtype_of<Element>, {2, 3, rows, width}, values.data(), {width, width + gap});
  };
  Context ctx;
  batched_gemm(ctx, tensor(a, a_rows, a_width), tensor(b, b_rows, b_width), tensor(c, s.m, s.n), o);
  ctx.threads = 5;
  batched_gemm(ctx, tensor(a, a_rows, a_width), tensor(b, b_rows, b_width), tensor(again, s.m, s.n), o);
  const auto at = [gap](const auto& values, int64_t width, int64_t row, int64_t column) {
    return static_cast<double>(to_float(values[static_cast<size_t>(row * (width + gap) + column)]));
  };
  for (int64_t i = 0; i < kBatches * s.m; ++i)
    for (int64_t j = 0; j < s.n + gap; ++j) {
      const int64_t batch = i / s.m, row = i % s.m;
      double sum = o.accumulate || j >= s.n ? at(before, s.n, i, j) : 0.0;
      for (int64_t p = 0; j < s.n && p < s.k; ++p)
        sum += at(a, a_width, batch * a_rows + (o.transpose_a ? p : row), o.transpose_a ? row : p) *
               at(b, b_width, batch * b_rows + (o.transpose_b ? j : p), o.transpose_b ? p : j);
      const double rounding = std::is_same_v<C, bf16> ? 0x1p-8 * std::abs(sum) : 0;
      ASSERT_NEAR(at(c, s.n, i, j), sum, rounding + 8e-6 * std::sqrt(static_cast<double>(s.k)))
          << s.m << "x" << s.n << "x" << s.k << " at " << i << ", " << j;
      ASSERT_EQ(at(again, s.n, i, j), at(c, s.n, i, j));
    }
}

}  // namespace

TEST(BatchedGemm, MultipliesEveryPairOfMatrices) {
  for (const Shape3 s :
       {Shape3{1, 1, 1}, {1, 36, 10}, {5, 3, 17}, {64, 64, 64}, {65, 70, 3}, {70, 65, 131}, {3, 4100, 2}})
    for (int flags = 0; flags < 8; ++flags)
      for (const int64_t gap : {0, 3}) {
        const BatchedGemmOptions o{(flags & 1) != 0, (flags & 2) != 0, (flags & 4) != 0};
        multiply_batches<float, float>(s, o, gap);
        if (!bf16_instructions()) continue;
        multiply_batches<bf16, float>(s, o, gap);
        multiply_batches<bf16, bf16>(s, o, gap);
      }
}

}  // namespace ctr
