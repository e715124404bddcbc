// SPDX-License-Identifier: Apache-2.0
#include "base/shape.h"

#include <algorithm>

#include "base/error.h"

namespace ctr {

Shape::Shape(std::initializer_list<int64_t> extents) : rank_(static_cast<int>(extents.size())) {
  require(extents.size() <= kMaxRank, "a tensor has at most {} dimensions, got {}", kMaxRank, extents.size());
  std::copy(extents.begin(), extents.end(), extents_.begin());
  check();
}

void Shape::set(int i, int64_t extent) {
  extents_[i < 0 ? i + rank_ : i] = extent;
  check();
}

void Shape::check() const {
  int64_t n = 1;
  bool fits = true;
  for (int i = 0; i < rank_; ++i) fits &= extents_[i] >= 0 && !__builtin_mul_overflow(n, extents_[i], &n);
  require(fits && n <= kMaxElements, "a tensor of {} is too large", to_string(*this));
}

int64_t Shape::numel() const {
  int64_t n = 1;
  for (int i = 0; i < rank_; ++i) n *= extents_[i];
  return n;
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (int i = 0; i < shape.rank(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

}  // namespace ctr
