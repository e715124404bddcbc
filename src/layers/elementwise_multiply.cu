// SPDX-License-Identifier: Apache-2.0
#include "layers/elementwise_multiply.h"

#include "kernels/elementwise.cuh"

namespace ctr {
namespace {

constexpr size_t kFactors = 32;  // of one pass

template <class T>
struct Factors {
  Matrix<T> x[kFactors];
  int count;
};

// A block of a matrix.
template <class T>
Matrix<T> block_of(const Matrix<T>& m, int64_t row, int64_t column, int64_t rows, int64_t columns) {
  return {m.at(row, column), rows, columns, m.stride};
}

// out = the product of all factors; between passes, products wait in the workspace.
template <class T>
void multiply_block(Context& ctx, std::string_view name, const std::vector<Matrix<T>>& factors, Matrix<T> out,
                    bool accumulate) {
  float* products =
      factors.size() <= kFactors ? nullptr : cuda::stream_of(ctx).workspace<float>(out.rows * out.columns);
  for (size_t begin = 0; begin < factors.size(); begin += kFactors) {
    Factors<T> pass{{}, static_cast<int>(std::min(kFactors, factors.size() - begin))};
    std::copy_n(factors.begin() + static_cast<ptrdiff_t>(begin), pass.count, pass.x);
    const bool is_first = begin == 0, is_last = begin + kFactors >= factors.size();
    cuda::for_each_element(ctx, name, out.rows, out.columns, [=] __device__(int64_t r, int64_t c) {
      float& waiting = products[r * out.columns + c];
      float product = is_first ? 1.0f : waiting;
      for (int k = 0; k < pass.count; ++k) product *= cuda::load(*pass.x[k].at(r, c));
      if (is_last)
        cuda::store(*out.at(r, c), product, accumulate);
      else
        waiting = product;
    });
  }
}

// target = first times all x but x[skip]
template <class T>
void multiply(Context& ctx, std::string_view name, const Tensor& first, std::span<const Tensor> x,
              size_t skip, const Tensor& target, bool accumulate) {
  const int64_t row = common_row({&first, &target}, x);
  std::vector<Matrix<T>> factors = {first.matrix<T>(row)};
  for (size_t k = 0; k < x.size(); ++k)
    if (k != skip) factors.push_back(x[k].matrix<T>(row));
  const auto out = target.matrix<T>(row);
  if (factors.size() <= kFactors) return multiply_block(ctx, name, factors, out, accumulate);
  constexpr auto kRoom = static_cast<int64_t>(cuda::Stream::kMaxWorkspaceBytes / sizeof(float));
  const int64_t columns = std::min(out.columns, kRoom), rows = std::min(out.rows, kRoom / columns);
  for (int64_t r = 0; r < out.rows; r += rows)
    for (int64_t c = 0; c < out.columns; c += columns) {
      const auto part = [&](const Matrix<T>& m) {
        return block_of(m, r, c, std::min(rows, out.rows - r), std::min(columns, out.columns - c));
      };
      std::vector<Matrix<T>> parts;
      for (const Matrix<T>& m : factors) parts.push_back(part(m));
      multiply_block(ctx, name, parts, part(out), accumulate);
    }
}

template <class T>
void forward_cuda(Context& ctx, const Tensor& y, std::span<const Tensor> x) {
  multiply<T>(ctx, "ElementwiseMultiply.forward", x[0], x, 0, y, false);
}

template <class T>
void backward_cuda(Context& ctx, const Tensor& d_y, std::span<const Tensor> x, int64_t skip,
                   const Tensor& d_x, bool accumulate) {
  multiply<T>(ctx, "ElementwiseMultiply.backward", d_y, x, static_cast<size_t>(skip), d_x, accumulate);
}

}  // namespace

void register_elementwise_multiply_cuda() {
  cuda::for_storage_types([]<class T>(T) {
    multiply_forward.set(Backend::cuda, dtype_of<T>, forward_cuda<T>);
    multiply_backward.set(Backend::cuda, dtype_of<T>, backward_cuda<T>);
  });
}

}  // namespace ctr
