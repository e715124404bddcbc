// SPDX-License-Identifier: Apache-2.0
#include "model/formats/sparse_states.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <utility>

#include "base/log.h"
#include "embedding/placement.h"
#include "model/formats/arrays.h"
#include "model/formats/json_fit.h"
#include "model/formats/state_files.h"
#include "model/spec.h"
#include "optim/row_update.h"

namespace ctr {
namespace {

int64_t values_of_a_row(const EmbeddingSpec& spec) { return state_count(spec.optimizer.type) * spec.dim; }

// When it was saved.
struct StateLayout {
  int world_size;
  int value_bytes;                // 4, or 2 in releases that kept 16-bit states
  std::vector<int64_t> capacity;  // of each rank
  int64_t total_rows() const { return std::accumulate(capacity.begin(), capacity.end(), int64_t{0}); }
};

std::vector<int64_t> capacities(const EmbeddingSpec& spec, int world_size) {
  std::vector<int64_t> rows;
  for (int r = 0; r < world_size; ++r) rows.push_back(row_capacity(spec, r, world_size));
  return rows;
}

// Whether keys of a file that `world_size` ranks saved, rank after rank, can have this order.
bool is_order_of(int world_size, const EmbeddingSpec& spec, const TableDump& order) {
  int rank = 0;
  for (size_t k = 0; k < order.keys.size(); ++k) {
    const int previous = std::exchange(rank, owner_of(spec, order.keys[k], slot_of(order, k), world_size));
    if (previous > rank) return false;
  }
  return true;
}

// Of a described file, whose keys are known to be ours: a workspace of another size, which the description
// tells, made it longer or shorter.
std::optional<StateLayout> other_workspace(int64_t bytes, const EmbeddingSpec& spec, const TableDump& order,
                                           int ranks, const Json& description) {
  const int64_t row_bytes = values_of_a_row(spec) * static_cast<int64_t>(sizeof(float)) * ranks;
  const Json rows = description.value("rows_of_a_rank", Json());
  if (spec.type == EmbeddingType::localized_one_hot || row_bytes == 0 || bytes % row_bytes != 0) return {};
  if (rows != bytes / row_bytes || (ranks > 1 && !is_order_of(ranks, spec, order))) return {};
  return StateLayout{ranks, 4, std::vector<int64_t>(static_cast<size_t>(ranks), bytes / row_bytes)};
}

StateLayout layout_of(const FileSystem& files, const std::string& path, int64_t bytes,
                      const EmbeddingSpec& spec, const TableDump& order, int world_size,
                      const Json& description) {
  constexpr int kMaxRanks = 4096;
  std::vector<int> candidates{world_size};
  if (description.is_null()) {
    for (int n = 1; n <= kMaxRanks; ++n) candidates.push_back(n);
  } else if (const Json& ranks = description.value("ranks", Json());
             fits<int>(ranks) && ranks >= 1 && ranks <= kMaxRanks) {
    candidates = {ranks.get<int>()};
  }
  std::vector<int> widths{4};
  if (!is_ours(files, path)) widths.push_back(2);
  for (const int width : widths)
    for (const int n : candidates)
      if (bytes == values_of_a_row(spec) * total_capacity(spec, n) * width &&
          (n == 1 || is_order_of(n, spec, order)))
        return {n, width, capacities(spec, n)};
  if (!description.is_null())
    if (auto layout = other_workspace(bytes, spec, order, candidates[0], description)) return *layout;
  const int64_t rows = total_capacity(spec, candidates[0]);
  fail(ErrorKind::io,
       "embedding \"{}\": optimizer states \"{}\" have {} bytes; {} with {} state tensors, {} rows on {} "
       "devices (as {} has it) and embedding_vec_size {} needs {}{}",
       spec.name, path, bytes, name_of(spec.optimizer.type), state_count(spec.optimizer.type), rows,
       candidates[0], capacity_argument(spec), spec.dim, 4 * values_of_a_row(spec) * rows,
       description.is_null() ? "; without a description they need the workspace that they were saved with"
                             : "");
}

// Vectors of `dim` values at the given rows of one state tensor; neighbours are read together.
template <class T>
std::vector<float> read_states(const RandomAccessFile& file, int64_t first_row,
                               const std::vector<int64_t>& rows, int64_t dim) {
  constexpr size_t kBlock = 1024;  // rows
  std::vector<float> values;
  values.reserve(rows.size() * static_cast<size_t>(dim));
  std::vector<T> block(kBlock * static_cast<size_t>(dim));
  const int64_t row_bytes = dim * static_cast<int64_t>(sizeof(T));
  for (size_t i = 0, n = 0; i < rows.size(); i += n) {
    n = 1;
    while (n < kBlock && i + n < rows.size() && rows[i + n] == rows[i] + static_cast<int64_t>(n)) ++n;
    read_exactly(file, (first_row + rows[i]) * row_bytes, block.data(), n * static_cast<size_t>(row_bytes));
    std::transform(block.begin(), block.begin() + static_cast<int64_t>(n) * dim, std::back_inserter(values),
                   [](T v) { return to_float(v); });
  }
  return values;
}

// Where the states of each key are in a tensor.
std::vector<int64_t> rows_of_keys(const std::string& path, const EmbeddingSpec& spec, const TableDump& order,
                                  const StateLayout& layout) {
  std::vector<int64_t> first{0}, rows;
  for (const int64_t capacity : layout.capacity) first.push_back(first.back() + capacity);
  std::vector<int64_t> next = first;
  rows.reserve(order.keys.size());
  for (size_t k = 0; k < order.keys.size(); ++k) {
    const auto owner =
        static_cast<size_t>(owner_of(spec, order.keys[k], slot_of(order, k), layout.world_size));
    if (next[owner] >= first[owner + 1])
      fail(ErrorKind::io, "embedding \"{}\": \"{}\" has fewer rows than the sparse model loaded before it",
           spec.name, path);
    rows.push_back(next[owner]++);
  }
  return rows;
}

// The part that any embedding they are loaded into must share.
Json describe_embedding_states(const EmbeddingSpec& spec) {
  Json description = describe_optimizer(spec.optimizer);
  description["embedding_type"] = name_of(spec.type);
  description["embedding_vec_size"] = spec.dim;
  return description;
}

// Of keys and slots in their order.
uint64_t digest(const TableDump& order) {
  const auto mix = [](uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  };
  uint64_t sum = 0;
  for (size_t k = 0; k < order.keys.size(); ++k) {
    const uint64_t place = k * 0x9e3779b97f4a7c15;
    sum += mix(mix(static_cast<uint64_t>(order.keys[k]) + place) + static_cast<uint64_t>(slot_of(order, k)));
  }
  return sum;
}

bool is_lazy(const EmbeddingSpec& spec) { return RowLayout(spec.optimizer, spec.dim).has_last_step; }

// Equal keys do not tell embeddings apart: names do, as long as layers keep theirs.
void check_name(const std::string& path, const EmbeddingSpec& spec, std::span<const EmbeddingSpec> model,
                const Json& description) {
  const Json saved = description.value("embedding", Json(spec.name));  // first releases did not say
  if (saved == Json(spec.name)) return;
  const bool is_other =
      std::any_of(model.begin(), model.end(), [&](const auto& other) { return saved == Json(other.name); });
  if (is_other)
    fail(ErrorKind::io,
         "embedding \"{}\": optimizer states \"{}\" are those of embedding {}; are the files of two "
         "embeddings "
         "swapped?",
         spec.name, path, saved.dump());
  log::warn_once(fmt::format(
      "embedding \"{}\": optimizer states \"{}\" were saved under the name {}, which no embedding has here; "
      "they have its keys and are taken",
      spec.name, path, saved.dump()));
}

// Throws unless the states were saved for just these rows.
void check_description(const std::string& path, const EmbeddingSpec& spec, const TableDump& order,
                       const Json& description) {
  const auto differs = [&](const Json& ours, const char* key) {
    return description.value(key, Json()) != ours[key];
  };
  const Json ours = describe_sparse_states(spec, order, 1);
  const bool rows_differ = differs(ours, "rows"), keys_differ = differs(ours, "keys");
  if (state_count(spec.optimizer.type) > 0 && (rows_differ || keys_differ))
    fail(ErrorKind::io,
         "embedding \"{}\": optimizer states \"{}\" belong to a sparse model of {} rows; the embedding has "
         "{}; "
         "load the sparse model that was saved with them first",
         spec.name, path, description.value("rows", Json()).dump(),
         order.keys.empty() ? "none yet"
         : rows_differ      ? fmt::format("{}", order.keys.size())
                            : fmt::format("{} of other keys, or in another order", order.keys.size()));
  if (description.value("last_steps", Json()) == true && !is_lazy(spec))
    fail(ErrorKind::io,
         "embedding \"{}\": optimizer states \"{}\" were saved with update_type LazyGlobal, whose rows are "
         "behind; "
         "here update_type is {}",
         spec.name, path, name_of(spec.optimizer.update));
}

// The optimizer's step, and the last step of each row where the optimizer needs it.
int64_t read_sparse_steps(const FileSystem& files, const std::string& path, const EmbeddingSpec& spec,
                          TableDump& dump) {
  std::vector<int64_t> counts{1};
  if (is_lazy(spec)) counts.push_back(1 + std::ssize(dump.keys));
  const std::vector<int64_t> steps = read_steps(files, path, counts);
  const int64_t step = steps.empty() ? 0 : steps[0], latest = std::max<int64_t>(step, 1);
  if (!is_lazy(spec)) return step;
  dump.last_steps.assign(dump.keys.size(), latest);  // other updates leave no row behind
  for (size_t i = 1; i < steps.size(); ++i) {
    if (steps[i] < 1 || steps[i] > latest)
      fail(ErrorKind::io, "step counters \"{}\": entry {} is {}, but the optimizer made {} steps", path, i,
           steps[i], step);
    dump.last_steps[i - 1] = steps[i];
  }
  return step;
}

}  // namespace

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

Json describe_sparse_states(const EmbeddingSpec& spec, const TableDump& order, int world_size) {
  Json description = describe_embedding_states(spec);
  description["embedding"] = spec.name;
  description["update_type"] = name_of(spec.optimizer.update);
  description["last_steps"] = is_lazy(spec);
  description["ranks"] = world_size;
  description["rows"] = order.keys.size();
  description["rows_of_a_rank"] = row_capacity(spec, 0, world_size);
  description["keys"] = fmt::format("{:016x}", digest(order));
  return description;
}

SparseStates read_sparse_optimizer(const FileSystem& files, const std::string& path,
                                   const EmbeddingSpec& spec, std::span<const EmbeddingSpec> model,
                                   const TableDump& order, int world_size) {
  const Json description =
      read_description(files, fmt::format("embedding \"{}\": optimizer states", spec.name), path,
                       describe_embedding_states(spec));
  if (!description.is_null()) {
    check_name(path, spec, model, description);
    check_description(path, spec, order, description);
  }
  const auto opened = files.open(path);
  const RandomAccessFile& file = *opened;
  SparseStates result{{order.keys, order.slot_ids, {}, {}, {}}, 0};
  TableDump& dump = result.dump;
  result.optimizer_step = read_sparse_steps(files, path + ".step", spec, dump);
  if (spec.type == EmbeddingType::localized_one_hot && file.size() == 0) return result;
  const StateLayout layout = layout_of(files, path, file.size(), spec, order, world_size, description);
  if (layout.value_bytes == 2) log::info("\"{}\": read as 16-bit values", path);
  const std::vector<int64_t> rows = rows_of_keys(path, spec, order, layout);
  for (int s = 0; s < state_count(spec.optimizer.type); ++s) {
    const int64_t first = s * layout.total_rows();
    dump.states.push_back(layout.value_bytes == 2 ? read_states<f16>(file, first, rows, spec.dim)
                                                  : read_states<float>(file, first, rows, spec.dim));
    check_states(path, spec.optimizer, s, dump.states.back());
  }
  return result;
}

}  // namespace ctr
