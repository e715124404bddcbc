// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "base/dtype.h"

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

// Rows or columns of c that a thread takes at a time.
inline constexpr int64_t kGemmUnit = 16;

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

// On one CPU thread. Every element of c is one sum in one order, whichever part of a larger c is asked for:
// in f32 any, in bf16 whole units of rows.
void serial_gemm(const GemmProblem<float, float>&);
void serial_gemm(const GemmProblem<bf16, float>&);  // with oneDNN only, as the next
void serial_gemm(const GemmProblem<bf16, bf16>&);

}  // namespace ctr
