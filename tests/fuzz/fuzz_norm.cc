// SPDX-License-Identifier: Apache-2.0
// A Norm file of arbitrary bytes, read for an arbitrary small model.
#include <cstring>

#include "base/error.h"
#include "data/norm.h"
#include "reading.h"

namespace {

// Makes the check byte of every frame right, so that what lies behind it is reached.
void repair_check_bytes(std::string& content) {
  for (size_t at = 0; at + 5 <= content.size();) {
    int32_t length;
    std::memcpy(&length, content.data() + at, sizeof length);
    if (length < 0 || at + 5 + static_cast<size_t>(length) > content.size()) return;
    uint8_t sum = 0;
    for (int32_t i = 0; i < length; ++i) sum = static_cast<uint8_t>(sum + content[at + 4 + i]);
    content[at + 4 + length] = static_cast<char>(sum);
    at += 5 + static_cast<size_t>(length);
  }
}

// A valid header in front of arbitrary samples.
std::string with_header(const ctr::ReaderSpec& spec, int64_t records, const std::string& samples) {
  int64_t slots = 0;
  for (const auto& input : spec.sparse) slots += input.slots();
  const int64_t header[8] = {spec.check_sum, records, spec.label_dim, spec.dense_dim, slots, 0, 0, 0};
  std::string content(reinterpret_cast<const char*>(header), sizeof header);
  if (spec.check_sum) content = std::string("\x40\0\0\0", 4) + content + '\0';
  return content + samples;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  FuzzedDataProvider data(bytes, size);
  ctr::ReaderSpec spec;
  spec.batch_size = data.ConsumeIntegralInRange(1, 3);
  spec.label_dim = data.ConsumeIntegralInRange(1, 2);
  spec.dense_dim = data.ConsumeIntegralInRange(0, 2);
  spec.sparse = ctr::fuzz::sparse_inputs(data, data.ConsumeBool() ? 3 : 1 << 30);
  spec.check_sum = data.ConsumeBool();
  spec.i64_keys = data.ConsumeBool();
  spec.repeat = data.ConsumeBool();
  const bool header = data.ConsumeBool(), repair = data.ConsumeBool();
  const auto records = data.ConsumeIntegralInRange<int64_t>(0, 5);
  std::string content = data.ConsumeRemainingBytesAsString();
  if (header) content = with_header(spec, records, content);
  if (repair && spec.check_sum) repair_check_bytes(content);
  const ctr::fuzz::MemoryFile file(content);
  try {
    ctr::ReadTask task = ctr::fuzz::make_task(spec);
    const auto sources = ctr::make_file_sources(
        task, {file.path()}, [&](const std::string& path) { return ctr::open_norm_file(task, path); });
    ctr::fuzz::drain(*sources.front(), task.layout);
  } catch (const ctr::Error&) {
  }
  return 0;
}
