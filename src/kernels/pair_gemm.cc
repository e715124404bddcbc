// SPDX-License-Identifier: Apache-2.0
#include "kernels/pair_gemm.h"

#include <cstring>

#include "base/parallel.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace ctr {
namespace {

template <class C>
struct Operands {
  int64_t k;
  const bf16* a;
  int64_t a_stride;
  const bf16* b;
  int64_t b_stride;
  C* c;
  int64_t c_stride;
  bool accumulate;
};

constexpr int64_t kLanes = 16;

#ifdef __x86_64__
#define CTR_BF16_INSTRUCTIONS __attribute__((target("avx512f,avx512bf16")))

CTR_BF16_INSTRUCTIONS __m512 load(const float* c) { return _mm512_loadu_ps(c); }
CTR_BF16_INSTRUCTIONS __m512 load(const bf16* c) {
  typedef uint16_t Halves __attribute__((vector_size(32), aligned(2), may_alias));
  typedef uint32_t Words __attribute__((vector_size(64)));
  return reinterpret_cast<__m512>(__builtin_convertvector(*reinterpret_cast<const Halves*>(c), Words) << 16);
}
CTR_BF16_INSTRUCTIONS void store(float* c, __m512 sum) { _mm512_storeu_ps(c, sum); }
CTR_BF16_INSTRUCTIONS void store(bf16* c, __m512 sum) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(c), (__m256i)_mm512_cvtneps_pbh(sum));
}

// R rows by V vectors of c, held in registers.
template <int R, int V, class C>
CTR_BF16_INSTRUCTIONS void tile(const Operands<C>& o) {
  __m512 sum[R][V] = {};
  for (int64_t p = 0; p < o.k / 2; ++p) {
    __m512bh b[V];
    for (int v = 0; v < V; ++v) b[v] = (__m512bh)_mm512_loadu_si512(o.b + 2 * (p * o.b_stride + v * kLanes));
    for (int r = 0; r < R; ++r) {
      int pair;
      std::memcpy(&pair, o.a + r * o.a_stride + 2 * p, sizeof pair);
      for (int v = 0; v < V; ++v)
        sum[r][v] = _mm512_dpbf16_ps(sum[r][v], (__m512bh)_mm512_set1_epi32(pair), b[v]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) {
      C* c = o.c + r * o.c_stride + v * kLanes;
      store(c, o.accumulate ? load(c) + sum[r][v] : sum[r][v]);
    }
}

template <int R, int V, class C>
void row_tile(const Operands<C>& o, int64_t rows) {
  if (rows == R) return tile<R, V>(o);
  if constexpr (R > 1) row_tile<R - 1, V>(o, rows);
}

// Rows are dealt out evenly: a small tile cannot hide how long an instruction takes.
template <int V, class C>
void column_tile(const Operands<C>& whole, int64_t m) {
  constexpr int kRows = 9;
  const int tiles = static_cast<int>((m + kRows - 1) / kRows);
  for (int t = 0; t < tiles; ++t) {
    const Range rows = split(m, t, tiles);
    Operands<C> o = whole;
    o.a += rows.begin * o.a_stride;
    o.c += rows.begin * o.c_stride;
    row_tile<kRows, V>(o, rows.end - rows.begin);
  }
}

template <class C>
void with_instructions(int64_t m, int64_t n, Operands<C> o) {
  for (; n > 0; n -= 2 * kLanes) {
    if (n > kLanes)
      column_tile<2>(o, m);
    else
      column_tile<1>(o, m);
    o.b += 2 * 2 * kLanes;
    o.c += 2 * kLanes;
  }
}

#endif

template <class C>
void without_instructions(int64_t m, int64_t n, const Operands<C>& o) {
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      C& c = o.c[i * o.c_stride + j];
      float sum = o.accumulate ? to_float(c) : 0;
      for (int64_t q = 0; q < o.k; ++q)
        sum += to_float(o.a[i * o.a_stride + q]) * to_float(o.b[2 * (q / 2 * o.b_stride + j) + q % 2]);
      c = from_float<C>(sum);
    }
}

template <class C>
void multiply(int64_t m, int64_t n, const Operands<C>& o) {
#ifdef CTR_BF16_INSTRUCTIONS
  if (__builtin_cpu_supports("avx512bf16")) return with_instructions(m, n, o);
#endif
  without_instructions(m, n, o);
}

}  // namespace

void small_gemm(int64_t m, int64_t n, int64_t k, const bf16* a, int64_t a_stride, const bf16* b,
                int64_t b_stride, float* c, int64_t c_stride, bool accumulate) {
  multiply<float>(m, n, {k, a, a_stride, b, b_stride, c, c_stride, accumulate});
}
void small_gemm(int64_t m, int64_t n, int64_t k, const bf16* a, int64_t a_stride, const bf16* b,
                int64_t b_stride, bf16* c, int64_t c_stride, bool accumulate) {
  multiply<bf16>(m, n, {k, a, a_stride, b, b_stride, c, c_stride, accumulate});
}

}  // namespace ctr
