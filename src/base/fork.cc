// SPDX-License-Identifier: Apache-2.0
#include "base/fork.h"

#include <pthread.h>

namespace ctr {
namespace {

int forks = 0;  // changes only where a process has one thread

[[maybe_unused]] const int counting = pthread_atfork(nullptr, nullptr, [] { ++forks; });

}  // namespace

int fork_count() { return forks; }

}  // namespace ctr
