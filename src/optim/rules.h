// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <string_view>

#include "base/random.h"

namespace ctr {

enum class OptimizerType : uint8_t { adam, adagrad, momentum_sgd, nesterov, sgd, ftrl, rmsprop };
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
  double beta = 0.0;                    // RMSProp: decay of the squared gradients; Ftrl: added to their root
  double lambda1 = 0.0, lambda2 = 0.0;  // Ftrl: L1 and L2 penalty
  bool atomic_update = true;            // SGD: kept for graph files; updates are deterministic either way
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
  float lr = 0, beta1 = 0, beta2 = 0, epsilon = 0, momentum = 0, beta = 0, lambda1 = 0, lambda2 = 0;
  float one_minus_beta1 = 1, one_minus_beta2 = 1, one_minus_beta = 1;  // of the betas before rounding
  float bias_correction = 1;                                           // sqrt(1 - beta2^t) / (1 - beta1^t)
  float grad_scale = 1;                                                // 1 / loss scale
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
  c.beta = static_cast<float>(spec.beta);
  c.lambda1 = static_cast<float>(spec.lambda1);
  c.lambda2 = static_cast<float>(spec.lambda2);
  c.one_minus_beta1 = static_cast<float>(1.0 - spec.beta1);
  c.one_minus_beta2 = static_cast<float>(1.0 - spec.beta2);
  c.one_minus_beta = static_cast<float>(1.0 - spec.beta);
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

// States n, the sum of squared gradients, and z. The weight follows from both: without a gradient it stays.
// The published step divides by the learning rate; a step without one (frozen) changes nothing.
struct FtrlRule {
  static constexpr int kStates = 2;
  CTR_HOST_DEVICE static void step(float& w, float g, float* s, int64_t stride, const StepConstants& c) {
    constexpr float tiny = 0x1p-23f;  // keeps roots away from 0, as the releases have it
    if (c.lr == 0) return;
    float& n = s[0];
    float& z = s[stride];
    const float before = sqrtf(n + tiny);
    n += g * g;
    const float root = sqrtf(n + tiny);
    z += g - g * g / ((root + before) * c.lr) * w;  // (root - before) / lr, without the cancellation
    const float shrunk = fabsf(z) <= c.lambda1 ? 0.0f : (z > 0 ? c.lambda1 : -c.lambda1) - z;
    w = c.lr * shrunk / (root + c.beta + c.lambda2 * c.lr);
  }
};
struct RmspropRule {
  static constexpr int kStates = 1;
  CTR_HOST_DEVICE static void step(float& w, float g, float* s, int64_t, const StepConstants& c) {
    s[0] = c.beta * s[0] + c.one_minus_beta * g * g;
    w -= c.lr * g / (sqrtf(s[0]) + c.epsilon);
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
    case OptimizerType::ftrl: return f(FtrlRule{});
    case OptimizerType::rmsprop: return f(RmspropRule{});
    default: return f(SgdRule{});
  }
}

}  // namespace ctr
