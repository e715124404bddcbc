// SPDX-License-Identifier: Apache-2.0
#include "kernels/small_gemm.h"

#include <algorithm>
#include <cstring>

#include "base/vectorize.h"

namespace ctr {
namespace {

constexpr int64_t kRows = 4, kLanes = 16;
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

// R rows by V vectors of c, held in registers.
template <int R, int V>
inline __attribute__((always_inline)) void full_tile(const Operands& o) {
  Lanes sum[R][V];
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v)
      sum[r][v] = o.accumulate ? *reinterpret_cast<const Lanes*>(o.c + r * o.c_stride + v * kLanes) : Lanes{};
  for (int64_t p = 0; p < o.k; ++p) {
    Lanes b[V];
    for (int v = 0; v < V; ++v) b[v] = *reinterpret_cast<const Lanes*>(o.b + p * o.b_stride + v * kLanes);
    for (int r = 0; r < R; ++r) {
      const Lanes a = o.a[r * o.a_stride + p] - Lanes{};  // broadcast: x - 0 is x
      for (int v = 0; v < V; ++v) sum[r][v] += a * b[v];
    }
  }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) *reinterpret_cast<Lanes*>(o.c + r * o.c_stride + v * kLanes) = sum[r][v];
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

template <int V>
inline __attribute__((always_inline)) void row_tiles(const Operands& o, int64_t rows) {
  switch (rows) {
    case 4: return full_tile<4, V>(o);
    case 3: return full_tile<3, V>(o);
    case 2: return full_tile<2, V>(o);
    default: return full_tile<1, V>(o);
  }
}

template <class A, class B>
inline __attribute__((always_inline)) float sum_of_products(const A* a, const B* b, int64_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += to_float(a[i]) * to_float(b[i]);
  return sum;
}

template <class X>
inline __attribute__((always_inline)) void add_products(float* y, const X* x, float scale, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += scale * to_float(x[i]);
}

}  // namespace

CTR_VECTORIZE void small_gemm(int64_t m, int64_t n, int64_t k, const float* a, int64_t a_stride,
                              const float* b, int64_t b_stride, float* c, int64_t c_stride, bool accumulate) {
  int64_t columns = 0;
  for (int64_t j = 0; j < n; j += columns) {
    columns = n - j >= 2 * kLanes ? 2 * kLanes : std::min(kLanes, n - j);
    for (int64_t i = 0; i < m; i += kRows) {
      const Operands o{k,        a + i * a_stride,     a_stride, b + j,
                       b_stride, c + i * c_stride + j, c_stride, accumulate};
      const int64_t rows = std::min(kRows, m - i);
      if (columns == 2 * kLanes)
        row_tiles<2>(o, rows);
      else if (columns == kLanes)
        row_tiles<1>(o, rows);
      else
        edge_tile(o, rows, columns);
    }
  }
}

CTR_VECTORIZE float dot(const float* a, const float* b, int64_t n) { return sum_of_products(a, b, n); }
CTR_VECTORIZE float dot(const bf16* a, const float* b, int64_t n) { return sum_of_products(a, b, n); }
CTR_VECTORIZE float dot(const bf16* a, const bf16* b, int64_t n) { return sum_of_products(a, b, n); }

CTR_VECTORIZE void add_scaled(float* y, const float* x, float scale, int64_t n) {
  add_products(y, x, scale, n);
}
CTR_VECTORIZE void add_scaled(float* y, const bf16* x, float scale, int64_t n) {
  add_products(y, x, scale, n);
}

}  // namespace ctr
