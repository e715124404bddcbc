// SPDX-License-Identifier: Apache-2.0
#include "model/memory_need.h"

#include <algorithm>
#include <limits>

#include "device/host_memory.h"
#include "device/memory.h"
#include "embedding/placement.h"
#include "model/plan.h"
#include "optim/row_update.h"

namespace ctr {
namespace {

constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

// Of a hashed row, beside its vector and states: key, entries of the hash table and slot.
constexpr int64_t kKeyBytesOnGpu = 8 + 2 * 16 + 4;
constexpr int64_t kKeyBytes = 2 * (8 + 8) + 4;  // a table that is loaded stands beside the one it replaces

bool is_hashed(const EmbeddingSpec& spec) { return spec.type != EmbeddingType::localized_one_hot; }

int64_t vector_bytes(const EmbeddingSpec& spec) {
  return RowLayout(spec.optimizer, spec.dim).stride() * static_cast<int64_t>(sizeof(float));
}

struct Part {
  std::string name;
  double bytes;
};

std::string text_of(double bytes) {
  constexpr const char* units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
  size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < std::size(units); ++unit) bytes /= 1024;
  return fmt::format("{:.4g} {}", bytes, units[unit]);
}

// What one rank of a model takes, piece by piece.
class Parts {
 public:
  explicit Parts(DType compute) : compute_(compute) {}

  void add_network(const Graph& graph, Device device, bool training) {
    const Plan plan = make_plan(graph, plan_options(device, compute_, training));
    total_ += static_cast<double>(plan.memory.bytes() + plan.gradients.bytes() + plan.constants.bytes());
    for (size_t v = 0; v < graph.values.size(); ++v) {
      const Value& value = graph.values[v];
      if (value.storage != static_cast<int>(v)) continue;
      // What lies in another tensor takes nothing more.
      const int copies = owns_memory(plan.value_places, v) + owns_memory(plan.gradient_places, v);
      name(fmt::format("tensor \"{}\" {}", value.name, to_string(value.shape)), value.shape,
           storage_type(value, compute_), copies);
    }
    for (const Node& node : graph.nodes)
      for (const auto* buffers : {&node.shapes.saved, &node.shapes.scratch})
        for (const BufferDef& b : *buffers)
          name(fmt::format("a buffer of {} {}", describe(node.spec), to_string(b.shape)), b.shape,
               storage_type(b, compute_), 1);
  }

  void add_weights(const Graph& graph, const OptimizerSpec& optimizer) {
    const int copies = 2 + state_count(optimizer.type);  // with gradient and states
    for (const Node& node : graph.nodes)
      for (const WeightDef& w : node.shapes.weights) {
        const std::string name = fmt::format("{} of {} {}", w.name, describe(node.spec), to_string(w.shape));
        const auto values = static_cast<double>(w.shape.numel());
        add({name + " with its gradient and optimizer states", values * sizeof(float) * copies});
        if (w.in_compute_type && compute_ != DType::f32)
          add({name, values * static_cast<double>(size_of(compute_))});
      }
  }

  // A GPU takes all rows at once, a CPU those of one-hot tables.
  void add_rows(const EmbeddingSpec& spec, const Device& device, int64_t rows) {
    if (device.backend == Backend::cpu && is_hashed(spec)) return;
    const auto count = static_cast<double>(rows);
    add({fmt::format("the rows of embedding \"{}\" ({})", spec.name, capacity_argument(spec)),
         count * static_cast<double>(vector_bytes(spec))});
    if (is_hashed(spec))
      add({fmt::format("the keys of embedding \"{}\"", spec.name), count * kKeyBytesOnGpu});
  }

  double total() const { return total_; }
  std::string largest() {
    const auto count = std::min<size_t>(3, parts_.size());
    std::partial_sort(parts_.begin(), parts_.begin() + static_cast<ptrdiff_t>(count), parts_.end(),
                      [](const Part& a, const Part& b) { return a.bytes > b.bytes; });
    std::string text;
    for (size_t i = 0; i < count; ++i)
      text += fmt::format("{}{} ({})", i ? ", " : "", parts_[i].name, text_of(parts_[i].bytes));
    return text;
  }

 private:
  static bool owns_memory(const std::vector<Place>& places, size_t value) { return places[value].is_root; }
  // Something that the plan counts, with whatever it shares its memory with.
  void name(std::string name, const Shape& shape, DType type, int copies) {
    const double bytes = static_cast<double>(shape.numel()) * static_cast<double>(size_of(type)) * copies;
    parts_.push_back({std::move(name), bytes});
  }
  void add(Part part) {
    total_ += part.bytes;
    parts_.push_back(std::move(part));
  }

  DType compute_;
  double total_ = 0;
  std::vector<Part> parts_;
};

// Embeddings of a model and where they go.
class Tables {
 public:
  Tables(const ModelSpec& spec, const std::vector<Device>& devices)
      : specs_(spec.embeddings), device_(devices.front()), ranks_(static_cast<int>(devices.size())) {}

  int64_t rows(const EmbeddingSpec& spec, int rank, int64_t workspace_mb) const {
    return std::min(limit(spec), row_limit_within(spec, workspace_mb, rank, ranks_));
  }
  // The largest workspace, less an eighth for what else there is, with which all embeddings fit; 0: none.
  template <class Fits>
  int64_t workspace_that_fits(const Fits& fits) const {
    int64_t low = 0, high = 0;
    for (const EmbeddingSpec& spec : specs_)
      if (is_hashed(spec)) high = std::max(high, workspace_mb_for(spec, rows(spec, 0, kUnlimited)));
    while (low < high) {
      const int64_t middle = high - (high - low) / 2;
      fits(middle) ? low = middle : high = middle - 1;
    }
    return low - low / 8;
  }
  // What a host reserves for the rows of all ranks; memory is taken as keys come.
  std::vector<int64_t> reserved(int64_t workspace_mb) const {
    std::vector<int64_t> blocks;
    for (const EmbeddingSpec& spec : specs_)
      for (int r = 0; is_hashed(spec) && r < ranks_; ++r)
        for (const int64_t bytes : {vector_bytes(spec), kKeyBytes})
          blocks.push_back(rows(spec, r, workspace_mb) * bytes);
    return blocks;
  }
  // The hashed embedding that reserves most.
  const EmbeddingSpec& largest() const {
    const auto size = [&](const EmbeddingSpec& spec) { return is_hashed(spec) ? reserved_bytes(spec) : 0; };
    return *std::max_element(specs_.begin(), specs_.end(),
                             [&](const auto& a, const auto& b) { return size(a) < size(b); });
  }
  double reserved_bytes(const EmbeddingSpec& spec) const {
    return static_cast<double>(row_limit(spec, 0, ranks_)) *
           static_cast<double>(vector_bytes(spec) + kKeyBytes);
  }
  std::string remedy(const EmbeddingSpec& spec, int64_t workspace_mb) const {
    if (workspace_mb == 0) return "no size would do beside what else the model needs";
    if (slots_decide(spec))
      return fmt::format("a slot_size_array that adds up to {} on a rank would do",
                         rows(spec, 0, workspace_mb));
    return fmt::format("{}={} or less{} would do", capacity_argument(spec),
                       spec.rows > 0 ? rows(spec, 0, workspace_mb) : workspace_mb,
                       specs_.size() > 1 ? " for each embedding" : "");
  }
  bool any_hashed() const { return std::any_of(specs_.begin(), specs_.end(), is_hashed); }

 private:
  int64_t limit(const EmbeddingSpec& spec) const {
    if (!is_hashed(spec)) return kUnlimited;
    return device_.backend == Backend::cpu ? kMaxHashedRows : kMaxHashedRowsOnGpu;
  }

  const std::vector<EmbeddingSpec>& specs_;
  Device device_;
  int ranks_;
};

// The rest of the model counts as one block.
std::string address_shortage(const Tables& tables, double needed) {
  const auto granted = [&](int64_t workspace_mb) {
    std::vector<int64_t> blocks = tables.reserved(workspace_mb);
    blocks.push_back(static_cast<int64_t>(needed));
    return grants_address_space(blocks);
  };
  if (!tables.any_hashed() || granted(kUnlimited)) return {};
  const EmbeddingSpec& spec = tables.largest();
  const std::string argument =
      slots_decide(spec)
          ? "slot_size_array"
          : fmt::format("{}={}", capacity_argument(spec), spec.rows > 0 ? spec.rows : spec.workspace_mb);
  return fmt::format(
      "embedding \"{}\": {} reserves {:.0f} bytes ({}) on each rank, which the system does not grant (its "
      "memory, vm.overcommit_memory or ulimit -v); {}",
      spec.name, argument, tables.reserved_bytes(spec), text_of(tables.reserved_bytes(spec)),
      tables.remedy(spec, tables.workspace_that_fits(granted)));
}

// What there is too little of, in words; nothing where all has a place.
std::string shortage(const ModelSpec& spec, const std::vector<Device>& devices, DType compute) {
  const auto ranks = static_cast<int>(devices.size());
  const Device device = devices.front();
  const Graph training = build_graph(spec, spec.solver.batch_size / ranks, true, device.backend);
  const Graph evaluation = build_graph(spec, spec.solver.batch_size_eval / ranks, true, device.backend);
  Parts network(compute);
  network.add_network(training, device, true);
  network.add_network(evaluation, device, false);
  network.add_weights(training, spec.optimizer);
  const Tables tables(spec, devices);
  const auto with_rows = [&](int64_t workspace_mb) {
    Parts all = network;
    for (const EmbeddingSpec& e : spec.embeddings) all.add_rows(e, device, tables.rows(e, 0, workspace_mb));
    return all;
  };
  Parts rank = with_rows(kUnlimited);
  const auto sharing = static_cast<double>(std::count(devices.begin(), devices.end(), device));
  const auto available = static_cast<double>(memory_backend(device).available(device.index));
  const double needed = rank.total() * sharing;
  if (needed <= available)
    return device.backend == Backend::cpu ? address_shortage(tables, needed) : std::string();
  std::string remedy;
  if (device.backend != Backend::cpu && tables.any_hashed())
    remedy = "; " + tables.remedy(tables.largest(), tables.workspace_that_fits([&](int64_t workspace_mb) {
      return with_rows(workspace_mb).total() * sharing <= available;
    }));
  return fmt::format("the model needs {} of memory on {}{}, where {} are available; the largest of it: {}{}",
                     text_of(needed), to_string(device),
                     sharing > 1 ? fmt::format(" for {} ranks", sharing) : "", text_of(available),
                     rank.largest(), remedy);
}

}  // namespace

bool fit_memory(ModelSpec& spec, const std::vector<Device>& devices, DType compute) {
  if (shortage(spec, devices, compute).empty()) return false;
  for (EmbeddingSpec& e : spec.embeddings) e.counts_states = true;
  if (const std::string text = shortage(spec, devices, compute); !text.empty())
    fail(ErrorKind::out_of_memory, "{}", text);
  return true;
}

}  // namespace ctr
