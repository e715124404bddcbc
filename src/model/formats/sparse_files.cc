// SPDX-License-Identifier: Apache-2.0
#include "model/formats/sparse_files.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>
#include <tuple>

#include "embedding/placement.h"
#include "model/formats/arrays.h"
#include "model/spec.h"

namespace ctr {

int64_t slot_of(const TableDump& dump, size_t row) {
  return dump.slot_ids.empty() ? 0 : static_cast<int64_t>(dump.slot_ids[row]);
}

int64_t total_capacity(const EmbeddingSpec& spec, int world_size) {
  if (spec.type == EmbeddingType::localized_one_hot) return row_capacity(spec, 0, 1);
  return world_size * row_capacity(spec, 0, world_size);
}

namespace {

[[noreturn]] void fail_too_many(const std::string& path, const EmbeddingSpec& spec, int64_t rows,
                                const std::string& where, int64_t capacity, int64_t rows_of_a_rank) {
  const bool by_slots = is_localized(spec) && !spec.slot_size_array.empty();
  const std::string remedy = by_slots ? "slot_size_array decides how many"
                                      : fmt::format("workspace_size_per_gpu_in_mb={} would be enough",
                                                    workspace_mb_for(spec, rows_of_a_rank));
  fail(ErrorKind::out_of_memory, "embedding \"{}\": \"{}\" has {} rows for {}, which can hold {}; {}",
       spec.name, path, rows, where, capacity, remedy);
}

// Before anything is read: a file of more rows than the model can hold costs neither time nor memory.
void check_total(const std::string& path, const EmbeddingSpec& spec, int64_t rows, int world_size) {
  if (const int64_t capacity = total_capacity(spec, world_size); rows > capacity)
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

void read_slot_ids(const FileSystem& files, const std::string& path, const EmbeddingSpec& spec, int64_t rows,
                   TableDump& dump) {
  const auto opened = open_part(files, path, "slot_id", spec);
  const RandomAccessFile& file = *opened;
  const int64_t count = count_rows(file, sizeof(uint64_t), spec);
  if (count != rows)
    fail(ErrorKind::io, "embedding \"{}\": \"{}\" holds {} keys but {} slot ids", spec.name, path, rows,
         count);
  dump.slot_ids = read_array<uint64_t>(file, rows);
}

TableDump read_directory(const FileSystem& files, const std::string& path, const EmbeddingSpec& spec,
                         int world_size) {
  const auto key_file = open_part(files, path, "key", spec),
             vector_file = open_part(files, path, "emb_vector", spec);
  const RandomAccessFile &keys = *key_file, &vectors = *vector_file;
  const int64_t rows = count_rows(keys, sizeof(int64_t), spec);
  const int64_t count = count_rows(vectors, spec.dim * static_cast<int64_t>(sizeof(float)), spec);
  if (count != rows)
    fail(ErrorKind::io,
         "embedding \"{}\": \"{}\" holds {} keys but {} vectors of embedding_vec_size {}; was it another "
         "size?",
         spec.name, path, rows, count, spec.dim);
  check_total(path, spec, rows, world_size);
  TableDump dump;
  if (is_localized(spec)) read_slot_ids(files, path, spec, rows, dump);
  dump.keys = read_array<int64_t>(keys, rows);
  dump.vectors = read_array<float>(vectors, rows * spec.dim);
  return dump;
}

// Releases before 3.1: records of key (4 or 8 bytes), slot id (8, localized types), vector.
TableDump read_single_file(const FileSystem& files, const std::string& path, const EmbeddingSpec& spec,
                           bool i64_keys, int world_size) {
  const size_t key_bytes = i64_keys ? 8 : 4, slot_bytes = is_localized(spec) ? 8 : 0;
  const size_t vector_bytes = static_cast<size_t>(spec.dim) * sizeof(float);
  const size_t record = key_bytes + slot_bytes + vector_bytes;
  const auto opened = files.open(path);
  const RandomAccessFile& file = *opened;
  const auto size = static_cast<size_t>(file.size());
  if (size == 0) fail(ErrorKind::io, "embedding \"{}\": \"{}\" is empty", spec.name, path);
  if (size % record != 0)
    fail(ErrorKind::io,
         "embedding \"{}\": \"{}\" is a file, not a directory, and its {} bytes are not a multiple of the "
         "{}-byte records "
         "of the legacy single-file format",
         spec.name, path, size, record);
  const size_t rows = size / record;
  check_total(path, spec, static_cast<int64_t>(rows), world_size);
  const auto bytes = read_array<std::byte>(file, file.size());
  TableDump dump;
  dump.vectors.resize(rows * static_cast<size_t>(spec.dim));
  for (size_t r = 0; r < rows; ++r) {
    const std::byte* p = bytes.data() + r * record;
    int64_t key = 0;
    std::memcpy(&key, p, key_bytes);
    dump.keys.push_back(key);
    if (slot_bytes) std::memcpy(&dump.slot_ids.emplace_back(), p + key_bytes, slot_bytes);
    std::memcpy(dump.vectors.data() + r * static_cast<size_t>(spec.dim), p + key_bytes + slot_bytes,
                vector_bytes);
  }
  return dump;
}

void check_rows(const std::string& path, const EmbeddingSpec& spec, const TableDump& dump, bool i64_keys) {
  const std::vector<int64_t> first_key = slot_offsets(spec);
  for (size_t r = 0; r < dump.keys.size(); ++r) {
    const int64_t key = dump.keys[r];
    if (!i64_keys && (key < 0 || key > std::numeric_limits<uint32_t>::max()))
      fail(ErrorKind::io,
           "embedding \"{}\": \"{}\" row {}: key {} does not fit 32 bits (i64_input_key is False)", spec.name,
           path, r, key);
    if (!dump.slot_ids.empty() && dump.slot_ids[r] >= static_cast<uint64_t>(spec.slots))
      fail(ErrorKind::io, "embedding \"{}\": \"{}\" row {} (key {}): slot {} but the embedding has {} slots",
           spec.name, path, r, key, dump.slot_ids[r], spec.slots);
    if (spec.type != EmbeddingType::localized_one_hot) continue;
    const uint64_t slot = dump.slot_ids[r];
    if (key < first_key[slot] || key >= first_key[slot + 1])
      fail(ErrorKind::io, "embedding \"{}\": \"{}\" row {}: key {} is outside the range [{}, {}) of slot {}",
           spec.name, path, r, key, first_key[slot], first_key[slot + 1], slot);
  }
}

void check_ranks_hold(const std::string& path, const EmbeddingSpec& spec, const TableDump& dump,
                      int world_size) {
  std::vector<int64_t> rows(static_cast<size_t>(world_size));
  for (size_t r = 0; r < dump.keys.size(); ++r)
    ++rows[static_cast<size_t>(owner_of(spec, dump.keys[r], slot_of(dump, r), world_size))];
  for (int rank = 0; rank < world_size; ++rank)
    if (const int64_t n = rows[static_cast<size_t>(rank)]; n > row_capacity(spec, rank, world_size))
      fail_too_many(path, spec, n, fmt::format("rank {}", rank), row_capacity(spec, rank, world_size), n);
}

// A key may occur once; of localized embeddings, once in a slot.
void check_unique(const std::string& path, const EmbeddingSpec& spec, const TableDump& dump) {
  const auto slot = [&](size_t r) { return slot_of(dump, r); };
  const auto before = [&](size_t a, size_t b) {
    return std::tuple(slot(a), dump.keys[a], a) < std::tuple(slot(b), dump.keys[b], b);
  };
  std::vector<size_t> order(dump.keys.size());
  std::iota(order.begin(), order.end(), size_t{0});
  if (!std::is_sorted(order.begin(), order.end(), before)) std::sort(order.begin(), order.end(), before);
  const auto same = std::adjacent_find(order.begin(), order.end(), [&](size_t a, size_t b) {
    return slot(a) == slot(b) && dump.keys[a] == dump.keys[b];
  });
  if (same != order.end())
    fail(ErrorKind::io, "embedding \"{}\": \"{}\" rows {} and {} have the same key {}", spec.name, path,
         same[0], same[1], dump.keys[same[0]]);
}

}  // namespace

void write_sparse_directory(const Transaction::CreateFile& create, const EmbeddingSpec& spec,
                            const RankDumps& ranks) {
  const auto keys = create("key"), vectors = create("emb_vector");
  for (const TableDump& dump : ranks) {
    write_array(*keys, dump.keys);
    write_array(*vectors, dump.vectors);
  }
  keys->close();
  vectors->close();
  if (!is_localized(spec)) return;
  const auto slots = create("slot_id");
  for (const TableDump& dump : ranks) write_array(*slots, dump.slot_ids);
  slots->close();
}

TableDump read_sparse(const FileSystem& files, const std::string& path, const EmbeddingSpec& spec,
                      bool i64_keys, int world_size) {
  if (!files.exists(path))
    fail(ErrorKind::io, "embedding \"{}\": sparse model \"{}\" does not exist", spec.name, path);
  TableDump dump = files.is_directory(path) ? read_directory(files, path, spec, world_size)
                                            : read_single_file(files, path, spec, i64_keys, world_size);
  check_rows(path, spec, dump, i64_keys);
  check_ranks_hold(path, spec, dump, world_size);
  check_unique(path, spec, dump);
  warn_if_not_finite(path, dump.vectors);
  return dump;
}

}  // namespace ctr
