// SPDX-License-Identifier: Apache-2.0
#include "layers/interaction.h"

#include <algorithm>

#include "base/checked.h"
#include "base/parallel.h"
#include "base/vectorize.h"
#include "kernels/pair_gemm.h"
#include "kernels/small_gemm.h"
#include "kernels/storage.h"
#include "layers/layer.h"

namespace ctr {
namespace {

class Interaction final : public Layer {
 public:
  LayerShapes infer(const InferContext& inputs) const override {
    const Shape &m = inputs[0], &f = inputs[1];
    require(m.rank() == 2 && f.rank() == 3 && m[0] == f[0] && m[1] == f[2],
            "needs inputs [batch, dim] and [batch, slots, dim], got {} and {}", to_string(m), to_string(f));
    static_cast<void>(checked_product(f[1], f[1] + 1));  // twice the pairs
    return {.outputs = {{m[0], InteractionShape{f[0], f[1], f[2]}.width()}},
            .strided_inputs = Strided::samples,
            .strided_outputs = Strided::rows};
  }
  void forward(Context& ctx, const LayerRun& run) const override {
    interaction_forward(ctx, run.x[0], run.x[1], run.y[0]);
  }
  void backward(Context& ctx, const LayerRun& run) const override {
    const auto wanted = [&](size_t i) { return run.wants(i) ? run.d_x[i] : Tensor(); };
    interaction_backward(ctx, run.x[0], run.x[1], run.d_y[0],
                         {wanted(0), wanted(1), run.accumulates(0), run.accumulates(1)});
  }
};

constexpr int64_t kGrain = 8;  // samples
// Pairs of rows are worked on in square blocks, dims in strips: everything a block needs stays in the nearest
// cache. Strips are filled up with zeros to whole vectors.
constexpr int64_t kBlock = 32, kStrip = 128, kVector = 16;

// Terms of a sum that small_gemm() takes together: a word of 32 bits.
template <class T>
constexpr int64_t kTerms = sizeof(float) / sizeof(T);

int64_t whole_vectors(int64_t n) { return (n + kVector - 1) / kVector * kVector; }

InteractionShape shape_of(const Tensor& f) { return {f.shape()[0], f.shape()[1], f.shape()[2]}; }

// Row i of a sample.
template <class T>
struct SampleRows {
  const T *m, *f;
  int64_t dim;
  const T* operator[](int64_t i) const { return i == 0 ? m : f + (i - 1) * dim; }
};

// A strip of `rows` rows: out[i, e] = z[i0 + i][e0 + e], zero from row n or dim ne on.
template <class T>
void gather(const SampleRows<T>& z, int64_t i0, int64_t n, int64_t e0, int64_t ne, int64_t rows, T* out) {
  const int64_t width = whole_vectors(ne);
  for (int64_t i = 0; i < rows; ++i, out += kStrip) {
    if (i < n) std::copy_n(z[i0 + i] + e0, ne, out);
    std::fill(out + (i < n ? ne : 0), out + width, T{});
  }
}

// Rows as columns of small_gemm()'s right factor: words[e, j] is word e of row j. In blocks of 4 x 4:
// shuffles instead of single elements.
template <class T>
CTR_VECTORIZE void transpose(const T* rows, int64_t width, T* words) {
  typedef float Four __attribute__((vector_size(16), aligned(alignof(bf16)), may_alias));
  constexpr int64_t kRow = kBlock * kTerms<T>;
  for (int64_t j = 0; j < kBlock; j += 4)
    for (int64_t e = 0; e < width; e += 4 * kTerms<T>) {
      Four in[4];
      for (int r = 0; r < 4; ++r) in[r] = *reinterpret_cast<const Four*>(rows + (j + r) * kStrip + e);
      const Four low01 = __builtin_shufflevector(in[0], in[1], 0, 4, 1, 5),
                 high01 = __builtin_shufflevector(in[0], in[1], 2, 6, 3, 7);
      const Four low23 = __builtin_shufflevector(in[2], in[3], 0, 4, 1, 5),
                 high23 = __builtin_shufflevector(in[2], in[3], 2, 6, 3, 7);
      T* out = words + e * kBlock + j * kTerms<T>;
      *reinterpret_cast<Four*>(out) = __builtin_shufflevector(low01, low23, 0, 1, 4, 5);
      *reinterpret_cast<Four*>(out + kRow) = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
      *reinterpret_cast<Four*>(out + 2 * kRow) = __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
      *reinterpret_cast<Four*>(out + 3 * kRow) = __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
    }
}

// y[pair(i, j)] for i in [i0, i0 + kBlock), j in [j0, j0 + kBlock), j < i.
template <class T>
void forward_block(const InteractionShape& s, const SampleRows<T>& z, int64_t i0, int64_t j0, T* y) {
  constexpr int64_t kHalf = kBlock / 2;
  const int64_t ni = std::min(kBlock, s.rows() - i0), nj = std::min(kBlock, s.rows() - j0);
  const int64_t upper = i0 == j0 ? std::min(kHalf, ni) : 0;  // rows that need no columns of the right half
  T rows[kBlock * kStrip], others[kBlock * kStrip], words[kStrip * kBlock];
  float products[kBlock * kBlock];
  for (int64_t e0 = 0; e0 < s.dim; e0 += kStrip) {
    const int64_t ne = std::min(kStrip, s.dim - e0), width = whole_vectors(ne);
    gather(z, i0, ni, e0, ne, kBlock, rows);
    if (i0 != j0) gather(z, j0, nj, e0, ne, kBlock, others);
    transpose(i0 == j0 ? rows : others, width, words);
    small_gemm(upper, kHalf, width, rows, kStrip, words, kBlock, products, kBlock, e0 > 0);
    small_gemm(ni - upper, kBlock, width, rows + upper * kStrip, kStrip, words, kBlock,
               products + upper * kBlock, kBlock, e0 > 0);
  }
  for (int64_t i = std::max(i0, j0 + 1); i < i0 + ni; ++i)
    copy_as(products + (i - i0) * kBlock, std::min(nj, i - j0), y + s.pair(i, j0));
}

template <class T>
void forward_cpu(Context& ctx, const Tensor& m, const Tensor& f, const Tensor& y) {
  const InteractionShape s = shape_of(f);
  const auto first = m.matrix<T>(), rest = f.matrix<T>(s.slots * s.dim), to = y.matrix<T>();
  parallel_for(ctx.threads, s.batch, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const SampleRows<T> z{first.at(b), rest.at(b), s.dim};
      T* out = to.at(b);
      std::copy_n(z[0], s.dim, out);
      for (int64_t i0 = 0; i0 < s.rows(); i0 += kBlock)
        for (int64_t j0 = 0; j0 <= i0; j0 += kBlock) forward_block(s, z, i0, j0, out);
      out[s.width() - 1] = T{};
    }
  });
}

// The symmetric matrix of the pairs' gradients, rows from i0 and columns from j0, zero where that is outside.
template <class T>
void gather_gradients(const InteractionShape& s, const T* g, int64_t i0, int64_t j0, T* out) {
  const int64_t ni = std::min(kBlock, s.rows() - i0), nj = std::min(kBlock, s.rows() - j0);
  for (int64_t i = i0; i < i0 + ni; ++i, out += kBlock) {
    const int64_t below = std::clamp(i, j0, j0 + nj) - j0;
    std::copy_n(g + s.pair(i, j0), below, out);
    for (int64_t j = below; j < nj; ++j) out[j] = j0 + j == i ? T{} : g[s.pair(j0 + j, i)];
    std::fill(out + nj, out + kBlock, T{});
  }
}

// words[2e] = rows[0, e], words[2e + 1] = rows[1, e]
CTR_VECTORIZE void interleave(const bf16* rows, bf16* words) {
  typedef uint16_t Half __attribute__((vector_size(32), aligned(2), may_alias));
  typedef uint16_t Whole __attribute__((vector_size(64), aligned(2), may_alias));
  for (int64_t e = 0; e < kStrip; e += kVector) {
    const Half a = *reinterpret_cast<const Half*>(rows + e),
               b = *reinterpret_cast<const Half*>(rows + kStrip + e);
    *reinterpret_cast<Whole*>(words + 2 * e) =
        __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23, 8, 24, 9, 25,
                                10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  }
}

// A strip of a block of rows as the right factor of small_gemm(): in bf16, neighbours are interleaved.
template <class T>
void gather_words(const SampleRows<T>& z, int64_t j0, int64_t n, int64_t e0, int64_t ne, T* words) {
  if constexpr (std::is_same_v<T, float>) {
    gather(z, j0, n, e0, ne, n, words);
  } else {
    for (int64_t j = 0; j < n; j += 2) {
      T rows[2 * kStrip];
      gather(z, j0 + j, std::min<int64_t>(2, n - j), e0, ne, 2, rows);
      interleave(rows, words + j * kStrip);
    }
  }
}

// A strip of the gradients of rows [i0, i0 + n) goes where it belongs.
template <class T>
void put_rows(const InteractionShape& s, float* d_z, const T* g, int64_t i0, int64_t n, int64_t e0, T* d_m,
              T* d_f, const InteractionGradient& out) {
  const int64_t ne = std::min(kStrip, s.dim - e0);
  for (int64_t i = i0; i < i0 + n; ++i, d_z += kStrip) {
    if (i > 0) {
      if (d_f) put_as(d_z, ne, d_f + (i - 1) * s.dim + e0, out.accumulate_f);
    } else if (d_m) {
      add_scaled(d_z, g + e0, 1.0f, ne);
      put_as(d_z, ne, d_m + e0, out.accumulate_m);
    }
  }
}

// d_z[i] = sum_j A[i, j] z[j], A being the symmetric matrix of the pairs' gradients.
template <class T>
void backward_sample(const InteractionShape& s, const SampleRows<T>& z, const T* g, T* d_m, T* d_f,
                     const InteractionGradient& out) {
  T a[kBlock * kBlock], words[kBlock * kStrip];
  float d_z[kBlock * kStrip];
  for (int64_t i0 = 0; i0 < s.rows(); i0 += kBlock)
    for (int64_t e0 = 0; e0 < s.dim; e0 += kStrip) {
      const int64_t ni = std::min(kBlock, s.rows() - i0), ne = std::min(kStrip, s.dim - e0);
      // One product of whole vectors needs no buffer, but for row 0.
      const bool in_place = d_f && s.rows() <= kBlock && ne % kVector == 0;
      const int64_t buffered = in_place ? 1 : ni;
      for (int64_t j0 = 0; j0 < s.rows(); j0 += kBlock) {
        const int64_t nj = std::min(kBlock, s.rows() - j0),
                      terms = (nj + kTerms<T> - 1) / kTerms<T> * kTerms<T>;
        gather_words(z, j0, nj, e0, ne, words);
        gather_gradients(s, g, i0, j0, a);
        small_gemm(buffered, whole_vectors(ne), terms, a, kBlock, words, kStrip, d_z, kStrip, j0 > 0);
        if (in_place)
          small_gemm(ni - 1, ne, terms, a + kBlock, kBlock, words, kStrip, d_f + e0, s.dim, out.accumulate_f);
      }
      put_rows(s, d_z, g, i0, buffered, e0, d_m, d_f, out);
    }
}

template <class T>
void backward_cpu(Context& ctx, const Tensor& m, const Tensor& f, const Tensor& d_y,
                  const InteractionGradient& out) {
  const InteractionShape s = shape_of(f);
  const auto first = m.matrix<T>(), rest = f.matrix<T>(s.slots * s.dim), gradient = d_y.matrix<T>();
  const auto row = [](const Tensor& t, int64_t width, int64_t b) {
    return t ? t.matrix<T>(width).at(b) : nullptr;
  };
  parallel_for(ctx.threads, s.batch, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const SampleRows<T> z{first.at(b), rest.at(b), s.dim};
      T *d_m = row(out.d_m, s.dim, b), *d_f = row(out.d_f, s.slots * s.dim, b);
      if (d_f) prefetch_to_write(d_f, s.slots * s.dim);
      backward_sample(s, z, gradient.at(b), d_m, d_f, out);
    }
  });
}

}  // namespace

constinit decltype(interaction_forward) interaction_forward{
    "Interaction.forward", {DType::f32, forward_cpu<float>}, {DType::bf16, forward_cpu<bf16>}};
constinit decltype(interaction_backward) interaction_backward{
    "Interaction.backward", {DType::f32, backward_cpu<float>}, {DType::bf16, backward_cpu<bf16>}};

LayerDef interaction_layer() {
  return {.name = "Interaction",
          .doc = "pairwise inner products of the bottom MLP's output and all embeddings of a sample",
          .min_inputs = 2,
          .max_inputs = 2,
          .spare_tops = 1,
          .create = make_layer<Interaction>};
}

}  // namespace ctr
