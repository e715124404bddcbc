// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace ctr {

// How many forks lie between the process that loaded the library and this one. Threads do not survive a fork:
// whoever owns some and remembers another number must neither use nor join them, nor destroy what they wait
// for.
int fork_count();

}  // namespace ctr
