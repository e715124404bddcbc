// SPDX-License-Identifier: Apache-2.0
#include "kernels/gemm_seconds.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <vector>

#include "kernels/gemm.h"

namespace ctr {
namespace {

// The products of one type, and the shortest time of each.
template <class T>
class Layer {
 public:
  Layer(int64_t m, int64_t n, int64_t k)
      : x_({m, k}, static_cast<size_t>(m * k)),
        w_({k, n}, static_cast<size_t>(k * n)),
        y_({m, n}, static_cast<size_t>(m * n)),
        d_w_({k, n}, static_cast<size_t>(k * n)) {
    best_.fill(1e30);
  }

  void run() {
    const Tensor x = x_.tensor(), w = w_.tensor(), y = y_.tensor(), d_w = d_w_.tensor();
    time(0, [&] { gemm(ctx_, x, w, y, {}); });
    time(1, [&] { gemm(ctx_, y, w, x, {.transpose_b = true}); });
    time(2, [&] { gemm(ctx_, x, y, d_w, {.transpose_a = true}); });
  }
  double seconds() const { return best_[0] + best_[1] + best_[2]; }

 private:
  template <class E>
  struct Matrix {
    Matrix(Shape s, size_t n) : shape(s), elements(n) {}
    Tensor tensor() { return {dtype_of<E>, shape, elements.data()}; }
    Shape shape;
    std::vector<E> elements;
  };

  template <class Product>
  void time(size_t which, const Product& product) {
    using Clock = std::chrono::steady_clock;
    const auto start = Clock::now();
    product();
    best_[which] = std::min(best_[which], std::chrono::duration<double>(Clock::now() - start).count());
  }

  Context ctx_;
  Matrix<T> x_, w_, y_;
  Matrix<float> d_w_;
  std::array<double, 3> best_;
};

}  // namespace

// Whatever else the machine does only adds time: in some round, each product runs undisturbed. The first one
// prepares them.
GemmSeconds measure_gemm(int64_t m, int64_t n, int64_t k) {
  constexpr int kRounds = 10;
  Layer<float> f32(m, n, k);
  Layer<bf16> narrow(m, n, k);
  for (int i = 0; i < kRounds; ++i) {
    f32.run();
    narrow.run();
  }
  return {f32.seconds(), narrow.seconds()};
}

}  // namespace ctr
