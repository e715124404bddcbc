// SPDX-License-Identifier: Apache-2.0
#include "base/interrupt.h"

namespace ctr {
namespace {

std::function<void()>& installed() {
  static std::function<void()> check;
  return check;
}

}  // namespace

void set_interrupt_check(std::function<void()> check) { installed() = std::move(check); }

void check_interrupt() {
  if (const auto& check = installed()) check();
}

}  // namespace ctr
