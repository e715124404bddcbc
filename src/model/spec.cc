// SPDX-License-Identifier: Apache-2.0
#include "model/spec.h"

#include "base/error.h"

namespace ctr {
namespace {

constexpr std::pair<std::string_view, EmbeddingType> kEmbeddingTypes[] = {
    {"DistributedSlotSparseEmbeddingHash", EmbeddingType::distributed_hash},
    {"LocalizedSlotSparseEmbeddingHash", EmbeddingType::localized_hash},
    {"LocalizedSlotSparseEmbeddingOneHot", EmbeddingType::localized_one_hot},
    {"HybridSparseEmbedding", EmbeddingType::localized_one_hot},
};

}  // namespace

int ModelSpec::ranks() const {
  size_t n = 0;
  for (const auto& node : solver.vvgpu) n += node.size();
  return static_cast<int>(n);
}

int64_t InputSpec::label_dim() const {
  int64_t n = 0;
  for (const auto& label : labels) n += label.dim;
  return n;
}

std::string describe(const LayerSpec& layer) {
  return fmt::format("layer \"{}\" ({})", layer.tops.empty() ? "?" : layer.tops.front(), layer.type);
}

std::string_view name_of(EmbeddingType type) {
  for (const auto& [name, value] : kEmbeddingTypes)
    if (value == type) return name;
  return "?";
}

EmbeddingType parse_embedding_type(std::string_view name) {
  std::vector<std::string> known;
  for (const auto& [known_name, value] : kEmbeddingTypes) {
    if (known_name == name) return value;
    known.emplace_back(known_name);
  }
  fail_unknown("embedding type", name, known);
}

std::string_view name_of(Combiner combiner) { return combiner == Combiner::sum ? "sum" : "mean"; }

Combiner parse_combiner(std::string_view name) {
  if (name == "sum" || name == "0") return Combiner::sum;
  if (name == "mean" || name == "1") return Combiner::mean;
  fail(ErrorKind::invalid_argument, "no such combiner type: \"{}\"; known: sum, mean", name);
}

}  // namespace ctr
