// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/dtype.h"
#include "base/parallel.h"

namespace ctr {

// c[m, n] = relu(op(a)[m, k] op(b)[k, n] + c + bias) with row strides; see kernels/gemm.h.
template <class T, class C>
struct GemmProblem {
  int64_t m, n, k;
  const T* a;
  int64_t lda;
  const T* b;
  int64_t ldb;
  C* c;
  int64_t ldc;
  bool transpose_a, transpose_b, accumulate, relu;
  const float* bias;

  const T* a_at(int64_t i, int64_t p) const { return a + (transpose_a ? p * lda + i : i * lda + p); }
  const T* b_at(int64_t p, int64_t j) const { return b + (transpose_b ? j * ldb + p : p * ldb + j); }

  // A finished element of column j.
  float epilogue(float sum, int64_t j) const {
    if (bias) sum += bias[j];
    return relu && sum < 0 ? 0 : sum;
  }
};

// Rows or columns of c that a thread takes at a time; the last unit also has what is left over: the library
// has ways of its own for fewer.
inline constexpr int64_t kGemmUnit = 16;
inline int64_t gemm_units(int64_t n) { return std::max<int64_t>(1, n / kGemmUnit); }
// Units [begin, end) of n rows or columns.
inline Range of_gemm_units(int64_t n, int64_t begin, int64_t end) {
  return {begin * kGemmUnit, end == gemm_units(n) ? n : end * kGemmUnit};
}

// Rows [begin, end) of c, or columns.
template <class T, class C>
GemmProblem<T, C> rows_of(GemmProblem<T, C> p, int64_t begin, int64_t end) {
  p.a = p.a_at(begin, 0);
  p.c += begin * p.ldc;
  p.m = end - begin;
  return p;
}
template <class T, class C>
GemmProblem<T, C> columns_of(GemmProblem<T, C> p, int64_t begin, int64_t end) {
  p.b = p.b_at(0, begin);
  p.c += begin;
  if (p.bias) p.bias += begin;
  p.n = end - begin;
  return p;
}

// On one CPU thread. Every element of c is one sum in one order, whichever whole units of a larger c are
// asked for: of rows, in f32 also of columns.
void serial_gemm(const GemmProblem<float, float>&);
void serial_gemm(const GemmProblem<bf16, float>&);  // with oneDNN only, as the next
void serial_gemm(const GemmProblem<bf16, bf16>&);

}  // namespace ctr
