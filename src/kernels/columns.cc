// SPDX-License-Identifier: Apache-2.0
#include "kernels/columns.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

#include "base/parallel.h"
#include "kernels/storage.h"

namespace ctr {
namespace {

// Pieces of bytes in two tensors.
struct BytePieces {
  const char* from;
  char* to;
  int64_t size, width;  // bytes of an element, of a piece
  const BlockPieces& block;

  const char* source(int64_t piece) const { return from + block.source(piece) * size; }
  char* target(int64_t piece) const { return to + block.target(piece) * size; }
};

// Pieces of W to 2 W bytes: two moves that may overlap, without a call.
template <size_t W>
void copy_narrow(const BytePieces& pieces, int64_t begin, int64_t end) {
  const int64_t last = pieces.width - static_cast<int64_t>(W);
  for (int64_t p = begin; p < end; ++p) {
    const char* from = pieces.source(p);
    char *to = pieces.target(p), head[W], tail[W];
    std::memcpy(head, from, W);
    std::memcpy(tail, from + last, W);
    std::memcpy(to, head, W);
    std::memcpy(to + last, tail, W);
  }
}

void copy_wide(const BytePieces& pieces, int64_t begin, int64_t end) {
  constexpr int64_t kAhead = 4;
  for (int64_t p = begin; p < end; ++p) {
    if (p + kAhead < end) prefetch_to_write(pieces.target(p + kAhead), pieces.width);
    std::memcpy(pieces.target(p), pieces.source(p), static_cast<size_t>(pieces.width));
  }
}

void copy_pieces(const BytePieces& rows, int64_t begin, int64_t end) {
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
  const BlockPieces pieces = cut_block(source, target, rows, block);
  if (pieces.count == 0) return;
  const T* from = source.first<T>();
  T* to = target.first<T>();
  const BytePieces bytes{reinterpret_cast<const char*>(from), reinterpret_cast<char*>(to), sizeof(T),
                         pieces.width * static_cast<int64_t>(sizeof(T)), pieces};
  const int64_t grain = std::max<int64_t>(1, 16384 / pieces.width);
  parallel_for(ctx.threads, pieces.count, grain, [&](int64_t begin, int64_t end) {
    if (!accumulate) return copy_pieces(bytes, begin, end);
    for (int64_t p = begin; p < end; ++p)
      add_as(from + pieces.source(p), pieces.width, to + pieces.target(p));
  });
}

PiecePlaces places_of(const Tensor& t, int64_t rows, int64_t first, int64_t pieces, int64_t width) {
  const int64_t row = t.numel() / rows;
  const Tensor::Runs runs = t.runs();
  const bool is_plain = pieces == 1 && t.has_rows(row);
  return {row, first, pieces, width, runs.length, is_plain ? t.row_stride(row) : runs.stride, is_plain};
}

}  // namespace

BlockPieces cut_block(const Tensor& source, const Tensor& target, int64_t rows, ColumnBlock block) {
  if (rows == 0 || block.width == 0) return {};
  int64_t width = block.width;
  const auto cut = [&](const Tensor& t, int64_t first) {
    const int64_t row = t.numel() / rows;
    if (t.has_rows(row)) return;
    for (const int64_t length : {row, first, t.runs().length}) width = std::gcd(width, length);
  };
  cut(source, block.source);
  cut(target, block.target);
  const int64_t pieces = block.width / width;
  const BlockPieces result{rows * pieces, width, places_of(source, rows, block.source, pieces, width),
                           places_of(target, rows, block.target, pieces, width)};
  const auto first = [](const Tensor& t, int64_t element) {
    return static_cast<const std::byte*>(t.raw()) + static_cast<size_t>(element) * size_of(t.dtype());
  };
  const bool is_one_place = result.source.is_plain && result.target.is_plain &&
                            result.source.stride == result.target.stride &&
                            first(source, block.source) == first(target, block.target);
  return is_one_place ? BlockPieces{} : result;
}

constinit decltype(copy_columns) copy_columns{
    "copy_columns", {DType::f32, copy_columns_cpu<float>}, {DType::bf16, copy_columns_cpu<bf16>}};

}  // namespace ctr
