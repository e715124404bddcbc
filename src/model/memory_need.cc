// SPDX-License-Identifier: Apache-2.0
#include "model/memory_need.h"

#include <algorithm>

#include "device/memory.h"
#include "model/plan.h"
#include "optim/row_update.h"

namespace ctr {
namespace {

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

  void add_network(const Graph& graph, bool training) {
    const Plan plan = make_plan(graph, compute_, training);
    for (size_t v = 0; v < graph.values.size(); ++v) {
      const Value& value = graph.values[v];
      if (value.storage != static_cast<int>(v)) continue;
      const int copies = plan.gradient_handle[v] < 0 ? 1 : 2;
      add(fmt::format("tensor \"{}\" {}", value.name, to_string(value.shape)), value.shape,
          storage_type(value, compute_), copies);
    }
    for (const Node& node : graph.nodes)
      for (const auto* buffers : {&node.shapes.saved, &node.shapes.scratch})
        for (const BufferDef& b : *buffers)
          add(fmt::format("a buffer of {} {}", describe(node.spec), to_string(b.shape)), b.shape,
              storage_type(b, compute_), 1);
  }

  void add_weights(const Graph& graph, const OptimizerSpec& optimizer) {
    const int copies = 2 + state_count(optimizer.type);  // with gradient and states
    for (const Node& node : graph.nodes)
      for (const WeightDef& w : node.shapes.weights) {
        const std::string name = fmt::format("{} of {} {}", w.name, describe(node.spec), to_string(w.shape));
        add(name + " with its gradient and optimizer states", w.shape, DType::f32, copies);
        if (w.in_compute_type && compute_ != DType::f32) add(name, w.shape, compute_, 1);
      }
  }

  // A GPU takes all rows at once, a CPU those of one-hot tables.
  void add_rows(const EmbeddingSpec& spec, const Device& device, int rank, int world_size) {
    if (device.backend == Backend::cpu && spec.type != EmbeddingType::localized_one_hot) return;
    const auto rows = static_cast<double>(row_capacity(spec, rank, world_size));
    const auto stride = static_cast<double>(RowLayout(spec.optimizer, spec.dim).stride());
    parts_.push_back({fmt::format("the rows of embedding \"{}\"", spec.name), rows * stride * sizeof(float)});
  }

  double total() const {
    double sum = 0;
    for (const Part& part : parts_) sum += part.bytes;
    return sum;
  }
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
  void add(std::string name, const Shape& shape, DType type, int copies) {
    const double bytes = static_cast<double>(shape.numel()) * static_cast<double>(size_of(type)) * copies;
    parts_.push_back({std::move(name), bytes});
  }

  DType compute_;
  std::vector<Part> parts_;
};

}  // namespace

void check_memory(const ModelSpec& spec, const std::vector<Device>& devices, DType compute) {
  const auto ranks = static_cast<int>(devices.size());
  const Graph training = build_graph(spec, spec.solver.batch_size / ranks);
  const Graph evaluation = build_graph(spec, spec.solver.batch_size_eval / ranks);
  Parts rank(compute);
  rank.add_network(training, true);
  rank.add_network(evaluation, false);
  rank.add_weights(training, spec.optimizer);
  for (const EmbeddingSpec& e : spec.embeddings) rank.add_rows(e, devices.front(), 0, ranks);
  const Device device = devices.front();
  const auto sharing = static_cast<double>(std::count(devices.begin(), devices.end(), device));
  const auto available = static_cast<double>(memory_backend(device).available(device.index));
  const double needed = rank.total() * sharing;
  if (needed > available)
    fail(ErrorKind::out_of_memory,
         "the model needs {} of memory on {}{}, where {} are available; the largest of it: {}",
         text_of(needed), to_string(device), sharing > 1 ? fmt::format(" for {} ranks", sharing) : "",
         text_of(available), rank.largest());
}

}  // namespace ctr
