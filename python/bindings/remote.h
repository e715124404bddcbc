// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bind.h"
#include "io/file_system.h"

// Files of this machine, and those that hugectr.remote knows by their scheme.
const ctr::Files& files();
