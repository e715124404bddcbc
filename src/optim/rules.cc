// SPDX-License-Identifier: Apache-2.0
#include "optim/rules.h"

#include "base/checked.h"
#include "base/error.h"

namespace ctr {
namespace {

constexpr std::string_view kOptimizers[] = {"Adam", "AdaGrad", "MomentumSGD", "Nesterov",
                                            "SGD",  "Ftrl",    "RMSProp"};
constexpr std::string_view kUpdates[] = {"Local", "Global", "LazyGlobal"};

template <class Enum, size_t N>
Enum parse(std::string_view what, std::string_view name, const std::string_view (&names)[N]) {
  for (size_t i = 0; i < N; ++i)
    if (names[i] == name) return static_cast<Enum>(i);
  fail_unknown(what, name, {std::begin(names), std::end(names)});
}

}  // namespace

void validate(const OptimizerSpec& spec) {
  const std::pair<const char*, double> shares[] = {
      {"beta1", spec.beta1}, {"beta2", spec.beta2}, {"momentum_factor", spec.momentum}};
  for (const auto& [name, value] : shares) {
    const auto narrow = static_cast<float>(value);
    require(narrow >= 0 && narrow < 1, "{} must be in [0, 1), got {}", name, value);
  }
  const std::pair<const char*, double> sums[] = {{"epsilon", spec.epsilon},
                                                 {"initial_accu_value", spec.initial_accumulator},
                                                 {"beta", spec.beta},
                                                 {"lambda1", spec.lambda1},
                                                 {"lambda2", spec.lambda2}};
  for (const auto& [name, value] : sums) checked_nonnegative(name, value);
  require(spec.type != OptimizerType::rmsprop || static_cast<float>(spec.beta) < 1,
          "beta of RMSProp must be in [0, 1), got {}", spec.beta);
}

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
  return parse<OptimizerType>("optimizer", name, kOptimizers);
}

UpdateType parse_update(std::string_view name) { return parse<UpdateType>("update type", name, kUpdates); }

}  // namespace ctr
