// SPDX-License-Identifier: Apache-2.0
#include "base/parallel.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace ctr {
namespace {

int64_t threads_of_this_process() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return std::distance(begin(tasks), end(tasks));
}

// How often each part ran.
std::vector<int> counts_of(int parts) {
  std::vector<int> counts(static_cast<size_t>(parts));
  parallel_team(parts, [&](int t, int) { ++counts[static_cast<size_t>(t)]; });
  return counts;
}

TEST(Parallel, RunsEveryPartOnceWhateverTheSizeBefore) {
  for (const int parts : {8, 3, 8, 1, 2, 5, 8, 3}) EXPECT_EQ(counts_of(parts), std::vector<int>(parts, 1));
}

TEST(Parallel, KeepsItsThreadsWhenSizesAlternate) {
  counts_of(8);
  const int64_t before = threads_of_this_process();
  for (int i = 0; i < 300; ++i) counts_of(i % 2 ? 8 : 3);
  EXPECT_EQ(threads_of_this_process(), before);
}

TEST(Parallel, EndsItsThreadsWithTheirCaller) {
  const int64_t before = threads_of_this_process();
  std::thread([] { counts_of(8); }).join();
  EXPECT_LE(threads_of_this_process(), before);
}

TEST(Parallel, ThrowsWhatTheLowestPartThrew) {
  for (int i = 0; i < 100; ++i) {
    std::atomic<int> runs = 0;
    try {
      parallel_team(8, [&](int t, int) {
        ++runs;
        if (t >= 2) throw std::runtime_error(std::to_string(t));
      });
      FAIL();
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "2");
    }
    EXPECT_EQ(runs, 8);
    EXPECT_EQ(counts_of(8), std::vector<int>(8, 1));
  }
}

TEST(Parallel, LoopsWithinALoopFollowEachOther) {
  std::vector<int> counts(4 * 100);
  parallel_team(4, [&](int t, int) {
    parallel_for(8, 100, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) ++counts[static_cast<size_t>(t * 100 + i)];
    });
  });
  EXPECT_EQ(counts, std::vector<int>(counts.size(), 1));
}

TEST(Parallel, ServesSeveralCallersAtOnce) {
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([] {
      for (int i = 0; i < 200; ++i) EXPECT_EQ(counts_of(2 + i % 4), std::vector<int>(2 + i % 4, 1));
    });
  for (auto& caller : callers) caller.join();
}

#ifdef __SANITIZE_ADDRESS__
// Which leaks a forked process has cannot be told: its memory is the parent's, whose threads are not there.
std::atomic<bool> is_forked = false;
#endif

#ifndef __SANITIZE_THREAD__  // it refuses threads in a forked process
TEST(Parallel, WorksInAForkedProcess) {
  counts_of(4);
  const pid_t child = fork();
  if (child == 0) {
#ifdef __SANITIZE_ADDRESS__
    is_forked = true;
#endif
    const int64_t before = threads_of_this_process();
    const bool works = counts_of(4) == std::vector<int>(4, 1) && threads_of_this_process() == before + 3;
    std::exit(works ? 0 : 1);  // with what the end of a thread does
  }
  int status = -1;
  for (int i = 0; i < 2000 && waitpid(child, &status, WNOHANG) == 0; ++i) usleep(10000);
  if (status == -1) kill(child, SIGKILL);
  EXPECT_EQ(status, 0);
}
#endif

}  // namespace
#ifdef __SANITIZE_ADDRESS__
bool looks_for_no_leaks() { return is_forked; }
#endif
}  // namespace ctr

#ifdef __SANITIZE_ADDRESS__
extern "C" int __lsan_is_turned_off() { return ctr::looks_for_no_leaks(); }
#endif
