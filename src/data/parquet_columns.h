// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "data/arrow_abi.h"
#include "data/arrow_values.h"

namespace ctr {

// Type of one column: a number, or a list of numbers.
struct ArrowColumnType {
  enum Value : uint8_t { i8, u8, i16, u16, i32, u32, i64, u64, f32, f64, boolean, f16, decimal };
  enum Shape : uint8_t { scalar, list, large_list, fixed_list, list_view, large_list_view };
  Value value;
  Shape shape = scalar;
  int64_t width = 0;          // of a fixed_list
  int64_t decimal_bytes = 0;  // of a decimal
  int scale = 0;              // of a decimal: digits after the point

  bool is_whole() const;  // whatever the value
  bool is_view() const { return shape == list_view || shape == large_list_view; }
  bool has_long_offsets() const { return shape == large_list || shape == large_list_view; }
};

// What a column holds, in words: "text", "dates", "lists of 64-bit floats".
std::string arrow_type_name(const ArrowSchema& schema);

// `where` names file and column. Throws when the type is none of the above.
ArrowColumnType arrow_column_type(const ArrowSchema& schema, const std::string& where);

// Checked access to one column of a record batch. Row r holds values [start(r), start(r + 1)).
class ArrowColumn {
 public:
  // Rows [first, first + rows) of `array`. `row_number` is that of the first one in the file, for messages.
  ArrowColumn(const ArrowArray& array, const ArrowColumnType& type, int64_t first, int64_t rows,
              int64_t row_number, const std::string& where);

  // starts[0..count] of rows from `row` on; checked against the values there are.
  void starts(int64_t row, int64_t count, int64_t* starts) const;

  // Calls visit(values), typed.
  template <class Visit>
  void visit(const Visit& visit) const {
    switch (type_.value) {
      case ArrowColumnType::i8: return visit(static_cast<const int8_t*>(values_) + value_offset_);
      case ArrowColumnType::u8: return visit(static_cast<const uint8_t*>(values_) + value_offset_);
      case ArrowColumnType::i16: return visit(static_cast<const int16_t*>(values_) + value_offset_);
      case ArrowColumnType::u16: return visit(static_cast<const uint16_t*>(values_) + value_offset_);
      case ArrowColumnType::i32: return visit(static_cast<const int32_t*>(values_) + value_offset_);
      case ArrowColumnType::u32: return visit(static_cast<const uint32_t*>(values_) + value_offset_);
      case ArrowColumnType::i64: return visit(static_cast<const int64_t*>(values_) + value_offset_);
      case ArrowColumnType::u64: return visit(static_cast<const uint64_t*>(values_) + value_offset_);
      case ArrowColumnType::f32: return visit(static_cast<const float*>(values_) + value_offset_);
      case ArrowColumnType::f64: return visit(static_cast<const double*>(values_) + value_offset_);
      case ArrowColumnType::boolean:
        return visit(ArrowBits{static_cast<const uint8_t*>(values_), value_offset_});
      case ArrowColumnType::f16: return visit(ArrowHalves{static_cast<const f16*>(values_) + value_offset_});
      case ArrowColumnType::decimal: return visit(decimals());
    }
  }

 private:
  void open_fixed_list(const ArrowArray& array, int64_t first);
  void open_list(const ArrowArray& array, int64_t first);
  void open_values(const ArrowArray& array, int64_t first, int64_t count);
  void reject_nulls(const ArrowArray& array, int64_t first, int64_t count, int64_t values_per_row = 1) const;
  int64_t row_of_value(int64_t value) const;
  ArrowDecimals decimals() const;
  int64_t list_entry(const void* entries, int64_t row) const;
  int64_t list_start(int64_t row) const;  // of row rows_: where the last one ends

  ArrowColumnType type_;
  std::string where_;
  int64_t rows_, row_number_;
  const void* lists_ = nullptr;  // offsets of a list column
  const void* sizes_ = nullptr;  // of a view's lists
  int64_t list_offset_ = 0;      // entry of row 0
  const void* values_ = nullptr;
  int64_t value_offset_ = 0, value_count_ = 0;
};

}  // namespace ctr
