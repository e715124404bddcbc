// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ctr {

// Bytes that this process may still take: what the system has or can free, swap included, or what its control
// groups leave of their limits where that is less. The largest integer where neither can be read. `root` is
// put before the paths of the system.
int64_t available_host_memory(const std::string& root = "");

// Whether the system grants this process address space for all of these blocks at once, which costs no
// memory.
bool grants_address_space(const std::vector<int64_t>& blocks);

}  // namespace ctr
