// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/core.h>

#include <functional>
#include <string>
#include <string_view>

namespace ctr::log {

enum class Level { error, info, warning, debug, trace };

// Receives one finished line without its newline. Called from any thread, perhaps from several at once.
using Sink = std::function<void(Level, std::string_view line)>;

// Replaces the default sink (errors to stderr, the rest to stdout); an empty sink restores it.
void set_sink(Sink sink);
// Name shown as the thread part of the prefix: "main" on the thread that loaded the library.
void set_rank(int rank);

bool enabled(Level level);  // HUGECTR_LOG_LEVEL: -1 error, 0 silence, 1 info, 2 warning, 3 debug, 9 trace
// "[HCTR][12:34:56.789][INFO][RK0][main]: message"
void write(Level level, std::string_view message);
// A line without prefix: banners and tables.
void plain(std::string_view line);
// "=====Title=====", without prefix.
void banner(std::string_view title);
// Writes the warning only the first time this text appears in the process.
void warn_once(const std::string& message);

template <class... Args>
void info(fmt::format_string<Args...> f, Args&&... args) {
  if (enabled(Level::info)) write(Level::info, fmt::format(f, std::forward<Args>(args)...));
}
template <class... Args>
void warning(fmt::format_string<Args...> f, Args&&... args) {
  if (enabled(Level::warning)) write(Level::warning, fmt::format(f, std::forward<Args>(args)...));
}
template <class... Args>
void error(fmt::format_string<Args...> f, Args&&... args) {
  if (enabled(Level::error)) write(Level::error, fmt::format(f, std::forward<Args>(args)...));
}
template <class... Args>
void debug(fmt::format_string<Args...> f, Args&&... args) {
  if (enabled(Level::debug)) write(Level::debug, fmt::format(f, std::forward<Args>(args)...));
}

}  // namespace ctr::log
