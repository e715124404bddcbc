// SPDX-License-Identifier: Apache-2.0
#include "reading.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

#include "base/log.h"

namespace ctr::fuzz {
namespace {

void check(bool condition) {
  if (!condition) std::abort();
}

void check_batch(const Batch& batch, const SampleLayout& layout) {
  check(batch.size > 0 && batch.size <= batch.capacity && batch.capacity == layout.batch_size);
  check(static_cast<int64_t>(batch.labels.size()) == batch.capacity * layout.label_dim);
  check(static_cast<int64_t>(batch.dense.size()) == batch.capacity * layout.dense_dim);
  check(batch.sparse.size() == layout.inputs.size());
  for (size_t i = 0; i < layout.inputs.size(); ++i) {
    const CsrKeys& csr = batch.sparse[i];
    check(csr.offsets.front() == 0 && csr.offsets.back() == static_cast<int64_t>(csr.keys.size()));
    for (int64_t row = 0; row < batch.capacity * csr.slots; ++row) {
      const int64_t nnz = csr.offsets[row + 1] - csr.offsets[row];
      const SlotRule& rule = layout.slots[layout.inputs[i].first_slot + row % csr.slots];
      check(nnz >= 0 && nnz <= (row < batch.size * csr.slots ? rule.max_nnz : 0));
      for (int64_t k = csr.offsets[row]; k < csr.offsets[row + 1]; ++k)
        check(csr.keys[k] >= rule.min_key && csr.keys[k] <= rule.max_key + rule.key_offset);
    }
  }
}

}  // namespace

MemoryFile::MemoryFile(const std::string& content) : fd_(memfd_create("fuzz", 0)) {
  check(fd_ >= 0 && ::write(fd_, content.data(), content.size()) == static_cast<ssize_t>(content.size()));
}
MemoryFile::~MemoryFile() { ::close(fd_); }
std::string MemoryFile::path() const { return "/proc/self/fd/" + std::to_string(fd_); }

ReadTask make_task(const ReaderSpec& spec) {
  log::set_sink([](log::Level, std::string_view) {});
  return ReadTask(spec, make_layout(spec));
}

void drain(BatchSource& source, const SampleLayout& layout) {
  Batch batch;
  for (int i = 0; i < 64 && source.fill(batch); ++i) check_batch(batch, layout);
}

std::vector<SparseInputSpec> sparse_inputs(FuzzedDataProvider& data, int64_t max_nnz) {
  std::vector<SparseInputSpec> inputs(data.ConsumeIntegralInRange<size_t>(0, 2));
  for (auto& input : inputs) {
    input.name = "input";
    input.is_fixed_length = data.ConsumeIntegralInRange(0, 7) == 0;
    input.nnz_per_slot.resize(data.ConsumeIntegralInRange<size_t>(1, 2));
    for (auto& nnz : input.nnz_per_slot) nnz = data.ConsumeIntegralInRange<int64_t>(1, max_nnz);
  }
  return inputs;
}

}  // namespace ctr::fuzz
