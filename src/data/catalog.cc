// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"
#include "data/prefetch.h"

namespace ctr {
namespace {

constexpr std::pair<std::string_view, DataFormat> kFormats[] = {{"Norm", DataFormat::norm},
                                                                {"Raw", DataFormat::raw},
                                                                {"RawAsync", DataFormat::raw_async},
                                                                {"Parquet", DataFormat::parquet}};

void check_raw(const ReaderSpec& spec) {
  require(spec.format == DataFormat::raw_async || !spec.i64_keys,
          "Raw requires 32-bit keys: set i64_input_key=False");
  require(spec.num_samples >= 0, "num_samples must not be negative, got {}", spec.num_samples);
}

void check_raw_async(const ReaderSpec& spec) {
  require(spec.repeat || spec.for_predictions,
          "RawAsync reads in repeat mode only: set repeat_dataset=True, or read as Raw");
  require(spec.sparse.size() == 1, "RawAsync takes exactly one DataReaderSparseParam, got {}",
          spec.sparse.size());
  require(!spec.float_label_dense, "RawAsync files hold integers: set float_label_dense=False");
}

}  // namespace

std::string_view name_of(DataFormat format) {
  for (const auto& [name, value] : kFormats)
    if (value == format) return name;
  return "?";
}

DataFormat parse_data_format(std::string_view name) {
  std::vector<std::string> known;
  for (const auto& [known_name, value] : kFormats) {
    if (known_name == name) return value;
    known.emplace_back(known_name);
  }
  fail_unknown("data format", name, known);
}

void start_readers(const std::vector<ReaderStart>& starts) {
  std::vector<std::function<void()>> opened;
  for (const auto& [reader, source] : starts) opened.push_back(reader->open(source));
  try {
    for (const auto& start : opened) start();
  } catch (...) {
    for (const auto& [reader, source] : starts) reader->stop();
    throw;
  }
}

std::unique_ptr<Reader> make_reader(const ReaderSpec& spec) {
  require(spec.num_workers > 0, "num_workers must be positive, got {}", spec.num_workers);
  require(spec.prefetch > 0, "a reader prefetches at least one batch, got {}", spec.prefetch);
  switch (spec.format) {
    case DataFormat::norm: return std::make_unique<PrefetchReader>(spec, &open_norm);
    case DataFormat::raw_async: check_raw_async(spec); [[fallthrough]];
    case DataFormat::raw: check_raw(spec); return std::make_unique<PrefetchReader>(spec, &open_raw);
    case DataFormat::parquet:
      require(static_cast<bool>(spec.open_arrow),
              "Parquet files are opened by the caller: open_arrow is missing");
      return std::make_unique<PrefetchReader>(spec, &open_parquet);
  }
  fail(ErrorKind::internal, "unknown data format");
}

}  // namespace ctr
