// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "io/file.h"

// A file that the core has opened, for libraries of the interpreter's.
struct DataFile {
  std::shared_ptr<const ctr::RandomAccessFile> file;
};
