// SPDX-License-Identifier: Apache-2.0
#include "kernels/gemm.h"

#include <algorithm>

#include "base/parallel.h"
#include "kernels/small_gemm.h"

#ifdef CTR_WITH_ONEDNN
#include <dnnl.h>
#include <omp.h>
#endif

namespace ctr {
namespace {

struct Problem {
  int64_t m, n, k;
  const float* a;
  int64_t lda;
  const float* b;
  int64_t ldb;
  float* c;
  int64_t ldc;
  bool transpose_a, transpose_b, accumulate, relu;
  const float* bias;

  const float* a_at(int64_t i, int64_t p) const { return a + (transpose_a ? p * lda + i : i * lda + p); }
  const float* b_at(int64_t p, int64_t j) const { return b + (transpose_b ? j * ldb + p : p * ldb + j); }
};

Problem describe(const Tensor& a, const Tensor& b, const Tensor& c, const GemmOptions& o) {
  Problem p{.m = c.shape().rows(),
            .n = c.shape().last(),
            .k = o.transpose_a ? a.shape().rows() : a.shape().last(),
            .a = a.data<float>(),
            .lda = a.shape().last(),
            .b = b.data<float>(),
            .ldb = b.shape().last(),
            .c = c.data<float>(),
            .ldc = c.shape().last(),
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

#ifdef CTR_WITH_ONEDNN

// One thread's product. oneDNN's own threading splits long sums by thread count; ours never does, and is as
// fast.
void serial_gemm(const Problem& p) {
  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  const dnnl_status_t status =
      dnnl_sgemm(p.transpose_a ? 'T' : 'N', p.transpose_b ? 'T' : 'N', p.m, p.n, p.k, 1.0f, p.a, p.lda, p.b,
                 p.ldb, p.accumulate ? 1.0f : 0.0f, p.c, p.ldc);
  omp_set_num_threads(threads);
  if (status != dnnl_success)
    fail(ErrorKind::internal, "oneDNN sgemm failed with status {}", static_cast<int>(status));
}

#else

constexpr int64_t kBlock = 128;

// Packs blocks of both operands to row-major panels that fit the cache.
void serial_gemm(const Problem& p) {
  float a[kBlock * kBlock], b[kBlock * kBlock];
  for (int64_t k0 = 0; k0 < p.k; k0 += kBlock)
    for (int64_t j0 = 0; j0 < p.n; j0 += kBlock) {
      const int64_t k = std::min(kBlock, p.k - k0), n = std::min(kBlock, p.n - j0);
      for (int64_t q = 0; q < k; ++q)
        for (int64_t j = 0; j < n; ++j) b[q * kBlock + j] = *p.b_at(k0 + q, j0 + j);
      for (int64_t i0 = 0; i0 < p.m; i0 += kBlock) {
        const int64_t m = std::min(kBlock, p.m - i0);
        for (int64_t i = 0; i < m; ++i)
          for (int64_t q = 0; q < k; ++q) a[i * kBlock + q] = *p.a_at(i0 + i, k0 + q);
        small_gemm(m, n, k, a, kBlock, b, kBlock, p.c + i0 * p.ldc + j0, p.ldc, p.accumulate || k0 > 0);
      }
    }
}

#endif

void add_bias_relu(const Problem& p) {
  for (int64_t i = 0; i < p.m; ++i) {
    float* c = p.c + i * p.ldc;
    if (p.bias)
      for (int64_t j = 0; j < p.n; ++j) c[j] += p.bias[j];
    if (p.relu)
      for (int64_t j = 0; j < p.n; ++j) c[j] = c[j] < 0 ? 0 : c[j];
  }
}

// Rows [begin, end) of c, or columns.
Problem rows_of(Problem p, int64_t begin, int64_t end) {
  p.a = p.a_at(begin, 0);
  p.c += begin * p.ldc;
  p.m = end - begin;
  return p;
}
Problem columns_of(Problem p, int64_t begin, int64_t end) {
  p.b = p.b_at(0, begin);
  p.c += begin;
  if (p.bias) p.bias += begin;
  p.n = end - begin;
  return p;
}

// Up to four columns or a sum of up to four terms: memory bound, and what a model ends in (a logit).
constexpr int64_t kThin = 4, kTile = 1024;

// c[m, n <= 4] = a b
void thin_forward(const Problem& p) {
  float columns[kThin][kTile];
  for (int64_t k0 = 0; k0 < p.k; k0 += kTile) {
    const int64_t k = std::min(kTile, p.k - k0);
    for (int64_t j = 0; j < p.n; ++j)
      for (int64_t q = 0; q < k; ++q) columns[j][q] = p.b[(k0 + q) * p.ldb + j];
    for (int64_t i = 0; i < p.m; ++i)
      for (int64_t j = 0; j < p.n; ++j) {
        float& c = p.c[i * p.ldc + j];
        const float sum = dot(p.a + i * p.lda + k0, columns[j], k);
        c = p.accumulate || k0 > 0 ? c + sum : sum;
      }
  }
}

// c[m, n <= 4] = a^T b; `p` holds at most kTile rows of c.
void thin_weight_gradient(const Problem& p) {
  float sums[kThin][kTile] = {};
  for (int64_t q = 0; q < p.k; ++q)
    for (int64_t j = 0; j < p.n; ++j) add_scaled(sums[j], p.a + q * p.lda, p.b[q * p.ldb + j], p.m);
  for (int64_t i = 0; i < p.m; ++i)
    for (int64_t j = 0; j < p.n; ++j) {
      float& c = p.c[i * p.ldc + j];
      c = p.accumulate ? c + sums[j][i] : sums[j][i];
    }
}

// c = a[m, k <= 4] b^T
void thin_input_gradient(const Problem& p) {
  float columns[kThin][kTile];
  for (int64_t j0 = 0; j0 < p.n; j0 += kTile) {
    const int64_t n = std::min(kTile, p.n - j0);
    for (int64_t q = 0; q < p.k; ++q)
      for (int64_t j = 0; j < n; ++j) columns[q][j] = p.b[(j0 + j) * p.ldb + q];
    for (int64_t i = 0; i < p.m; ++i) {
      float* c = p.c + i * p.ldc + j0;
      if (!p.accumulate) std::fill_n(c, n, 0.0f);
      for (int64_t q = 0; q < p.k; ++q) add_scaled(c, columns[q], p.a[i * p.lda + q], n);
    }
  }
}

int64_t grain(int64_t work_per_item) {
  return std::max<int64_t>(1, 65536 / std::max<int64_t>(1, work_per_item));
}

// Every element of c is one sum in one order, whatever the number of threads.
void gemm_cpu(Context& ctx, const Tensor& a, const Tensor& b, const Tensor& c, GemmOptions options) {
  const Problem p = describe(a, b, c, options);
  constexpr int64_t kLanes = 16;
  auto finish = [](const Problem& part, void (*product)(const Problem&)) {
    product(part);
    if (part.bias || part.relu) add_bias_relu(part);
  };
  auto over_rows = [&](int64_t unit, void (*product)(const Problem&)) {
    parallel_for(ctx.threads, (p.m + unit - 1) / unit, grain(unit * p.n * p.k),
                 [&](int64_t begin, int64_t end) {
                   finish(rows_of(p, begin * unit, std::min(p.m, end * unit)), product);
                 });
  };
  const bool plain = !p.transpose_a && !p.transpose_b;
  if (plain && p.n <= kThin) {
    over_rows(1, thin_forward);
  } else if (p.transpose_a && !p.transpose_b && p.n <= kThin) {
    parallel_for(ctx.threads, (p.m + kLanes - 1) / kLanes, grain(kLanes * p.k),
                 [&](int64_t begin, int64_t end) {
                   const int64_t last = std::min(p.m, end * kLanes);
                   for (int64_t i = begin * kLanes; i < last; i += kTile)
                     finish(rows_of(p, i, std::min(last, i + kTile)), thin_weight_gradient);
                 });
  } else if (!p.transpose_a && p.transpose_b && p.k <= kThin) {
    over_rows(1, thin_input_gradient);
  } else if (p.m >= p.n) {
    over_rows(kLanes, serial_gemm);
  } else {
    parallel_for(ctx.threads, (p.n + kLanes - 1) / kLanes, grain(kLanes * p.m * p.k),
                 [&](int64_t begin, int64_t end) {
                   finish(columns_of(p, begin * kLanes, std::min(p.n, end * kLanes)), serial_gemm);
                 });
  }
}

}  // namespace

constinit decltype(gemm) gemm{"gemm", {DType::f32, gemm_cpu}};

}  // namespace ctr
