// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "io/local_file.h"

namespace ctr {

// An exclusive lock on the file at `path`, held as long as the descriptor is open; the system drops it when
// its owner dies. Opens (creates, when `create`) and waits; an interrupt ends the wait. The descriptor is -1
// when there is no such file any more. Errors show the file as `shown`.
FileDescriptor lock_file(const std::string& path, bool create, const std::string& shown);

}  // namespace ctr
