// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "data/batch_source.h"

namespace ctr {

// Opens one Norm file and checks its header. Null, with a warning, when the header frame is damaged.
std::unique_ptr<SampleFile> open_norm_file(ReadTask& task, const std::string& path);

}  // namespace ctr
