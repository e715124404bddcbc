// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <pthread.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <mutex>
#include <set>
#include <thread>

namespace ctr::log {
namespace {

struct State {
  std::mutex mutex;
  Sink sink;
  std::set<std::string> warned;
  int rank = 0;
  int verbosity = 2;
  int to_file = 0;  // 1: to a file as well, 2: to a file only
  std::FILE* file = nullptr;
  std::thread::id main_thread = std::this_thread::get_id();

  State() {
    if (const char* text = std::getenv("HUGECTR_LOG_LEVEL")) verbosity = std::atoi(text);
    if (const char* text = std::getenv("HUGECTR_LOG_TO_FILE")) to_file = std::atoi(text);
  }
};

State& state() {
  static State s;
  return s;
}
// Touches the state at load time so that the loading thread is the one called "main".
[[maybe_unused]] const State& touched_at_load = state();
// A forked process has one thread: what another one held at the fork would stay locked there for ever.
[[maybe_unused]] const int unlocked_in_forks = pthread_atfork(
    [] { state().mutex.lock(); }, [] { state().mutex.unlock(); }, [] { state().mutex.unlock(); });

void write_line(std::FILE* out, std::string_view line) {
  std::fwrite(line.data(), 1, line.size(), out);
  std::fputc('\n', out);
  std::fflush(out);
}

void write_to_file(State& s, std::string_view line) {
  if (!s.file) s.file = std::fopen(fmt::format("hctr_{}.log", getpid()).c_str(), "a");
  if (s.file) write_line(s.file, line);
}

void emit(Level level, std::string_view line) {
  State& s = state();
  std::unique_lock lock(s.mutex);
  if (s.to_file > 0) write_to_file(s, line);
  if (s.to_file == 2 && s.file) return;
  if (s.sink) {
    // Called without the lock: a sink may wait for another lock (Python's) whose owner is about to log.
    const Sink sink = s.sink;
    lock.unlock();
    return sink(level, line);
  }
  write_line(level == Level::error ? stderr : stdout, line);
}

// The C library has a lock of its own for time zones, which a fork may find taken as well.
std::tm local_time(std::time_t seconds) {
  const std::lock_guard lock(state().mutex);
  std::tm local{};
  localtime_r(&seconds, &local);
  return local;
}

std::string thread_name() {
  if (std::this_thread::get_id() == state().main_thread) return "main";
  return fmt::format("tid #{}", std::hash<std::thread::id>{}(std::this_thread::get_id()) % 100000);
}

}  // namespace

void set_sink(Sink sink) {
  std::lock_guard lock(state().mutex);
  state().sink = std::move(sink);
}

void set_rank(int rank) { state().rank = rank; }

bool enabled(Level level) {
  const int verbosity = state().verbosity;
  switch (level) {
    case Level::error: return verbosity != 0;
    case Level::info: return verbosity >= 1;
    case Level::warning: return verbosity >= 2;
    case Level::debug: return verbosity >= 3;
    case Level::trace: return verbosity >= 9;
  }
  return false;
}

void write(Level level, std::string_view message) {
  constexpr const char* names[] = {"ERROR", "INFO", "WARNING", "DEBUG", "TRACE"};
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto millis =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  const std::tm local = local_time(seconds);
  emit(level, fmt::format("[HCTR][{:02}:{:02}:{:02}.{:03}][{}][RK{}][{}]: {}", local.tm_hour, local.tm_min,
                          local.tm_sec, millis, names[static_cast<int>(level)], state().rank, thread_name(),
                          message));
}

void plain(std::string_view line) {
  if (enabled(Level::info)) emit(Level::info, line);
}

void banner(std::string_view title) { plain(fmt::format("{0}{1}{0}", std::string(53, '='), title)); }

void warn_once(const std::string& message) {
  {
    std::lock_guard lock(state().mutex);
    if (!state().warned.insert(message).second) return;
  }
  warning("{}", message);
}

}  // namespace ctr::log
