// SPDX-License-Identifier: Apache-2.0
#include "model/formats/sparse_files.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "embedding/placement.h"
#include "model/formats/arrays.h"
#include "model/spec.h"

namespace ctr {

int64_t slot_of(const RowBlock& block, size_t row) {
  return block.slot_ids.empty() ? 0 : static_cast<int64_t>(block.slot_ids[row]);
}

int64_t total_capacity(const EmbeddingSpec& spec, int world_size) {
  if (spec.type == EmbeddingType::localized_one_hot) return row_capacity(spec, 0, 1);
  return world_size * row_capacity(spec, 0, world_size);
}

namespace {

[[noreturn]] void fail_too_many(const std::string& path, const EmbeddingSpec& spec, int64_t rows,
                                const std::string& where, int64_t capacity, int64_t rows_of_a_rank) {
  const std::string remedy = slots_decide(spec) ? "slot_size_array decides how many"
                                                : capacity_for(spec, rows_of_a_rank) + " would be enough";
  fail(ErrorKind::out_of_memory, "embedding \"{}\": \"{}\" has {} rows for {}, which can hold {}; {}",
       spec.name, path, rows, where, capacity, remedy);
}

// Before anything is read: a file of more rows than the model can hold costs neither time nor memory.
void check_total(const std::string& path, const EmbeddingSpec& spec, int64_t rows, int world_size) {
  const int64_t capacity = spec.type == EmbeddingType::localized_one_hot
                               ? total_capacity(spec, world_size)
                               : world_size * row_limit(spec, 0, world_size);
  if (rows > capacity)
    fail_too_many(path, spec, rows, fmt::format("{} rank{}", world_size, world_size == 1 ? "" : "s"),
                  capacity, (rows + world_size - 1) / world_size);
}

// Rows of `row_bytes` each, by the size of the file.
int64_t count_rows(const RandomAccessFile& file, int64_t row_bytes, const EmbeddingSpec& spec) {
  if (file.size() % row_bytes != 0)
    fail(ErrorKind::io, "embedding \"{}\": \"{}\" has {} bytes, not a multiple of the {} bytes of one row",
         spec.name, file.path(), file.size(), row_bytes);
  return file.size() / row_bytes;
}

std::unique_ptr<RandomAccessFile> open_part(const FileSystem& files, const std::string& directory,
                                            const char* name, const EmbeddingSpec& spec) {
  std::string path = directory + "/" + name;
  if (!files.exists(path)) fail(ErrorKind::io, "embedding \"{}\": \"{}\" is missing", spec.name, path);
  return files.open(path);
}

// Releases before 3.1: records of key (4 or 8 bytes), slot id (8, localized types), vector.
struct Record {
  size_t key_bytes, slot_bytes, vector_bytes;

  Record(const EmbeddingSpec& spec, bool i64_keys)
      : key_bytes(i64_keys ? 8 : 4),
        slot_bytes(is_localized(spec) ? 8 : 0),
        vector_bytes(static_cast<size_t>(spec.dim) * sizeof(float)) {}
  size_t bytes() const { return key_bytes + slot_bytes + vector_bytes; }
};

}  // namespace

int64_t rows_of_a_block(const EmbeddingSpec& spec) {
  constexpr int64_t kBytes = int64_t{8} << 20;
  return std::max<int64_t>(1, kBytes / (spec.dim * static_cast<int64_t>(sizeof(float)) + 16));
}

void RankRows::all(const RowParts& parts, const VisitRows& visit) const {
  for (int r = 0; r < ranks; ++r) read(r, parts, visit);
}

KeyOrder RankRows::keys() const {
  return [rows = *this](const VisitRows& visit) { rows.all({}, visit); };
}

void write_sparse_directory(const Transaction::CreateFile& create, const EmbeddingSpec& spec,
                            const RankRows& rows) {
  const auto keys = create("key"), vectors = create("emb_vector");
  const auto slots = is_localized(spec) ? create("slot_id") : nullptr;
  rows.all({.vectors = true}, [&](const RowBlock& block) {
    write_array(*keys, block.keys);
    write_array(*vectors, block.vectors);
    if (slots) write_array(*slots, block.slot_ids);
  });
  keys->close();
  vectors->close();
  if (slots) slots->close();
}

void write_sparse_file(OutputFile& file, const EmbeddingSpec& spec, const RankRows& rows, bool i64_keys) {
  const Record record(spec, i64_keys);
  std::vector<std::byte> bytes(record.bytes());
  rows.all({.vectors = true}, [&](const RowBlock& block) {
    for (size_t r = 0; r < block.keys.size(); ++r) {
      std::byte* p = bytes.data();
      std::memcpy(p, &block.keys[r], record.key_bytes);
      if (record.slot_bytes) std::memcpy(p + record.key_bytes, &block.slot_ids[r], record.slot_bytes);
      std::memcpy(p + record.key_bytes + record.slot_bytes,
                  block.vectors.data() + r * static_cast<size_t>(spec.dim), record.vector_bytes);
      file.write(bytes.data(), bytes.size());
    }
  });
}

SparseFile::SparseFile(const FileSystem& files, const std::string& path, const EmbeddingSpec& spec,
                       bool i64_keys, int world_size)
    : path_(path), spec_(spec), i64_keys_(i64_keys) {
  if (!files.exists(path))
    fail(ErrorKind::io, "embedding \"{}\": sparse model \"{}\" does not exist", spec.name, path);
  if (files.is_directory(path))
    open_directory(files);
  else
    open_single_file(files);
  check(world_size);
}

void SparseFile::open_directory(const FileSystem& files) {
  keys_ = open_part(files, path_, "key", spec_), vectors_ = open_part(files, path_, "emb_vector", spec_);
  rows_ = count_rows(*keys_, sizeof(int64_t), spec_);
  const int64_t count = count_rows(*vectors_, spec_.dim * static_cast<int64_t>(sizeof(float)), spec_);
  if (count != rows_)
    fail(ErrorKind::io,
         "embedding \"{}\": \"{}\" holds {} keys but {} vectors of embedding_vec_size {}; was it another "
         "size?",
         spec_.name, path_, rows_, count, spec_.dim);
  if (!is_localized(spec_)) return;
  slots_ = open_part(files, path_, "slot_id", spec_);
  if (const int64_t slots = count_rows(*slots_, sizeof(uint64_t), spec_); slots != rows_)
    fail(ErrorKind::io, "embedding \"{}\": \"{}\" holds {} keys but {} slot ids", spec_.name, path_, rows_,
         slots);
}

void SparseFile::open_single_file(const FileSystem& files) {
  records_ = files.open(path_);
  const auto record = static_cast<int64_t>(Record(spec_, i64_keys_).bytes()), size = records_->size();
  if (size == 0) fail(ErrorKind::io, "embedding \"{}\": \"{}\" is empty", spec_.name, path_);
  if (size % record != 0)
    fail(ErrorKind::io,
         "embedding \"{}\": \"{}\" is a file, not a directory, and its {} bytes are not a multiple of the "
         "{}-byte records "
         "of the legacy single-file format",
         spec_.name, path_, size, record);
  rows_ = size / record;
}

RowBlock SparseFile::read(Range rows, bool with_vectors) const {
  if (records_) return read_records(rows, with_vectors);
  RowBlock block;
  const auto part = [&](const RandomAccessFile& file, auto& values, int64_t width) {
    values.resize(static_cast<size_t>((rows.end - rows.begin) * width));
    const auto row_bytes = width * static_cast<int64_t>(sizeof values[0]);
    read_exactly(file, rows.begin * row_bytes, values.data(), values.size() * sizeof values[0]);
  };
  part(*keys_, block.keys, 1);
  if (slots_) part(*slots_, block.slot_ids, 1);
  if (with_vectors) part(*vectors_, block.vectors, spec_.dim);
  return block;
}

RowBlock SparseFile::read_records(Range rows, bool with_vectors) const {
  const Record record(spec_, i64_keys_);
  const auto n = static_cast<size_t>(rows.end - rows.begin), dim = static_cast<size_t>(spec_.dim);
  std::vector<std::byte> bytes(n * record.bytes());
  read_exactly(*records_, rows.begin * static_cast<int64_t>(record.bytes()), bytes.data(), bytes.size());
  RowBlock block;
  block.vectors.resize(with_vectors ? n * dim : 0);
  for (size_t r = 0; r < n; ++r) {
    const std::byte* p = bytes.data() + r * record.bytes();
    std::memcpy(&block.keys.emplace_back(), p, record.key_bytes);
    if (record.slot_bytes)
      std::memcpy(&block.slot_ids.emplace_back(), p + record.key_bytes, record.slot_bytes);
    if (with_vectors)
      std::memcpy(&block.vectors[r * dim], p + record.key_bytes + record.slot_bytes, record.vector_bytes);
  }
  return block;
}

void SparseFile::check(int world_size) const {
  check_total(path_, spec_, rows_, world_size);
  std::vector<int64_t> owned(static_cast<size_t>(world_size));
  const int64_t at_once = rows_of_a_block(spec_);
  for (int64_t begin = 0; begin < rows_; begin += at_once) {
    const RowBlock block = read({begin, std::min(rows_, begin + at_once)}, false);
    check_rows(block, begin);
    for (size_t r = 0; r < block.keys.size(); ++r)
      ++owned[static_cast<size_t>(owner_of(spec_, block.keys[r], slot_of(block, r), world_size))];
  }
  for (int rank = 0; rank < world_size; ++rank)
    if (const int64_t n = owned[static_cast<size_t>(rank)]; n > row_limit(spec_, rank, world_size))
      fail_too_many(path_, spec_, n, fmt::format("rank {}", rank), row_limit(spec_, rank, world_size), n);
}

void SparseFile::check_rows(const RowBlock& block, int64_t first) const {
  const std::vector<int64_t> first_key = slot_offsets(spec_);
  for (size_t i = 0; i < block.keys.size(); ++i) {
    const int64_t key = block.keys[i], row = first + static_cast<int64_t>(i);
    if (!i64_keys_ && (key < 0 || key > std::numeric_limits<uint32_t>::max()))
      fail(ErrorKind::io,
           "embedding \"{}\": \"{}\" row {}: key {} does not fit 32 bits (i64_input_key is False)",
           spec_.name, path_, row, key);
    if (block.slot_ids.empty()) continue;
    const uint64_t slot = block.slot_ids[i];
    if (slot >= static_cast<uint64_t>(spec_.slots))
      fail(ErrorKind::io, "embedding \"{}\": \"{}\" row {} (key {}): slot {} but the embedding has {} slots",
           spec_.name, path_, row, key, slot, spec_.slots);
    if (spec_.type != EmbeddingType::localized_one_hot) continue;
    if (key < first_key[slot] || key >= first_key[slot + 1])
      fail(ErrorKind::io, "embedding \"{}\": \"{}\" row {}: key {} is outside the range [{}, {}) of slot {}",
           spec_.name, path_, row, key, first_key[slot], first_key[slot + 1], slot);
  }
}

void SparseFile::fail_twice(int64_t row) const {
  const int64_t key = read({row, row + 1}, false).keys[0], at_once = rows_of_a_block(spec_);
  int64_t before = 0;
  for (int64_t begin = 0; begin < row; begin += at_once) {
    const RowBlock block = read({begin, std::min(row, begin + at_once)}, false);
    const auto found = std::find(block.keys.begin(), block.keys.end(), key);
    before = begin + (found - block.keys.begin());
    if (found != block.keys.end()) break;
  }
  fail(ErrorKind::io, "embedding \"{}\": \"{}\" rows {} and {} have the same key {}", spec_.name, path_,
       before, row, key);
}

}  // namespace ctr
