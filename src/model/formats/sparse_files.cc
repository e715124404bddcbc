// SPDX-License-Identifier: Apache-2.0
#include "model/formats/sparse_files.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "model/spec.h"

namespace ctr {
namespace {

bool is_localized(const EmbeddingSpec& spec) { return spec.type != EmbeddingType::distributed_hash; }

template <class T>
void write_array(OutputFile& file, const std::vector<T>& values) {
  file.write(values.data(), values.size() * sizeof(T));
}

template <class T>
std::vector<T> read_array(const std::string& path, int64_t per_row, const EmbeddingSpec& spec) {
  const RandomAccessFile file(path);
  const int64_t row_bytes = per_row * static_cast<int64_t>(sizeof(T));
  if (file.size() % row_bytes != 0)
    fail(ErrorKind::io, "embedding \"{}\": \"{}\" has {} bytes, not a multiple of the {} bytes of one row",
         spec.name, path, file.size(), row_bytes);
  std::vector<T> values(static_cast<size_t>(file.size()) / sizeof(T));
  if (file.read_at(0, values.data(), values.size() * sizeof(T)) != values.size() * sizeof(T))
    fail(ErrorKind::io, "\"{}\": truncated while it was read", path);
  return values;
}

TableDump read_directory(const std::string& path, const EmbeddingSpec& spec) {
  for (const char* name : {"key", "emb_vector"})
    if (!exists(path + "/" + name))
      fail(ErrorKind::io, "embedding \"{}\": \"{}/{}\" is missing", spec.name, path, name);
  TableDump dump;
  dump.keys = read_array<int64_t>(path + "/key", 1, spec);
  dump.vectors = read_array<float>(path + "/emb_vector", spec.dim, spec);
  const auto rows = static_cast<int64_t>(dump.vectors.size()) / spec.dim;
  if (rows != static_cast<int64_t>(dump.keys.size()))
    fail(ErrorKind::io,
         "embedding \"{}\": \"{}\" holds {} keys but {} vectors of embedding_vec_size {}; was it another "
         "size?",
         spec.name, path, dump.keys.size(), rows, spec.dim);
  if (!is_localized(spec)) return dump;
  if (!exists(path + "/slot_id"))
    fail(ErrorKind::io, "embedding \"{}\": \"{}/slot_id\" is missing, {} needs it", spec.name, path,
         name_of(spec.type));
  dump.slot_ids = read_array<uint64_t>(path + "/slot_id", 1, spec);
  if (dump.slot_ids.size() != dump.keys.size())
    fail(ErrorKind::io, "embedding \"{}\": \"{}\" holds {} keys but {} slot ids", spec.name, path,
         dump.keys.size(), dump.slot_ids.size());
  return dump;
}

// Releases before 3.1: records of key (4 or 8 bytes), slot id (8, localized types), vector.
TableDump read_single_file(const std::string& path, const EmbeddingSpec& spec, bool i64_keys) {
  const size_t key_bytes = i64_keys ? 8 : 4, slot_bytes = is_localized(spec) ? 8 : 0;
  const size_t vector_bytes = static_cast<size_t>(spec.dim) * sizeof(float);
  const size_t record = key_bytes + slot_bytes + vector_bytes;
  const RandomAccessFile file(path);
  const auto size = static_cast<size_t>(file.size());
  if (size % record != 0)
    fail(ErrorKind::io,
         "embedding \"{}\": \"{}\" is a file, not a directory, and its {} bytes are not a multiple of the "
         "{}-byte records "
         "of the legacy single-file format",
         spec.name, path, size, record);
  std::vector<std::byte> bytes(size);
  if (file.read_at(0, bytes.data(), size) != size)
    fail(ErrorKind::io, "\"{}\": truncated while it was read", path);
  TableDump dump;
  const size_t rows = size / record;
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
  for (size_t r = 0; r < dump.keys.size(); ++r) {
    const int64_t key = dump.keys[r];
    if (!i64_keys && (key < 0 || key > std::numeric_limits<uint32_t>::max()))
      fail(ErrorKind::io,
           "embedding \"{}\": \"{}\" row {}: key {} does not fit 32 bits (i64_input_key is False)", spec.name,
           path, r, key);
    if (!dump.slot_ids.empty() && dump.slot_ids[r] >= static_cast<uint64_t>(spec.slots))
      fail(ErrorKind::io, "embedding \"{}\": \"{}\" row {} (key {}): slot {} but the embedding has {} slots",
           spec.name, path, r, key, dump.slot_ids[r], spec.slots);
  }
}

int64_t total_capacity(const EmbeddingSpec& spec, int world_size) {
  int64_t rows = 0;
  for (int r = 0; r < world_size; ++r) rows += row_capacity(spec, r, world_size);
  return rows;
}

int64_t state_bytes(const EmbeddingSpec& spec, int world_size) {
  return state_count(spec.optimizer.type) * total_capacity(spec, world_size) * spec.dim * 4;
}

int world_size_of(const std::string& path, int64_t bytes, const EmbeddingSpec& spec, int world_size) {
  constexpr int kMaxRanks = 4096;
  if (bytes == state_bytes(spec, world_size)) return world_size;
  for (int n = 1; n <= kMaxRanks; ++n)
    if (bytes == state_bytes(spec, n)) return n;
  fail(ErrorKind::io,
       "embedding \"{}\": optimizer states \"{}\" have {} bytes; {} with {} state tensors, {} rows on {} "
       "devices and "
       "embedding_vec_size {} needs {}",
       spec.name, path, bytes, name_of(spec.optimizer.type), state_count(spec.optimizer.type),
       total_capacity(spec, world_size), world_size, spec.dim, state_bytes(spec, world_size));
}

}  // namespace

void write_sparse_directory(const std::string& directory, const EmbeddingSpec& spec, const RankDumps& ranks) {
  OutputFile keys(directory + "/key"), vectors(directory + "/emb_vector");
  for (const TableDump& dump : ranks) {
    write_array(keys, dump.keys);
    write_array(vectors, dump.vectors);
  }
  keys.close();
  vectors.close();
  if (!is_localized(spec)) return;
  OutputFile slots(directory + "/slot_id");
  for (const TableDump& dump : ranks) write_array(slots, dump.slot_ids);
  slots.close();
}

TableDump read_sparse(const std::string& path, const EmbeddingSpec& spec, bool i64_keys) {
  if (!exists(path))
    fail(ErrorKind::io, "embedding \"{}\": sparse model \"{}\" does not exist", spec.name, path);
  TableDump dump = is_directory(path) ? read_directory(path, spec) : read_single_file(path, spec, i64_keys);
  check_rows(path, spec, dump, i64_keys);
  return dump;
}

void write_sparse_optimizer(OutputFile& file, const EmbeddingSpec& spec, const RankDumps& ranks) {
  const int world_size = static_cast<int>(ranks.size());
  if (spec.type == EmbeddingType::localized_one_hot) return;
  for (int s = 0; s < state_count(spec.optimizer.type); ++s) {
    const std::vector<float> unused(static_cast<size_t>(spec.dim) * 1024, initial_state(spec.optimizer, s));
    for (int r = 0; r < world_size; ++r) {
      const std::vector<float>& used = ranks[static_cast<size_t>(r)].states[static_cast<size_t>(s)];
      write_array(file, used);
      auto left = static_cast<size_t>(row_capacity(spec, r, world_size) * spec.dim) - used.size();
      for (; left > 0; left -= std::min(left, unused.size()))
        file.write(unused.data(), std::min(left, unused.size()) * sizeof(float));
    }
  }
}

TableDump read_sparse_optimizer(const std::string& path, const EmbeddingSpec& spec, const TableDump& order,
                                int world_size) {
  const RandomAccessFile file(path);
  TableDump dump{order.keys, order.slot_ids, {}, {}, {}};
  if (spec.type == EmbeddingType::localized_one_hot && file.size() == 0) return dump;
  const int saved_ranks = world_size_of(path, file.size(), spec, world_size);

  std::vector<int64_t> first_row(static_cast<size_t>(saved_ranks), 0);
  for (int r = 1; r < saved_ranks; ++r)
    first_row[static_cast<size_t>(r)] =
        first_row[static_cast<size_t>(r - 1)] + row_capacity(spec, r - 1, saved_ranks);
  std::vector<int64_t> next = first_row, row_of_key;
  for (size_t k = 0; k < order.keys.size(); ++k) {
    const auto slot = order.slot_ids.empty() ? 0 : static_cast<int64_t>(order.slot_ids[k]);
    const auto owner = static_cast<size_t>(owner_of(spec, order.keys[k], slot, saved_ranks));
    if (next[owner] - first_row[owner] >= row_capacity(spec, static_cast<int>(owner), saved_ranks))
      fail(ErrorKind::io, "embedding \"{}\": \"{}\" has fewer rows than the sparse model loaded before it",
           spec.name, path);
    row_of_key.push_back(next[owner]++);
  }

  const auto row_bytes = static_cast<size_t>(spec.dim) * sizeof(float);
  for (int s = 0; s < state_count(spec.optimizer.type); ++s) {
    auto& values = dump.states.emplace_back(order.keys.size() * static_cast<size_t>(spec.dim));
    const int64_t base = s * total_capacity(spec, saved_ranks);
    for (size_t k = 0; k < order.keys.size(); ++k) {
      const int64_t offset = (base + row_of_key[k]) * static_cast<int64_t>(row_bytes);
      if (file.read_at(offset, values.data() + k * static_cast<size_t>(spec.dim), row_bytes) != row_bytes)
        fail(ErrorKind::io, "\"{}\": truncated while it was read", path);
    }
  }
  return dump;
}

}  // namespace ctr
