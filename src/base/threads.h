// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace ctr {

// How many threads the system starts beside those there are, up to `most`.
int startable_threads(int most);

}  // namespace ctr
