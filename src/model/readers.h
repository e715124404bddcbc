// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "data/reader.h"
#include "model/spec.h"

namespace ctr {

// How a model's data is read: batch sizes, modes, workers and key offsets.
ReaderSpec train_reader_spec(const ModelSpec& spec, uint64_t seed, const Files& files,
                             const ArrowOpener& open_arrow);
ReaderSpec eval_reader_spec(const ModelSpec& spec, const Files& files, const ArrowOpener& open_arrow);

// Every sample once, in the order of the data, in evaluation batches.
ReaderSpec prediction_reader_spec(const ModelSpec& spec, const Files& files, const ArrowOpener& open_arrow);

}  // namespace ctr
