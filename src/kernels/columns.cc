// SPDX-License-Identifier: Apache-2.0
#include "kernels/columns.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/parallel.h"
#include "kernels/storage.h"

namespace ctr {
namespace {

// Rows of bytes in two matrices, a stride apart.
struct ByteRows {
  const char* from;
  int64_t from_stride;
  char* to;
  int64_t to_stride, width;
};

// Rows of W to 2 W bytes: two moves that may overlap, without a call.
template <size_t W>
void copy_narrow(const ByteRows& rows, int64_t begin, int64_t end) {
  const int64_t last = rows.width - static_cast<int64_t>(W);
  for (int64_t r = begin; r < end; ++r) {
    const char* from = rows.from + r * rows.from_stride;
    char *to = rows.to + r * rows.to_stride, head[W], tail[W];
    std::memcpy(head, from, W);
    std::memcpy(tail, from + last, W);
    std::memcpy(to, head, W);
    std::memcpy(to + last, tail, W);
  }
}

void copy_wide(const ByteRows& rows, int64_t begin, int64_t end) {
  constexpr int64_t kAhead = 4;
  for (int64_t r = begin; r < end; ++r) {
    char* to = rows.to + r * rows.to_stride;
    if (r + kAhead < end) prefetch_to_write(to + kAhead * rows.to_stride, rows.width);
    std::memcpy(to, rows.from + r * rows.from_stride, static_cast<size_t>(rows.width));
  }
}

void copy_rows(const ByteRows& rows, int64_t begin, int64_t end) {
  switch (std::bit_floor(static_cast<uint64_t>(rows.width))) {
    case 2: return copy_narrow<2>(rows, begin, end);
    case 4: return copy_narrow<4>(rows, begin, end);
    case 8: return copy_narrow<8>(rows, begin, end);
    case 16: return copy_narrow<16>(rows, begin, end);
    case 32: return copy_narrow<32>(rows, begin, end);
    default: return copy_wide(rows, begin, end);
  }
}

template <class T>
void copy_columns_cpu(Context& ctx, const Tensor& source, const Tensor& target, int64_t rows,
                      ColumnBlock block, bool accumulate) {
  if (rows == 0) return;
  const int64_t source_width = source.numel() / rows, target_width = target.numel() / rows;
  const T* from = source.data<T>() + block.source;
  T* to = target.data<T>() + block.target;
  constexpr int64_t kSize = sizeof(T);
  const ByteRows bytes{reinterpret_cast<const char*>(from), source_width * kSize, reinterpret_cast<char*>(to),
                       target_width * kSize, block.width * kSize};
  const int64_t grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, block.width));
  parallel_for(ctx.threads, rows, grain, [&](int64_t begin, int64_t end) {
    if (!accumulate) return copy_rows(bytes, begin, end);
    for (int64_t r = begin; r < end; ++r) add_as(from + r * source_width, block.width, to + r * target_width);
  });
}

}  // namespace

constinit decltype(copy_columns) copy_columns{
    "copy_columns", {DType::f32, copy_columns_cpu<float>}, {DType::bf16, copy_columns_cpu<bf16>}};

}  // namespace ctr
