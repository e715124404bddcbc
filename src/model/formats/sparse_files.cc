// SPDX-License-Identifier: Apache-2.0
#include "model/formats/sparse_files.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>
#include <tuple>

#include "embedding/placement.h"
#include "model/formats/arrays.h"
#include "model/formats/state_files.h"
#include "model/spec.h"

namespace ctr {
namespace {

template <class T>
std::vector<T> read_rows(const std::string& path, int64_t per_row, const EmbeddingSpec& spec) {
  const RandomAccessFile file(path);
  const int64_t row_bytes = per_row * static_cast<int64_t>(sizeof(T));
  if (file.size() % row_bytes != 0)
    fail(ErrorKind::io, "embedding \"{}\": \"{}\" has {} bytes, not a multiple of the {} bytes of one row",
         spec.name, path, file.size(), row_bytes);
  return read_array<T>(file, file.size() / static_cast<int64_t>(sizeof(T)));
}

TableDump read_directory(const std::string& path, const EmbeddingSpec& spec) {
  for (const char* name : {"key", "emb_vector"})
    if (!exists(path + "/" + name))
      fail(ErrorKind::io, "embedding \"{}\": \"{}/{}\" is missing", spec.name, path, name);
  TableDump dump;
  dump.keys = read_rows<int64_t>(path + "/key", 1, spec);
  dump.vectors = read_rows<float>(path + "/emb_vector", spec.dim, spec);
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
  dump.slot_ids = read_rows<uint64_t>(path + "/slot_id", 1, spec);
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
  if (size == 0) fail(ErrorKind::io, "embedding \"{}\": \"{}\" is empty", spec.name, path);
  if (size % record != 0)
    fail(ErrorKind::io,
         "embedding \"{}\": \"{}\" is a file, not a directory, and its {} bytes are not a multiple of the "
         "{}-byte records "
         "of the legacy single-file format",
         spec.name, path, size, record);
  const auto bytes = read_array<std::byte>(file, file.size());
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

// Every rank of a hash embedding has the same capacity; the ranks of a one-hot one share its rows.
int64_t total_capacity(const EmbeddingSpec& spec, int world_size) {
  if (spec.type == EmbeddingType::localized_one_hot) return row_capacity(spec, 0, 1);
  return world_size * row_capacity(spec, 0, world_size);
}

void check_ranks_hold(const std::string& path, const EmbeddingSpec& spec, const TableDump& dump,
                      int world_size) {
  std::vector<int64_t> rows(static_cast<size_t>(world_size));
  for (size_t r = 0; r < dump.keys.size(); ++r) {
    const auto slot = dump.slot_ids.empty() ? 0 : static_cast<int64_t>(dump.slot_ids[r]);
    ++rows[static_cast<size_t>(owner_of(spec, dump.keys[r], slot, world_size))];
  }
  for (int rank = 0; rank < world_size; ++rank)
    if (const int64_t n = rows[static_cast<size_t>(rank)]; n > row_capacity(spec, rank, world_size))
      fail(ErrorKind::out_of_memory,
           "embedding \"{}\": \"{}\" has {} rows for rank {}, which can hold {}; "
           "workspace_size_per_gpu_in_mb={} would be enough",
           spec.name, path, n, rank, row_capacity(spec, rank, world_size), workspace_mb_for(spec, n));
}

// A key may occur once; of localized embeddings, once in a slot.
void check_unique(const std::string& path, const EmbeddingSpec& spec, const TableDump& dump) {
  const auto slot = [&](size_t r) { return dump.slot_ids.empty() ? 0 : dump.slot_ids[r]; };
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

int64_t state_values(const EmbeddingSpec& spec, int world_size) {
  return state_count(spec.optimizer.type) * total_capacity(spec, world_size) * spec.dim;
}

struct StateLayout {
  int world_size;   // when it was saved
  int value_bytes;  // 4, or 2 in releases that kept 16-bit states
};

StateLayout layout_of(const std::string& path, int64_t bytes, const EmbeddingSpec& spec, int world_size) {
  constexpr int kMaxRanks = 4096;
  std::vector<int> widths{4};
  if (may_be_16_bit(path)) widths.push_back(2);
  for (const int width : widths)
    if (bytes == state_values(spec, world_size) * width) return {world_size, width};
  for (const int width : widths)
    for (int n = 1; n <= kMaxRanks; ++n)
      if (bytes == state_values(spec, n) * width) return {n, width};
  fail(ErrorKind::io,
       "embedding \"{}\": optimizer states \"{}\" have {} bytes; {} with {} state tensors, {} rows on {} "
       "devices and embedding_vec_size {} needs {}",
       spec.name, path, bytes, name_of(spec.optimizer.type), state_count(spec.optimizer.type),
       total_capacity(spec, world_size), world_size, spec.dim, 4 * state_values(spec, world_size));
}

// Vectors of `dim` values at the given rows of one state tensor.
template <class T>
std::vector<float> read_states(const RandomAccessFile& file, int64_t first_row,
                               const std::vector<int64_t>& rows, int64_t dim) {
  std::vector<float> values;
  values.reserve(rows.size() * static_cast<size_t>(dim));
  std::vector<T> row(static_cast<size_t>(dim));
  const size_t bytes = row.size() * sizeof(T);
  for (const int64_t r : rows) {
    read_exactly(file, (first_row + r) * static_cast<int64_t>(bytes), row.data(), bytes);
    std::transform(row.begin(), row.end(), std::back_inserter(values), [](T v) { return to_float(v); });
  }
  return values;
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

TableDump read_sparse(const std::string& path, const EmbeddingSpec& spec, bool i64_keys, int world_size) {
  if (!exists(path))
    fail(ErrorKind::io, "embedding \"{}\": sparse model \"{}\" does not exist", spec.name, path);
  TableDump dump = is_directory(path) ? read_directory(path, spec) : read_single_file(path, spec, i64_keys);
  check_rows(path, spec, dump, i64_keys);
  check_ranks_hold(path, spec, dump, world_size);
  check_unique(path, spec, dump);
  warn_if_not_finite(path, dump.vectors);
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
  const auto [saved_ranks, value_bytes] = layout_of(path, file.size(), spec, world_size);

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

  for (int s = 0; s < state_count(spec.optimizer.type); ++s) {
    const int64_t first = s * total_capacity(spec, saved_ranks);
    dump.states.push_back(value_bytes == 2 ? read_states<f16>(file, first, row_of_key, spec.dim)
                                           : read_states<float>(file, first, row_of_key, spec.dim));
  }
  if (value_bytes == 2) accept_16_bit_states(path, spec.optimizer, dump.states);
  return dump;
}

}  // namespace ctr
