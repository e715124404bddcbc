// SPDX-License-Identifier: Apache-2.0
// A Raw file of arbitrary bytes, read for an arbitrary small model.
#include "base/error.h"
#include "reading.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  FuzzedDataProvider data(bytes, size);
  ctr::ReaderSpec spec;
  spec.format = ctr::DataFormat::raw;
  spec.batch_size = data.ConsumeIntegralInRange(1, 4);
  spec.label_dim = data.ConsumeIntegralInRange(1, 2);
  spec.dense_dim = data.ConsumeIntegralInRange(0, 2);
  spec.sparse = ctr::fuzz::sparse_inputs(data, 1);
  spec.float_label_dense = data.ConsumeBool();
  spec.shuffle = data.ConsumeBool();
  spec.repeat = data.ConsumeBool();
  spec.num_workers = data.ConsumeIntegralInRange(1, 3);
  spec.num_samples = data.ConsumeIntegralInRange(0, 3);
  for (const auto& input : spec.sparse)
    for (int64_t s = 0; s < input.slots(); ++s)
      spec.slot_size_array.push_back(data.ConsumeIntegral<int16_t>());
  spec.apply_offsets = data.ConsumeBool();
  const ctr::fuzz::MemoryFile file(data.ConsumeRemainingBytesAsString());
  spec.source = file.path();
  try {
    ctr::ReadTask task = ctr::fuzz::make_task(spec);
    for (const auto& source : ctr::open_raw(task)) ctr::fuzz::drain(*source, task.layout);
  } catch (const ctr::Error&) {
  }
  return 0;
}
