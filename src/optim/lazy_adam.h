// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "optim/rules.h"

namespace ctr {

// What a row last hit at step p missed until the current step t, in closed form: the momentum it had keeps
// moving it as a geometric series, with v and the bias correction as they were at p.
struct SkippedSteps {
  float move;    // lr / (1 - b1) * sqrt(1 - b2^p) / (1 - b1^p) * (1 - b1^(t - p))
  float decay1;  // b1^(t - p)
  float decay2;  // b2^(t - p)
};

CTR_HOST_DEVICE inline SkippedSteps skipped_steps(double beta1, double beta2, const StepConstants& c,
                                                  int64_t last) {
  const double p = static_cast<double>(last), skipped = static_cast<double>(c.step - last);
  const double decay1 = pow(beta1, skipped);
  const double correction = sqrt(1.0 - pow(beta2, p)) / (1.0 - pow(beta1, p));
  return {static_cast<float>(c.lr / (1.0 - beta1) * correction * (1.0 - decay1)), static_cast<float>(decay1),
          static_cast<float>(pow(beta2, skipped))};
}

// LazyGlobal: makes up for the skipped steps; the gradient moves the weight at the next hit only.
struct LazyAdamRule {
  CTR_HOST_DEVICE static void step(float& w, float g, float* s, int64_t stride, const StepConstants& c,
                                   const SkippedSteps& skipped) {
    float& m = s[0];
    float& v = s[stride];
    w -= skipped.move * m / (sqrtf(v) + c.epsilon);
    m = skipped.decay1 * m + c.one_minus_beta1 * g;
    v = skipped.decay2 * v + c.one_minus_beta2 * g * g;
  }
};

}  // namespace ctr
