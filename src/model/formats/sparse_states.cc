// SPDX-License-Identifier: Apache-2.0
#include "model/formats/sparse_states.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
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

// Of each rank in a file: as many as releases from 3.5 derive of the workspace, as long as these are enough.
int64_t rows_of_a_rank(const EmbeddingSpec& spec, const KeyOrder& keys, int world_size) {
  std::vector<int64_t> used(static_cast<size_t>(world_size));
  keys([&](const RowBlock& block) {
    for (size_t k = 0; k < block.keys.size(); ++k)
      ++used[static_cast<size_t>(owner_of(spec, block.keys[k], slot_of(block, k), world_size))];
  });
  const int64_t rows = row_capacity(spec, 0, world_size);
  return *std::max_element(used.begin(), used.end()) <= rows ? rows : row_limit(spec, 0, world_size);
}

std::vector<int64_t> capacities(const EmbeddingSpec& spec, int world_size) {
  std::vector<int64_t> rows;
  for (int r = 0; r < world_size; ++r) rows.push_back(row_capacity(spec, r, world_size));
  return rows;
}

// Whether keys of a file that `world_size` ranks saved, rank after rank, can have this order.
bool is_order_of(int world_size, const EmbeddingSpec& spec, const KeyOrder& order) {
  int rank = 0;
  bool rises = true;
  order([&](const RowBlock& block) {
    for (size_t k = 0; rises && k < block.keys.size(); ++k) {
      const int previous = std::exchange(rank, owner_of(spec, block.keys[k], slot_of(block, k), world_size));
      rises = previous <= rank;
    }
  });
  return rises;
}

int64_t count_keys(const KeyOrder& order) {
  int64_t n = 0;
  order([&](const RowBlock& block) { n += std::ssize(block.keys); });
  return n;
}

// Capacity of each rank by a described file, whose keys are known to be ours: a workspace of another size,
// which the description tells, made it longer or shorter.
std::vector<int64_t> other_workspace(int64_t bytes, const EmbeddingSpec& spec, const KeyOrder& order,
                                     int ranks, const Json& description) {
  const int64_t row_bytes = values_of_a_row(spec) * static_cast<int64_t>(sizeof(float)) * ranks;
  const Json rows = description.value("rows_of_a_rank", Json());
  if (spec.type == EmbeddingType::localized_one_hot || row_bytes == 0 || bytes % row_bytes != 0) return {};
  if (rows != bytes / row_bytes || (ranks > 1 && !is_order_of(ranks, spec, order))) return {};
  return std::vector<int64_t>(static_cast<size_t>(ranks), bytes / row_bytes);
}

// Vectors of `dim` values at the given rows of one state tensor; neighbours are read together.
template <class T>
std::vector<float> read_values(const RandomAccessFile& file, int64_t first_row,
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

// Where the states of the next keys are in a tensor.
class Places {
 public:
  Places(const std::string& path, const EmbeddingSpec& spec, const std::vector<int64_t>& capacity)
      : path_(path), spec_(spec), end_(capacity) {
    std::partial_sum(end_.begin(), end_.end(), end_.begin());
    for (size_t r = 0; r < end_.size(); ++r) next_.push_back(end_[r] - capacity[r]);
  }
  int64_t total() const { return end_.back(); }

  std::vector<int64_t> of(const RowBlock& block) {
    const auto ranks = static_cast<int>(end_.size());
    std::vector<int64_t> rows;
    for (size_t k = 0; k < block.keys.size(); ++k) {
      const auto owner = static_cast<size_t>(owner_of(spec_, block.keys[k], slot_of(block, k), ranks));
      if (next_[owner] >= end_[owner])
        fail(ErrorKind::io, "embedding \"{}\": \"{}\" has fewer rows than the sparse model loaded before it",
             spec_.name, path_);
      rows.push_back(next_[owner]++);
    }
    return rows;
  }

 private:
  const std::string& path_;
  const EmbeddingSpec& spec_;
  std::vector<int64_t> next_, end_;  // by rank
};

// The part that any embedding they are loaded into must share.
Json describe_embedding_states(const EmbeddingSpec& spec) {
  Json description = describe_optimizer(spec.optimizer);
  description["embedding_type"] = name_of(spec.type);
  description["embedding_vec_size"] = spec.dim;
  return description;
}

// Of keys and slots in their order.
uint64_t digest(const KeyOrder& order) {
  const auto mix = [](uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  };
  uint64_t sum = 0, place = 0;
  order([&](const RowBlock& block) {
    for (size_t k = 0; k < block.keys.size(); ++k, place += 0x9e3779b97f4a7c15)
      sum +=
          mix(mix(static_cast<uint64_t>(block.keys[k]) + place) + static_cast<uint64_t>(slot_of(block, k)));
  });
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
void check_description(const std::string& path, const EmbeddingSpec& spec, const KeyOrder& order,
                       const Json& description) {
  const auto differs = [&](const Json& ours, const char* key) {
    return description.value(key, Json()) != ours[key];
  };
  const Json ours = describe_sparse_states(spec, order, 1);
  const auto rows = ours["rows"].get<int64_t>();
  const bool rows_differ = differs(ours, "rows"), keys_differ = differs(ours, "keys");
  if (state_count(spec.optimizer.type) > 0 && (rows_differ || keys_differ))
    fail(ErrorKind::io,
         "embedding \"{}\": optimizer states \"{}\" belong to a sparse model of {} rows; the embedding has "
         "{}; "
         "load the sparse model that was saved with them first",
         spec.name, path, description.value("rows", Json()).dump(),
         rows == 0     ? "none yet"
         : rows_differ ? fmt::format("{}", rows)
                       : fmt::format("{} of other keys, or in another order", rows));
  if (description.value("last_steps", Json()) == true && !is_lazy(spec))
    fail(ErrorKind::io,
         "embedding \"{}\": optimizer states \"{}\" were saved with update_type LazyGlobal, whose rows are "
         "behind; "
         "here update_type is {}",
         spec.name, path, name_of(spec.optimizer.update));
}

}  // namespace

void write_sparse_optimizer(OutputFile& file, const EmbeddingSpec& spec, const RankRows& rows) {
  if (spec.type == EmbeddingType::localized_one_hot) return;
  const int64_t rows_of_each = rows_of_a_rank(spec, rows.keys(), rows.ranks);
  for (int s = 0; s < state_count(spec.optimizer.type); ++s) {
    const std::vector<float> unused(static_cast<size_t>(spec.dim) * 1024, initial_state(spec.optimizer, s));
    for (int r = 0; r < rows.ranks; ++r) {
      auto left = static_cast<size_t>(rows_of_each * spec.dim);
      rows.read(r, {.first_state = s, .num_states = 1}, [&](const RowBlock& block) {
        write_array(file, block.states[0]);
        left -= block.states[0].size();
      });
      for (; left > 0; left -= std::min(left, unused.size()))
        file.write(unused.data(), std::min(left, unused.size()) * sizeof(float));
    }
  }
}

void write_sparse_steps(OutputFile& file, const EmbeddingSpec& spec, const RankRows& rows, int64_t step) {
  write_steps(file, step, {});
  if (is_lazy(spec))
    rows.all({.last_steps = true}, [&](const RowBlock& block) { write_array(file, block.last_steps); });
}

Json describe_sparse_states(const EmbeddingSpec& spec, const KeyOrder& order, int world_size) {
  Json description = describe_embedding_states(spec);
  description["embedding"] = spec.name;
  description["update_type"] = name_of(spec.optimizer.update);
  description["last_steps"] = is_lazy(spec);
  description["ranks"] = world_size;
  description["rows"] = count_keys(order);
  description["rows_of_a_rank"] = rows_of_a_rank(spec, order, world_size);
  description["keys"] = fmt::format("{:016x}", digest(order));
  return description;
}

SparseStates::SparseStates(const FileSystem& files, const std::string& path, const EmbeddingSpec& spec,
                           std::span<const EmbeddingSpec> model, KeyOrder order, int world_size)
    : path_(path), spec_(spec), order_(std::move(order)) {
  const Json description =
      read_description(files, fmt::format("embedding \"{}\": optimizer states", spec.name), path,
                       describe_embedding_states(spec));
  if (!description.is_null()) {
    check_name(path, spec, model, description);
    check_description(path, spec, order_, description);
  }
  file_ = files.open(path);
  open_steps(files);
  if (spec.type == EmbeddingType::localized_one_hot && file_->size() == 0) return;
  has_states_ = true;
  layout_ = layout_of(files, world_size, description);
  if (layout_.value_bytes == 2) log::info("\"{}\": read as 16-bit values", path);
  check();
}

SparseStates::Layout SparseStates::layout_of(const FileSystem& files, int world_size,
                                             const Json& description) const {
  constexpr int kMaxRanks = 4096;
  const int64_t bytes = file_->size();
  std::vector<int> candidates{world_size};
  if (description.is_null()) {
    for (int n = 1; n <= kMaxRanks; ++n) candidates.push_back(n);
  } else if (const Json& ranks = description.value("ranks", Json());
             fits<int>(ranks) && ranks >= 1 && ranks <= kMaxRanks) {
    candidates = {ranks.get<int>()};
  }
  std::vector<int> widths{4};
  if (!is_ours(files, path_)) widths.push_back(2);
  for (const int width : widths)
    for (const int n : candidates)
      if (bytes == values_of_a_row(spec_) * total_capacity(spec_, n) * width &&
          (n == 1 || is_order_of(n, spec_, order_)))
        return {width, capacities(spec_, n)};
  // Releases until 3.4 took no states from a workspace. Sizes do not tell other numbers of ranks apart.
  const int64_t limit = row_limit(spec_, 0, world_size);
  for (const int width : widths)
    if (bytes == values_of_a_row(spec_) * limit * world_size * width)
      return {width, std::vector<int64_t>(static_cast<size_t>(world_size), limit)};
  if (!description.is_null())
    if (auto capacity = other_workspace(bytes, spec_, order_, candidates[0], description); !capacity.empty())
      return {4, capacity};
  const int64_t rows = total_capacity(spec_, candidates[0]);
  fail(ErrorKind::io,
       "embedding \"{}\": optimizer states \"{}\" have {} bytes; {} with {} state tensors, {} rows on {} "
       "devices (as {} has it) and embedding_vec_size {} needs {}{}",
       spec_.name, path_, bytes, name_of(spec_.optimizer.type), state_count(spec_.optimizer.type), rows,
       candidates[0], capacity_argument(spec_), spec_.dim, 4 * values_of_a_row(spec_) * rows,
       description.is_null() ? "; without a description they need the workspace that they were saved with"
                             : "");
}

// The optimizer's step, and the last step of each row where the optimizer needs it.
void SparseStates::open_steps(const FileSystem& files) {
  std::vector<int64_t> counts{1};
  if (is_lazy(spec_)) counts.push_back(1 + count_keys(order_));
  steps_ = ctr::open_steps(files, path_ + ".step", counts);
  if (steps_) optimizer_step_ = read_steps(*steps_, 0, 1)[0];
  if (steps_ && steps_->size() == 8) steps_ = nullptr;  // other updates leave no row behind
}

// Of `count` rows from the first on.
std::vector<int64_t> SparseStates::last_steps(int64_t first, int64_t count) const {
  const int64_t latest = std::max<int64_t>(optimizer_step_, 1);
  if (!steps_) return std::vector<int64_t>(static_cast<size_t>(count), latest);
  std::vector<int64_t> steps = read_steps(*steps_, 1 + first, count);
  for (size_t i = 0; i < steps.size(); ++i)
    if (steps[i] < 1 || steps[i] > latest)
      fail(ErrorKind::io, "step counters \"{}\": entry {} is {}, but the optimizer made {} steps",
           steps_->path(), 1 + first + static_cast<int64_t>(i), steps[i], optimizer_step_);
  return steps;
}

void SparseStates::check() const {
  int64_t first = 0;
  read([&](const RowBlock& block) {
    for (size_t s = 0; s < block.states.size(); ++s)
      check_states(path_, spec_.optimizer, static_cast<int>(s), block.states[s], first);
    first += std::ssize(block.keys) * spec_.dim;
  });
}

void SparseStates::read(const VisitRows& visit) const {
  if (!has_states_) return;
  Places places(path_, spec_, layout_.capacity);
  int64_t first_row = 0;
  order_([&](const RowBlock& keys) {
    RowBlock block{keys.keys, keys.slot_ids, {}, {}, {}};
    const std::vector<int64_t> rows = places.of(keys);
    for (int s = 0; s < state_count(spec_.optimizer.type); ++s) {
      const int64_t first = s * places.total();
      block.states.push_back(layout_.value_bytes == 2 ? read_values<f16>(*file_, first, rows, spec_.dim)
                                                      : read_values<float>(*file_, first, rows, spec_.dim));
    }
    if (is_lazy(spec_)) block.last_steps = last_steps(first_row, std::ssize(keys.keys));
    first_row += std::ssize(keys.keys);
    visit(block);
  });
}

}  // namespace ctr
