// SPDX-License-Identifier: Apache-2.0
#include "optim/rules.h"

#include "base/error.h"

namespace ctr {
namespace {

constexpr std::string_view kOptimizers[] = {"Adam", "AdaGrad", "MomentumSGD", "Nesterov", "SGD"};
constexpr std::string_view kUpdates[] = {"Local", "Global", "LazyGlobal"};

template <class Enum, size_t N>
Enum parse(std::string_view what, std::string_view name, const std::string_view (&names)[N]) {
  for (size_t i = 0; i < N; ++i)
    if (names[i] == name) return static_cast<Enum>(i);
  fail_unknown(what, name, {std::begin(names), std::end(names)});
}

}  // namespace

int state_count(OptimizerType type) {
  return with_rule(type, [](auto rule) { return rule.kStates; });
}

float initial_state(const OptimizerSpec& spec, int) {
  return spec.type == OptimizerType::adagrad ? static_cast<float>(spec.initial_accumulator) : 0.0f;
}

std::string_view name_of(OptimizerType type) { return kOptimizers[static_cast<int>(type)]; }
std::string_view name_of(UpdateType type) { return kUpdates[static_cast<int>(type)]; }

OptimizerType parse_optimizer(std::string_view name) {
  if (name == "Adagrad") return OptimizerType::adagrad;  // as several documents spell it
  if (name == "Ftrl" || name == "RMSProp")
    fail(ErrorKind::unsupported, "optimizer {} is not supported yet", name);
  return parse<OptimizerType>("optimizer", name, kOptimizers);
}

UpdateType parse_update(std::string_view name) { return parse<UpdateType>("update type", name, kUpdates); }

}  // namespace ctr
