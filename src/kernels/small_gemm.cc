// SPDX-License-Identifier: Apache-2.0
#include "kernels/small_gemm.h"

#include <algorithm>
#include <cstring>

#include "base/vectorize.h"

namespace ctr {
namespace {

constexpr int64_t kRows = 6, kLanes = 16;
typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float)), aligned(sizeof(float)), may_alias));

struct Operands {
  int64_t k;
  const float* a;
  int64_t a_stride;
  const float* b;
  int64_t b_stride;
  float* c;
  int64_t c_stride;
  bool accumulate;
};

// R rows by 16 columns of c, held in registers.
template <int R>
inline __attribute__((always_inline)) void full_tile(const Operands& o) {
  Lanes sum[R];
  for (int r = 0; r < R; ++r)
    sum[r] = o.accumulate ? *reinterpret_cast<const Lanes*>(o.c + r * o.c_stride) : Lanes{};
  for (int64_t p = 0; p < o.k; ++p) {
    const Lanes b = *reinterpret_cast<const Lanes*>(o.b + p * o.b_stride);
    for (int r = 0; r < R; ++r) sum[r] += o.a[r * o.a_stride + p] * b;
  }
  for (int r = 0; r < R; ++r) *reinterpret_cast<Lanes*>(o.c + r * o.c_stride) = sum[r];
}

inline __attribute__((always_inline)) void edge_tile(const Operands& o, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; ++r) {
    float sum[kLanes] = {};
    if (o.accumulate) std::copy_n(o.c + r * o.c_stride, columns, sum);
    for (int64_t p = 0; p < o.k; ++p)
      for (int64_t j = 0; j < columns; ++j) sum[j] += o.a[r * o.a_stride + p] * o.b[p * o.b_stride + j];
    std::copy_n(sum, columns, o.c + r * o.c_stride);
  }
}

inline __attribute__((always_inline)) void tile(const Operands& o, int64_t rows, int64_t columns) {
  if (columns < kLanes) return edge_tile(o, rows, columns);
  switch (rows) {
    case 6: return full_tile<6>(o);
    case 5: return full_tile<5>(o);
    case 4: return full_tile<4>(o);
    case 3: return full_tile<3>(o);
    case 2: return full_tile<2>(o);
    default: return full_tile<1>(o);
  }
}

}  // namespace

CTR_VECTORIZE void small_gemm(int64_t m, int64_t n, int64_t k, const float* a, int64_t a_stride,
                              const float* b, int64_t b_stride, float* c, int64_t c_stride, bool accumulate) {
  for (int64_t j = 0; j < n; j += kLanes)
    for (int64_t i = 0; i < m; i += kRows) {
      const Operands o{k,        a + i * a_stride,     a_stride, b + j,
                       b_stride, c + i * c_stride + j, c_stride, accumulate};
      tile(o, std::min(kRows, m - i), std::min(kLanes, n - j));
    }
}

CTR_VECTORIZE float dot(const float* a, const float* b, int64_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

CTR_VECTORIZE void add_scaled(float* y, const float* x, float scale, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += scale * x[i];
}

}  // namespace ctr
