// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "bind.h"
#include "data/reader.h"

// Wraps `open(file, columns) -> object with __arrow_c_stream__`, where `file` is a DataFile. Reader threads
// call the result; it holds the GIL only while opening. None gives an empty opener.
ctr::ArrowOpener arrow_opener(nb::object open);

// Whether this thread is a reader's that is opening a file.
bool is_opening();
