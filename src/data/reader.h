// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/batch.h"
#include "io/file_system.h"

struct ArrowArrayStream;

namespace ctr {

// raw_async is raw with keys of the solver's width, integers only, in repeat mode, for one sparse input.
enum class DataFormat : uint8_t { norm, raw, raw_async, parquet };

std::string_view name_of(DataFormat format);
DataFormat parse_data_format(std::string_view name);
inline bool is_raw(DataFormat format) { return format == DataFormat::raw || format == DataFormat::raw_async; }

// Slots of all sparse inputs together: far more than data sets have, and few enough for lists by slot.
inline constexpr int64_t kMaxSlots = int64_t{1} << 20;

struct SparseInputSpec {
  std::string name;
  std::vector<int64_t> nnz_per_slot;  // keys declared for each slot; its length is the number of slots
  bool is_fixed_length = false;       // a hint: fewer keys are read, too
  int64_t max_keys = 0;               // of a sample, however its slots share them; 0: each slot has its bound
  int64_t slots() const { return static_cast<int64_t>(nnz_per_slot.size()); }
};

// A column of a Parquet file: the one of that name, or where the name is empty, the one at that position.
struct ParquetColumn {
  int64_t index;
  std::string name;
};

// Streams the columns of one Parquet file in row order. A name that the file does not have and an index
// beyond its columns are errors; with a name, index -1 means none. Fills `stream`; throws ctr::Error.
using ArrowOpener = std::function<void(std::shared_ptr<const RandomAccessFile> file,
                                       const std::vector<ParquetColumn>& columns, ArrowArrayStream* stream)>;

struct ReaderSpec {
  DataFormat format = DataFormat::norm;
  std::string source;  // file list, or the data file of Raw; opened at start(), not before
  int64_t batch_size = 0;
  int64_t label_dim = 1;
  int64_t dense_dim = 0;
  std::vector<SparseInputSpec> sparse;
  bool repeat = true;
  bool for_predictions = false;  // one pass over every sample, whatever the format's own rules are
  int num_workers = 12;
  bool check_sum = false;          // Norm: files carry check bytes
  bool i64_keys = false;           // key width in the file (Norm, RawAsync), key range (Parquet)
  bool float_label_dense = false;  // Raw: values are float, else int with dense = ln(v + 1)
  int64_t num_samples = 0;         // Raw: 0 derives it from the file size
  bool shuffle = false;            // Raw: chunks in an order that `seed` and the pass decide
  uint64_t seed = 0;
  std::vector<int64_t> slot_size_array;  // added as running offsets to the keys when `apply_offsets`
  bool apply_offsets = false;
  int prefetch = 4;                             // batches ready per worker
  int64_t prefetch_bytes = int64_t{256} << 20;  // of all workers together; two batches may take more
  Files files = local_files();
  ArrowOpener open_arrow = {};  // Parquet only
};

// Delivers global batches in a deterministic order: worker w builds its batches from files w, w + W, ...; the
// consumer takes them in strict rotation. An error in a worker is thrown by next().
class Reader {
 public:
  virtual ~Reader() = default;
  // Opens and checks a source; an empty one is the current. Reading goes on as it did until what is returned
  // is called.
  virtual std::function<void()> open(const std::string& source) = 0;
  // (Re)starts reading; an empty source rewinds the current one.
  void start(const std::string& source = "") { open(source)(); }
  virtual void stop() = 0;
  virtual bool started() const = 0;
  // True once next() has thrown: it will again until the next start().
  virtual bool failed() const = 0;
  // The next batch, valid until the next call; null at the end of the data (never when repeating).
  virtual const Batch* next() = 0;
  // True while started and not asked for a batch yet.
  virtual bool at_start() const = 0;
  // True once the last batch has been delivered.
  virtual bool at_end() const = 0;
  virtual const std::string& source() const = 0;
  // Samples dropped since start(), because of a bad check byte or a bad frame length before them.
  virtual int64_t skipped() const = 0;
};

// Starts several readers on their sources, or none of them.
struct ReaderStart {
  Reader* reader;
  std::string source = {};
};
void start_readers(const std::vector<ReaderStart>& starts);

std::unique_ptr<Reader> make_reader(const ReaderSpec& spec);

}  // namespace ctr
