// SPDX-License-Identifier: Apache-2.0
#include "base/threads.h"

#include <latch>
#include <system_error>
#include <thread>
#include <vector>

namespace ctr {

int startable_threads(int most) {
  std::vector<std::thread> started;
  started.reserve(static_cast<size_t>(most));
  std::latch all_counted(1);
  try {
    for (int i = 0; i < most; ++i) started.emplace_back([&] { all_counted.wait(); });
  } catch (const std::system_error&) {  // that was the last one
  }
  all_counted.count_down();
  for (std::thread& thread : started) thread.join();
  return static_cast<int>(started.size());
}

}  // namespace ctr
