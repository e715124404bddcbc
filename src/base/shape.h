// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

namespace ctr {

// Up to four extents, last one fastest. A value type.
class Shape {
 public:
  static constexpr int kMaxRank = 4;
  // Far beyond any memory, and far enough from 2^63 that sizes in bytes and their sums are exact.
  static constexpr int64_t kMaxElements = int64_t{1} << 48;

  Shape() = default;
  // Both throw invalid_argument when an extent is negative or there would be more than kMaxElements elements.
  Shape(std::initializer_list<int64_t> extents);
  void set(int i, int64_t extent);

  int rank() const { return rank_; }
  int64_t operator[](int i) const { return extents_[i < 0 ? i + rank_ : i]; }
  int64_t numel() const;
  int64_t last() const { return rank_ ? extents_[rank_ - 1] : 1; }
  // Product of all extents but the last: rows of the tensor seen as a matrix.
  int64_t rows() const { return last() ? numel() / last() : 0; }
  bool operator==(const Shape&) const = default;

 private:
  void check() const;

  std::array<int64_t, kMaxRank> extents_{};
  int rank_ = 0;
};

std::string to_string(const Shape& shape);  // "[128, 26, 16]"

}  // namespace ctr
