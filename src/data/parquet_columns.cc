// SPDX-License-Identifier: Apache-2.0
#include "data/parquet_columns.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace ctr {
namespace {

// Takes a number and what follows it, a comma or the end, off `text`.
bool take_number(std::string_view& text, int64_t& number) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || (stop != end && *stop != ',')) return false;
  text.remove_prefix(static_cast<size_t>(stop - text.data()) + (stop != end));
  return true;
}

// `d:precision,scale[,bits]`
bool is_decimal_format(std::string_view format, ArrowColumnType& type) {
  if (!format.starts_with("d:")) return false;
  format.remove_prefix(2);
  int64_t precision = 0, scale = 0, bits = 128;
  if (!take_number(format, precision) || !take_number(format, scale)) return false;
  if (!format.empty() && !take_number(format, bits)) return false;
  type.value = ArrowColumnType::decimal;
  type.scale = static_cast<int>(scale);
  type.decimal_bytes = bits / 8;
  return scale >= -100 && scale <= 100 && (bits == 32 || bits == 64 || bits == 128 || bits == 256);
}

bool is_value_format(std::string_view format, ArrowColumnType& type) {
  constexpr std::string_view formats = "cCsSiIlLfgbe";  // in the order of the enumeration
  const size_t i = format.size() == 1 ? formats.find(format[0]) : std::string_view::npos;
  if (i == std::string_view::npos) return is_decimal_format(format, type);
  type.value = static_cast<ArrowColumnType::Value>(i);
  return true;
}

bool is_list_format(std::string_view format, ArrowColumnType& type) {
  if (format == "+l") return type.shape = ArrowColumnType::list, true;
  if (format == "+L") return type.shape = ArrowColumnType::large_list, true;
  if (format == "+vl") return type.shape = ArrowColumnType::list_view, true;
  if (format == "+vL") return type.shape = ArrowColumnType::large_list_view, true;
  if (!format.starts_with("+w:")) return false;
  type.shape = ArrowColumnType::fixed_list;
  format.remove_prefix(3);
  return take_number(format, type.width) && format.empty() && type.width >= 0 && type.width <= 1 << 20;
}

[[noreturn]] void fail_broken(const std::string& where, const char* what) {
  fail(ErrorKind::io, "{}: broken Arrow data, {}", where, what);
}

// Elements [first, first + count) of an array with `buffers` buffers exist.
void check_extent(const ArrowArray& array, int64_t buffers, int64_t first, int64_t count,
                  const std::string& where) {
  if (array.n_buffers != buffers || !array.buffers) fail_broken(where, "wrong number of buffers");
  if (array.length < 0 || array.offset < 0 ||
      array.offset > std::numeric_limits<int64_t>::max() - array.length)
    fail_broken(where, "negative length");
  if (first < 0 || count < 0 || first > array.length || count > array.length - first)
    fail_broken(where, "a column is shorter than its batch");
}

const ArrowArray& only_child(const ArrowArray& array, const std::string& where) {
  if (array.n_children != 1 || !array.children || !array.children[0])
    fail_broken(where, "a list without values");
  return *array.children[0];
}

}  // namespace

bool ArrowColumnType::is_whole() const {
  return value < f32 || value == boolean || (value == decimal && scale <= 0);
}

std::string arrow_type_name(const ArrowSchema& schema) {
  constexpr std::pair<std::string_view, const char*> names[] = {
      {"u", "text"},
      {"U", "text"},
      {"vu", "text"},
      {"z", "bytes"},
      {"Z", "bytes"},
      {"vz", "bytes"},
      {"w:", "bytes"},
      {"b", "truth values"},
      {"n", "missing values"},
      {"e", "16-bit floats"},
      {"f", "32-bit floats"},
      {"g", "64-bit floats"},
      {"d:", "decimals"},
      {"td", "dates"},
      {"ts", "timestamps"},
      {"tt", "times of day"},
      {"tD", "durations"},
      {"ti", "intervals"},
      {"+s", "structs"},
      {"+m", "maps"},
      {"c", "8-bit integers"},
      {"C", "8-bit integers"},
      {"s", "16-bit integers"},
      {"S", "16-bit integers"},
      {"i", "32-bit integers"},
      {"I", "32-bit integers"},
      {"l", "64-bit integers"},
      {"L", "64-bit integers"},
  };
  const std::string_view format = schema.format ? schema.format : "";
  const ArrowSchema* child = schema.n_children == 1 && schema.children ? schema.children[0] : nullptr;
  if (format == "+l" || format == "+L" || format.starts_with("+w:") || format.starts_with("+v"))
    return child ? "lists of " + arrow_type_name(*child) : "lists";
  for (const auto& [prefix, name] : names)
    if (format.starts_with(prefix)) return name;
  return fmt::format("Arrow type \"{}\"", format);
}

ArrowColumnType arrow_column_type(const ArrowSchema& schema, const std::string& where) {
  const std::string_view format = schema.format ? schema.format : "";
  if (schema.dictionary)
    fail(ErrorKind::invalid_argument, "{}: dictionary-encoded (categorical) column; write its integer codes",
         where);
  ArrowColumnType type{};
  if (is_value_format(format, type)) return type;
  if (is_list_format(format, type)) {
    const ArrowSchema* child = schema.n_children == 1 && schema.children ? schema.children[0] : nullptr;
    const std::string_view of = child && child->format ? child->format : "";
    if (child && !child->dictionary && is_value_format(of, type)) return type;
  }
  fail(ErrorKind::invalid_argument, "{}: expected numbers or lists of numbers, found {}", where,
       arrow_type_name(schema));
}

ArrowColumn::ArrowColumn(const ArrowArray& array, const ArrowColumnType& type, int64_t first, int64_t rows,
                         int64_t row_number, const std::string& where)
    : type_(type), where_(where), rows_(rows), row_number_(row_number) {
  const int buffers = type.shape == ArrowColumnType::fixed_list ? 1 : type.is_view() ? 3 : 2;
  check_extent(array, buffers, first, rows, where);
  reject_nulls(array, first, rows);
  switch (type.shape) {
    case ArrowColumnType::scalar: open_values(array, first, rows); break;
    case ArrowColumnType::fixed_list: open_fixed_list(array, first); break;
    default: open_list(array, first); break;
  }
}

void ArrowColumn::open_fixed_list(const ArrowArray& array, int64_t first) {
  const ArrowArray& child = only_child(array, where_);
  const int64_t entry = array.offset + first, width = type_.width;
  if (width > 0 && entry > std::numeric_limits<int64_t>::max() / width - rows_)
    fail_broken(where_, "a length is too large");
  open_values(child, entry * width, rows_ * width);
  reject_nulls(child, entry * width, rows_ * width, width);
}

void ArrowColumn::open_list(const ArrowArray& array, int64_t first) {
  const ArrowArray& child = only_child(array, where_);
  lists_ = array.buffers[1];
  if (type_.is_view()) sizes_ = array.buffers[2];
  if (!lists_ || (type_.is_view() && !sizes_)) fail_broken(where_, "a list without offsets");
  list_offset_ = array.offset + first;
  const int64_t begin = list_start(0), end = list_start(rows_);
  if (begin < 0 || begin > end) fail_broken(where_, "list offsets are not ascending");
  open_values(child, 0, end);
  reject_nulls(child, begin, end - begin);
}

void ArrowColumn::open_values(const ArrowArray& array, int64_t first, int64_t count) {
  check_extent(array, 2, first, count, where_);
  values_ = array.buffers[1];
  value_offset_ = array.offset + first;
  value_count_ = count;
  if (count > 0 && !values_) fail_broken(where_, "no values");
  if (!values_) value_offset_ = 0;
}

ArrowDecimals ArrowColumn::decimals() const {
  const auto* first = static_cast<const std::byte*>(values_);
  return {first + value_offset_ * type_.decimal_bytes, type_.decimal_bytes, type_.scale,
          std::pow(10.0, type_.scale)};
}

int64_t ArrowColumn::list_entry(const void* entries, int64_t row) const {
  const auto* bytes = static_cast<const char*>(entries);
  if (type_.has_long_offsets()) {
    int64_t entry;
    std::memcpy(&entry, bytes + 8 * (list_offset_ + row), sizeof entry);
    return entry;
  }
  int32_t entry;
  std::memcpy(&entry, bytes + 4 * (list_offset_ + row), sizeof entry);
  return entry;
}

int64_t ArrowColumn::list_start(int64_t row) const {
  if (!sizes_) return list_entry(lists_, row);
  // Parquet knows no views: they are made of lists, one behind the other.
  int64_t start = row < rows_ ? list_entry(lists_, row) : 0, end = start;
  if (row > 0 && __builtin_add_overflow(list_entry(lists_, row - 1), list_entry(sizes_, row - 1), &end))
    fail_broken(where_, "a length is too large");
  if (row < rows_ && start != end) fail_broken(where_, "lists that do not follow each other");
  return end;
}

void ArrowColumn::starts(int64_t row, int64_t count, int64_t* starts) const {
  if (type_.shape == ArrowColumnType::scalar || type_.shape == ArrowColumnType::fixed_list) {
    const int64_t width = type_.shape == ArrowColumnType::scalar ? 1 : type_.width;
    for (int64_t r = 0; r <= count; ++r) starts[r] = (row + r) * width;
    return;
  }
  bool ascending = true;
  for (int64_t r = 0; r <= count; ++r) {
    starts[r] = list_start(row + r);
    if (r > 0) ascending &= starts[r - 1] <= starts[r];
  }
  if (!ascending || starts[0] < 0 || starts[count] > value_count_)
    fail_broken(where_, "list offsets are not ascending");
}

int64_t ArrowColumn::row_of_value(int64_t value) const {
  int64_t row = 0;
  while (row + 1 < rows_ && list_start(row + 1) <= value) ++row;
  return row;
}

void ArrowColumn::reject_nulls(const ArrowArray& array, int64_t first, int64_t count,
                               int64_t values_per_row) const {
  const auto* valid = static_cast<const uint8_t*>(array.buffers[0]);
  if (!valid || array.null_count == 0) return;
  for (int64_t i = first; i < first + count; ++i) {
    const int64_t bit = array.offset + i;
    if (valid[bit / 8] >> (bit % 8) & 1) continue;
    const int64_t row = lists_ ? row_of_value(i) : (i - first) / values_per_row;
    fail(ErrorKind::invalid_argument, "{}, row {}: null value", where_, row_number_ + row);
  }
}

}  // namespace ctr
