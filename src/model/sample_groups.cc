// SPDX-License-Identifier: Apache-2.0
#include "model/sample_groups.h"

#include "base/error.h"
#include "metrics/metric.h"

namespace ctr {

SampleGroups::SampleGroups(const ModelSpec& spec)
    : wanted_(spec.solver.metrics.count("GAUC") > 0), slot_(spec.solver.gauc_slot) {
  if (!wanted_) return;
  std::vector<std::string> names;
  for (const SparseInputSpec& sparse : spec.input.sparse) names.push_back(sparse.name);
  while (input_ < names.size() && names[input_] != spec.solver.gauc_input) ++input_;
  if (input_ == names.size()) fail_unknown("sparse input of gauc_input", spec.solver.gauc_input, names);
  const int64_t slots = spec.input.sparse[input_].slots();
  require(slot_ >= 0 && slot_ < slots, "gauc_slot {} is outside the {} slots of \"{}\"", slot_, slots,
          names[input_]);
}

std::span<const int64_t> SampleGroups::of(const Batch& batch, int64_t first, int64_t count) {
  if (!wanted_) return {};
  const CsrKeys& csr = batch.sparse[input_];
  groups_.resize(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const auto row = static_cast<size_t>((first + i) * csr.slots + slot_);
    const int64_t begin = csr.offsets[row], end = csr.offsets[row + 1];
    groups_[static_cast<size_t>(i)] = begin < end ? csr.keys[static_cast<size_t>(begin)] : kNoGroup;
  }
  return groups_;
}

}  // namespace ctr
