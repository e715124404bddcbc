// SPDX-License-Identifier: Apache-2.0
#include "data/parquet.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <type_traits>

#include "base/error.h"
#include "data/file_list.h"
#include "data/parquet_columns.h"
#include "data/parquet_stream.h"

namespace ctr {
namespace {

constexpr int64_t kMaxMetadataBytes = int64_t{1} << 28;
constexpr int64_t kBlockRows = 512;  // transposed at a time: a block of all columns stays in cache

template <class Values>
constexpr bool is_decimals = std::is_same_v<Values, ArrowDecimals>;

// Value i of a column of whole numbers, in a type where comparisons with 64-bit numbers are right.
template <class Values>
auto whole_number(const Values& values, int64_t i) {
  using Value = std::remove_cvref_t<decltype(values[i])>;
  if constexpr (is_decimals<Values>) {
    return values.whole(i);
  } else if constexpr (std::is_same_v<Value, uint64_t>) {
    return static_cast<Int128>(values[i]);
  } else {
    return static_cast<int64_t>(values[i]);
  }
}

template <class Values>
std::string key_text(const Values& values, int64_t i) {
  if constexpr (is_decimals<Values>)
    return values.whole_text(i);
  else
    return fmt::format("{}", values[i]);
}

struct Column {
  std::string where;  // file and column, for messages
  ArrowColumnType type;
  int64_t width = 0;  // labels and dense: values of a row
};

// Labels, dense columns and slots of one file, in this order in columns_.
class ParquetFile final : public SampleFile {
 public:
  ParquetFile(ReadTask& task, const ParquetMetadata& metadata, const std::string& path, bool check_positions);
  bool read(BatchWriter& batch) override;

 private:
  void open_column(const ParquetColumn& column, bool is_slot);
  bool next_record_batch();
  void resolve_widths(size_t first, size_t count, int64_t expected, const char* what);
  void append(BatchWriter& batch, int64_t count);
  [[noreturn]] void fail_not_finite(const NotFinite& found, int64_t first) const;
  void append_dense(size_t first, size_t count, float* out, int64_t stride, int64_t rows);
  void append_slots(BatchWriter& batch, size_t input, int64_t rows);
  // Whether all have as many as declared.
  bool count_keys(int64_t slot, int64_t rows, int64_t* offsets, int64_t stride);
  void copy_keys(int64_t slot, int64_t rows, const int64_t* offsets, int64_t stride, int64_t* keys) const;
  int64_t* starts_of(size_t column) { return starts_.data() + column * (kBlockRows + 1); }
  const int64_t* starts_of(size_t column) const { return starts_.data() + column * (kBlockRows + 1); }
  std::string row_name(int64_t row) const { return fmt::format("\"{}\", row {}", path_, batch_row_ + row); }

  const SampleLayout& layout_;
  std::string path_;
  std::shared_ptr<const std::string> shared_path_;  // batches refer to it
  size_t labels_, conts_;                           // number of columns
  int64_t announced_rows_;
  ArrowStream stream_;
  std::vector<Column> columns_;
  std::vector<ArrowColumn> views_;  // of the current record batch
  std::vector<int64_t> starts_;     // [columns, kBlockRows + 1]
  int64_t batch_row_ = 0;           // number of the record batch's first row in the file
  int64_t batch_rows_ = 0, at_ = 0;
  bool widths_known_ = false;
};

std::shared_ptr<const RandomAccessFile> open_file(const FileSystem& files, const std::string& path) {
  if (!files.exists(path))
    fail(ErrorKind::io,
         "cannot read \"{}\" as Parquet: it does not exist; if its data set was replaced meanwhile, read it "
         "anew",
         path);
  return files.open(path);
}

ParquetFile::ParquetFile(ReadTask& task, const ParquetMetadata& metadata, const std::string& path,
                         bool check_positions)
    : layout_(task.layout),
      path_(path),
      shared_path_(std::make_shared<const std::string>(path)),
      labels_(metadata.labels.size()),
      conts_(metadata.conts.size()),
      announced_rows_(metadata.rows_of(path)),
      stream_(path) {
  std::vector<ParquetColumn> wanted;
  for (const auto* group : {&metadata.labels, &metadata.conts, &metadata.cats})
    for (const auto& column : *group)
      wanted.push_back({check_positions || column.name.empty() ? column.index : -1, column.name});
  task.spec.open_arrow(open_file(*task.spec.files, path), wanted, stream_.get());
  stream_.open(std::ssize(wanted));
  for (const auto* group : {&metadata.labels, &metadata.conts, &metadata.cats})
    for (const auto& column : *group) open_column(column, group == &metadata.cats);
  starts_.resize(columns_.size() * (kBlockRows + 1));
}

void ParquetFile::open_column(const ParquetColumn& column, bool is_slot) {
  const ArrowSchema& schema = stream_.column(std::ssize(columns_));
  const std::string name = !column.name.empty() ? column.name : schema.name ? schema.name : "";
  Column opened{fmt::format("\"{}\", column \"{}\" (index {})", path_, name, column.index), {}, 0};
  opened.type = arrow_column_type(schema, opened.where);
  if (is_slot && !opened.type.is_whole())
    fail(ErrorKind::invalid_argument, "{}: keys must be integers, found {}", opened.where,
         arrow_type_name(schema));
  columns_.push_back(std::move(opened));
}

bool ParquetFile::read(BatchWriter& batch) {
  while (batch.room() > 0) {
    if (at_ == batch_rows_ && !next_record_batch()) return false;
    const int64_t count = std::min({batch.room(), batch_rows_ - at_, kBlockRows});
    append(batch, count);
    batch.comes_from(shared_path_, "row", batch_row_ + at_);
    batch.commit(count);
    const int64_t first = batch.size() - count;
    if (const auto found = batch.find_not_finite(first)) fail_not_finite(*found, first);
    at_ += count;
  }
  return true;
}

bool ParquetFile::next_record_batch() {
  batch_row_ += batch_rows_;
  at_ = batch_rows_ = 0;
  views_.clear();
  const bool more = stream_.next();
  if (more) batch_rows_ = stream_.batch().length;
  if (more ? batch_rows_ > announced_rows_ - batch_row_ : batch_row_ != announced_rows_)
    fail(ErrorKind::io, "\"{}\" has {} {} rows; _metadata.json announces {}", path_,
         more ? "at least" : "only", batch_row_ + batch_rows_, announced_rows_);
  if (!more) return false;
  for (size_t c = 0; c < columns_.size(); ++c)
    views_.emplace_back(*stream_.batch().children[c], columns_[c].type, stream_.batch().offset, batch_rows_,
                        batch_row_, columns_[c].where);
  if (!widths_known_) {
    resolve_widths(0, labels_, layout_.label_dim, "label");
    resolve_widths(labels_, conts_, layout_.dense_dim, "dense");
    widths_known_ = true;
  }
  return true;
}

void ParquetFile::resolve_widths(size_t first, size_t count, int64_t expected, const char* what) {
  int64_t total = 0;
  for (size_t c = first; c < first + count; ++c) {
    views_[c].starts(0, 1, starts_of(c));
    columns_[c].width = starts_of(c)[1] - starts_of(c)[0];
    total += columns_[c].width;
  }
  if (total != expected)
    fail(ErrorKind::invalid_argument, "\"{}\": the {} {} columns hold {} values a row, {}_dim is {}", path_,
         count, what, total, what, expected);
}

void ParquetFile::append(BatchWriter& batch, int64_t rows) {
  for (size_t c = 0; c < columns_.size(); ++c) views_[c].starts(at_, rows, starts_of(c));
  append_dense(0, labels_, batch.labels(), layout_.label_dim, rows);
  append_dense(labels_, conts_, batch.dense(), layout_.dense_dim, rows);
  for (size_t input = 0; input < layout_.inputs.size(); ++input) append_slots(batch, input, rows);
}

void ParquetFile::fail_not_finite(const NotFinite& found, int64_t first) const {
  size_t c = found.is_label ? 0 : labels_;
  int64_t i = found.column;
  while (i >= columns_[c].width) i -= columns_[c++].width;
  const int64_t row = found.row - first;
  views_[c].visit([&](const auto& values) {
    ctr::fail_not_finite(fmt::format("{}, row {}", columns_[c].where, batch_row_ + at_ + row),
                         static_cast<double>(values[starts_of(c)[row] + i]));
  });
  fail(ErrorKind::internal, "\"{}\": no value for a column", path_);
}

void ParquetFile::append_dense(size_t first, size_t count, float* out, int64_t stride, int64_t rows) {
  for (size_t c = first; c < first + count; ++c) {
    const int64_t* starts = starts_of(c);
    const int64_t width = columns_[c].width;
    for (int64_t r = 0; r < rows; ++r)
      if (starts[r + 1] - starts[r] != width)
        fail(ErrorKind::invalid_argument, "{}, row {}: {} values, {} in the rows before", columns_[c].where,
             batch_row_ + at_ + r, starts[r + 1] - starts[r], width);
    views_[c].visit([&](const auto& values) {
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t i = 0; i < width; ++i) out[r * stride + i] = static_cast<float>(values[starts[r] + i]);
    });
    out += width;
  }
}

void ParquetFile::append_slots(BatchWriter& batch, size_t input, int64_t rows) {
  const auto& in = layout_.inputs[input];
  int64_t* offsets = batch.offsets(input);
  bool is_full = true;
  for (int64_t s = 0; s < in.slots; ++s)
    is_full &= count_keys(in.first_slot + s, rows, offsets + s, in.slots);
  if (!is_full) batch.is_not_full(input);
  for (int64_t r = 0; r < rows * in.slots; ++r) offsets[r + 1] += offsets[r];
  for (int64_t r = 0; in.slots_share_it && r < rows; ++r)
    if (const int64_t n = offsets[(r + 1) * in.slots] - offsets[r * in.slots]; n > in.max_keys)
      fail_nnz(layout_, row_name(at_ + r), in.first_slot + in.slots - 1, n);
  int64_t* keys = batch.keys(input, offsets[rows * in.slots]);
  for (int64_t s = 0; s < in.slots; ++s) copy_keys(in.first_slot + s, rows, offsets + s, in.slots, keys);
}

bool ParquetFile::count_keys(int64_t slot, int64_t rows, int64_t* offsets, int64_t stride) {
  const SlotRule& rule = layout_.slots[static_cast<size_t>(slot)];
  const int64_t* starts = starts_of(labels_ + conts_ + static_cast<size_t>(slot));
  bool is_full = true;
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t nnz = starts[r + 1] - starts[r];
    if (nnz > rule.max_nnz) fail_nnz(layout_, row_name(at_ + r), slot, nnz);
    is_full &= nnz == rule.nnz;
    offsets[r * stride + 1] = nnz;
  }
  return is_full;
}

void ParquetFile::copy_keys(int64_t slot, int64_t rows, const int64_t* offsets, int64_t stride,
                            int64_t* keys) const {
  const SlotRule rule = layout_.slots[static_cast<size_t>(slot)];
  const size_t column = labels_ + conts_ + static_cast<size_t>(slot);
  const int64_t* starts = starts_of(column);
  views_[column].visit([&](const auto& values) {
    for (int64_t r = 0; r < rows; ++r) {
      int64_t* to = keys + offsets[r * stride];
      for (int64_t i = starts[r]; i < starts[r + 1]; ++i) {
        const auto key = whole_number(values, i);
        if (key < rule.min_key || key > rule.max_key)
          fail_key(layout_, row_name(at_ + r), slot, key_text(values, i));
        *to++ = static_cast<int64_t>(key) + rule.key_offset;
      }
    }
  });
}

ParquetMetadata load_metadata(const FileSystem& files, const std::string& data_directory,
                              const std::string& list_directory) {
  std::string path = data_directory + "/_metadata.json";
  if (!files.exists(path)) path = list_directory + "/_metadata.json";
  if (!files.exists(path))
    fail(ErrorKind::io, "no _metadata.json in \"{}\" or \"{}\"", data_directory, list_directory);
  return parse_parquet_metadata(files.read(path, kMaxMetadataBytes), path);
}

}  // namespace

void check_parquet_columns(const SampleLayout& layout, const ParquetMetadata& metadata) {
  require(static_cast<int64_t>(metadata.cats.size()) == layout.total_slots(),
          "\"{}\" lists {} cats; the sparse inputs have {} slots", metadata.path, metadata.cats.size(),
          layout.total_slots());
  require(!metadata.labels.empty(), "\"{}\" lists no labels", metadata.path);
}

std::unique_ptr<SampleFile> open_parquet_file(ReadTask& task, const ParquetMetadata& metadata,
                                              const std::string& path, bool check_positions) {
  return std::make_unique<ParquetFile>(task, metadata, path, check_positions);
}

BatchSources open_parquet(ReadTask& task) {
  const std::string& list = task.spec.source;
  const std::vector<std::string> files = read_file_list(*task.spec.files, list);
  auto folders = std::make_shared<std::map<std::string, ParquetMetadata>>();
  for (const std::string& file : files) {
    require(file.ends_with(".parquet"), "file list \"{}\": \"{}\" does not end in .parquet", list, file);
    const std::string folder = directory_of(file);
    auto it = folders->find(folder);
    if (it == folders->end()) {
      it = folders->emplace(folder, load_metadata(*task.spec.files, folder, directory_of(list))).first;
      check_parquet_columns(task.layout, it->second);
    }
    it->second.rows_of(file);
  }
  // Where columns have names, their positions are those of the first file; others may order theirs otherwise.
  return make_file_sources(task, files, [&task, folders, first = files.front()](const std::string& path) {
    return open_parquet_file(task, folders->at(directory_of(path)), path, path == first);
  });
}

}  // namespace ctr
