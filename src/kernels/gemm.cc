// SPDX-License-Identifier: Apache-2.0
#include "kernels/gemm.h"

#include <algorithm>

#include "base/parallel.h"
#include "base/vectorize.h"
#include "kernels/row_groups.h"
#include "kernels/serial_gemm.h"
#include "kernels/small_gemm.h"
#include "kernels/storage.h"

namespace ctr {
namespace {

template <class T, class C>
GemmProblem<T, C> describe(const Tensor& a, const Tensor& b, const Tensor& c, const GemmOptions& o) {
  GemmProblem<T, C> p{.m = c.shape().rows(),
                      .n = c.shape().last(),
                      .k = o.transpose_a ? a.shape().rows() : a.shape().last(),
                      .a = a.first<T>(),
                      .lda = a.row_stride(),
                      .b = b.first<T>(),
                      .ldb = b.row_stride(),
                      .c = c.first<C>(),
                      .ldc = c.row_stride(),
                      .transpose_a = o.transpose_a,
                      .transpose_b = o.transpose_b,
                      .accumulate = o.accumulate,
                      .relu = o.relu,
                      .bias = o.bias ? o.bias.data<float>() : nullptr};
  const int64_t m = o.transpose_a ? a.shape().last() : a.shape().rows();
  const int64_t n = o.transpose_b ? b.shape().rows() : b.shape().last();
  const int64_t k = o.transpose_b ? b.shape().last() : b.shape().rows();
  if (m != p.m || n != p.n || k != p.k)
    fail(ErrorKind::internal, "gemm: {}{} times {}{} into {}", to_string(a.shape()),
         o.transpose_a ? "^T" : "", to_string(b.shape()), o.transpose_b ? "^T" : "", to_string(c.shape()));
  return p;
}

// Up to four columns or a sum of up to four terms: memory bound, and what a model ends in (a logit).
constexpr int64_t kThin = 4, kTile = 1024;

// c[m, n <= 4] = a b
template <class T, class C>
void thin_forward(const GemmProblem<T, C>& whole) {
  float columns[kThin][kTile], sums[kTile][kThin];
  for (int64_t i0 = 0; i0 < whole.m; i0 += kTile) {
    const GemmProblem<T, C> p = rows_of(whole, i0, std::min(whole.m, i0 + kTile));
    for (int64_t k0 = 0; k0 < p.k; k0 += kTile) {
      const int64_t k = std::min(kTile, p.k - k0);
      for (int64_t j = 0; j < p.n; ++j)
        for (int64_t q = 0; q < k; ++q) columns[j][q] = to_float(p.b[(k0 + q) * p.ldb + j]);
      for (int64_t i = 0; i < p.m; ++i)
        for (int64_t j = 0; j < p.n; ++j) {
          C& c = p.c[i * p.ldc + j];
          const float before = k0 > 0 ? sums[i][j] : p.accumulate ? to_float(c) : 0;
          const float sum = before + dot(p.a + i * p.lda + k0, columns[j], k);
          if (k0 + k < p.k)
            sums[i][j] = sum;
          else
            store<false>(c, p.epilogue(sum, j));
        }
    }
  }
}

// c[m, n <= 4] = a^T b
template <class T, class C>
void thin_weight_gradient(const Context& ctx, const GemmProblem<T, C>& p) {
  const float* sums = sum_over_rows(ctx, p.k, p.n * p.m, [&](int64_t begin, int64_t end, float* part) {
    for (int64_t q = begin; q < end; ++q)
      for (int64_t j = 0; j < p.n; ++j)
        add_scaled(part + j * p.m, p.a + q * p.lda, to_float(p.b[q * p.ldb + j]), p.m);
  });
  for (int64_t i = 0; i < p.m; ++i)
    for (int64_t j = 0; j < p.n; ++j) {
      C& c = p.c[i * p.ldc + j];
      const float sum = sums[j * p.m + i];
      store<false>(c, p.epilogue(p.accumulate ? to_float(c) + sum : sum, j));
    }
}

// c = a[m, K] columns, and rounded once; lda and ldc are row strides.
template <int K, bool kAccumulate, class T, class C>
CTR_VECTORIZE void sum_columns(const GemmProblem<T, C>& p, const float (*__restrict columns)[kTile]) {
  for (int64_t i = 0; i < p.m; ++i) {
    C* __restrict c = p.c + i * p.ldc;
    float a[K];
    for (int q = 0; q < K; ++q) a[q] = to_float(p.a[i * p.lda + q]);
    for (int64_t j = 0; j < p.n; ++j) {
      float sum = a[0] * columns[0][j];
      for (int q = 1; q < K; ++q) sum += a[q] * columns[q][j];
      store<kAccumulate>(c[j], sum);
    }
  }
}

// c = a[m, k <= 4] b^T, without an epilogue
template <class T, class C>
void thin_input_gradient(const GemmProblem<T, C>& whole) {
  float columns[kThin][kTile];
  for (int64_t j0 = 0; j0 < whole.n; j0 += kTile) {
    const GemmProblem<T, C> p = columns_of(whole, j0, std::min(whole.n, j0 + kTile));
    for (int64_t q = 0; q < p.k; ++q)
      for (int64_t j = 0; j < p.n; ++j) columns[q][j] = to_float(p.b[j * p.ldb + q]);
    with_accumulate(p.accumulate, [&](auto add) {
      switch (p.k) {
        case 1: return sum_columns<1, add()>(p, columns);
        case 2: return sum_columns<2, add()>(p, columns);
        case 3: return sum_columns<3, add()>(p, columns);
        default: return sum_columns<4, add()>(p, columns);
      }
    });
  }
}

int64_t grain(int64_t work_per_item) {
  return std::max<int64_t>(1, 65536 / std::max<int64_t>(1, work_per_item));
}

// The number of threads changes no result: see serial_gemm().
template <class T, class C>
void gemm_in_parallel(Context& ctx, const GemmProblem<T, C>& p) {
  auto over_rows = [&](void (*product)(const GemmProblem<T, C>&)) {
    parallel_for(ctx.threads, p.m, grain(p.n * p.k),
                 [&](int64_t begin, int64_t end) { product(rows_of(p, begin, end)); });
  };
  const bool plain = !p.transpose_a && !p.transpose_b;
  if (plain && p.n <= kThin) {
    over_rows(thin_forward<T, C>);
  } else if (p.transpose_a && !p.transpose_b && p.n <= kThin) {
    thin_weight_gradient(ctx, p);
  } else if (!p.transpose_a && p.transpose_b && p.k <= kThin && !p.bias && !p.relu) {
    over_rows(thin_input_gradient<T, C>);
  } else if (std::is_same_v<T, bf16> || p.m >= p.n) {
    parallel_for(ctx.threads, gemm_units(p.m), grain(kGemmUnit * p.n * p.k), [&](int64_t begin, int64_t end) {
      const Range r = of_gemm_units(p.m, begin, end);
      serial_gemm(rows_of(p, r.begin, r.end));
    });
  } else {
    parallel_for(ctx.threads, gemm_units(p.n), grain(kGemmUnit * p.m * p.k), [&](int64_t begin, int64_t end) {
      const Range r = of_gemm_units(p.n, begin, end);
      serial_gemm(columns_of(p, r.begin, r.end));
    });
  }
}

template <class T>
void gemm_cpu(Context& ctx, const Tensor& a, const Tensor& b, const Tensor& c, GemmOptions options) {
  if (c.dtype() == DType::f32)
    gemm_in_parallel(ctx, describe<T, float>(a, b, c, options));
  else
    gemm_in_parallel(ctx, describe<T, T>(a, b, c, options));
}

}  // namespace

#ifdef CTR_WITH_ONEDNN
constinit decltype(gemm) gemm{"gemm", {DType::f32, gemm_cpu<float>}, {DType::bf16, gemm_cpu<bf16>}};
#else
constinit decltype(gemm) gemm{"gemm", {DType::f32, gemm_cpu<float>}};
#endif

}  // namespace ctr
