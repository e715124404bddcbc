// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"
#include "data/prefetch.h"

namespace ctr {
namespace {

void check_raw(const ReaderSpec& spec) {
  require(spec.format == DataFormat::raw_async || !spec.i64_keys,
          "Raw requires 32-bit keys: set i64_input_key=False");
  require(spec.num_samples >= 0, "num_samples must not be negative, got {}", spec.num_samples);
  for (const SparseInputSpec& input : spec.sparse)
    for (const int64_t nnz : input.nnz_per_slot)
      require(nnz == 1, "sparse input \"{}\": Raw files have one key a slot, nnz_per_slot is {}", input.name,
              nnz);
}

void check_raw_async(const ReaderSpec& spec) {
  require(spec.repeat || spec.for_predictions,
          "RawAsync reads in repeat mode only: set repeat_dataset=True, or read as Raw");
  require(spec.sparse.size() == 1, "RawAsync takes exactly one DataReaderSparseParam, got {}",
          spec.sparse.size());
  require(!spec.float_label_dense, "RawAsync files hold integers: set float_label_dense=False");
}

}  // namespace

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
