// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <string_view>

#include "base/random.h"

namespace ctr {

enum class OptimizerType : uint8_t { adam, adagrad, momentum_sgd, nesterov, sgd };
enum class UpdateType : uint8_t { local, global, lazy_global };

// CreateOptimizer's arguments. The learning rate belongs to the schedule.
struct OptimizerSpec {
  OptimizerType type = OptimizerType::adam;
  UpdateType update = UpdateType::global;  // of embedding rows; dense weights always update fully
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-7;
  double initial_accumulator = 0.0;
  double momentum = 0.0;
  bool atomic_update = true;  // SGD: kept for graph files; updates are deterministic either way
};

// Throws invalid_argument, naming the argument, when a value is out of range.
void validate(const OptimizerSpec& spec);
int state_count(OptimizerType type);                        // state tensors per weight, as saved
float initial_state(const OptimizerSpec& spec, int state);  // value of an untouched state
std::string_view name_of(OptimizerType type);
std::string_view name_of(UpdateType type);
OptimizerType parse_optimizer(std::string_view name);
UpdateType parse_update(std::string_view name);

// Constants of one step, computed once per step from the spec, the learning rate and the 1-based step number.
struct StepConstants {
  float lr = 0, beta1 = 0, beta2 = 0, epsilon = 0, momentum = 0;
  float one_minus_beta1 = 1, one_minus_beta2 = 1;  // of the betas before rounding
  float bias_correction = 1;                       // sqrt(1 - beta2^t) / (1 - beta1^t)
  float grad_scale = 1;                            // 1 / loss scale
  int64_t step = 1;
};
CTR_HOST_DEVICE inline StepConstants step_constants(const OptimizerSpec& spec, float lr, int64_t step,
                                                    float loss_scale) {
  StepConstants c;
  c.lr = lr;
  c.beta1 = static_cast<float>(spec.beta1);
  c.beta2 = static_cast<float>(spec.beta2);
  c.epsilon = static_cast<float>(spec.epsilon);
  c.momentum = static_cast<float>(spec.momentum);
  c.one_minus_beta1 = static_cast<float>(1.0 - spec.beta1);
  c.one_minus_beta2 = static_cast<float>(1.0 - spec.beta2);
  if (spec.type == OptimizerType::adam) {
    const auto t = static_cast<double>(step);
    c.bias_correction = static_cast<float>(sqrt(1.0 - pow(spec.beta2, t)) / (1.0 - pow(spec.beta1, t)));
  }
  c.grad_scale = 1.0f / loss_scale;
  c.step = step;
  return c;
}

// A rule updates one weight; dense and row updates, host and device, share it. `g` is already unscaled; `s`
// points at the weight's states, one float every `stride` elements.
struct SgdRule {
  static constexpr int kStates = 0;
  CTR_HOST_DEVICE static void step(float& w, float g, float*, int64_t, const StepConstants& c) {
    w -= c.lr * g;
  }
};
struct MomentumRule {
  static constexpr int kStates = 1;
  CTR_HOST_DEVICE static void step(float& w, float g, float* s, int64_t, const StepConstants& c) {
    s[0] = c.momentum * s[0] - c.lr * g;
    w += s[0];
  }
};
struct NesterovRule {
  static constexpr int kStates = 1;
  CTR_HOST_DEVICE static void step(float& w, float g, float* s, int64_t, const StepConstants& c) {
    const float next = c.momentum * s[0] - c.lr * g;
    w += (1.0f + c.momentum) * next - c.momentum * s[0];
    s[0] = next;
  }
};
struct AdagradRule {
  static constexpr int kStates = 1;
  CTR_HOST_DEVICE static void step(float& w, float g, float* s, int64_t, const StepConstants& c) {
    s[0] += g * g;
    w -= c.lr * g / (sqrtf(s[0]) + c.epsilon);
  }
};
struct AdamRule {
  static constexpr int kStates = 2;
  CTR_HOST_DEVICE static void step(float& w, float g, float* s, int64_t stride, const StepConstants& c) {
    float& m = s[0];
    float& v = s[stride];
    m = c.beta1 * m + c.one_minus_beta1 * g;
    v = c.beta2 * v + c.one_minus_beta2 * g * g;
    w -= c.lr * c.bias_correction * m / (sqrtf(v) + c.epsilon);
  }
};

// Calls f with the rule of `type` as a value: f(AdamRule{}).
#ifdef __CUDACC__
#pragma nv_exec_check_disable
#endif
template <class F>
CTR_HOST_DEVICE auto with_rule(OptimizerType type, F&& f) {
  switch (type) {
    case OptimizerType::adam: return f(AdamRule{});
    case OptimizerType::adagrad: return f(AdagradRule{});
    case OptimizerType::momentum_sgd: return f(MomentumRule{});
    case OptimizerType::nesterov: return f(NesterovRule{});
    default: return f(SgdRule{});
  }
}

}  // namespace ctr
