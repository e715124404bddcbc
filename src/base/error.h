// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ctr {

enum class ErrorKind {
  invalid_argument,
  not_found,
  unsupported,
  io,
  out_of_memory,
  device,
  internal,
  diverged  // a loss or weight that is not finite
};

// The one exception type of the core. A message names the thing as the user wrote it, what was expected, and
// what came.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

template <class... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(kind, fmt::format(format, std::forward<Args>(args)...));
}

template <class... Args>
void require(bool condition, fmt::format_string<Args...> format, Args&&... args) {
  if (!condition) throw Error(ErrorKind::invalid_argument, fmt::format(format, std::forward<Args>(args)...));
}

// `unknown layer type "Foo"; did you mean "Bar"? Known: A, B, C`. Throws not_found.
[[noreturn]] void fail_unknown(std::string_view what, std::string_view name,
                               const std::vector<std::string>& candidates);

// Runs `f`; an error that it throws gets "`where`: " in front.
template <class F>
decltype(auto) in_context(std::string_view where, F&& f) {
  try {
    return std::forward<F>(f)();
  } catch (const Error& e) {
    throw Error(e.kind(), fmt::format("{}: {}", where, e.what()));
  }
}

}  // namespace ctr
