// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/random.h"
#include "kernels/kernel.h"

namespace ctr {

struct GruMath {
  float r, i, n, h;

  // x_*: products with the input and biases; u_*: products with the hidden state before, h0.
  CTR_HOST_DEVICE static GruMath forward(float x_r, float x_i, float x_n, float u_r, float u_i, float u_n,
                                         float h0) {
    const float r = 1.0f / (1.0f + expf(-(x_r + u_r))), i = 1.0f / (1.0f + expf(-(x_i + u_i))),
                n = tanhf(x_n + r * u_n);
    return {r, i, n, (1.0f - i) * n + i * h0};
  }

  struct Gradients {
    float r, i, n, u;  // of the gates before their activation, and of u_n
    float h0;          // what goes to the state before past the products
  };
  // d: of h.
  CTR_HOST_DEVICE static Gradients backward(float r, float i, float n, float u_n, float h0, float d) {
    const float d_n = d * (1.0f - i) * (1.0f - n * n);
    return {d_n * u_n * r * (1.0f - r), d * (h0 - n) * i * (1.0f - i), d_n, d_n * r, d * i};
  }
};

// One time step of all sequences. Tensors over steps and sequences hold those of step t in rows
// t * step_stride + s * sequence_stride; `hidden` and `d_hidden` hold step by step.
struct GruStep {
  int64_t t, sequences, width, step_stride, sequence_stride;
  Tensor gates;    // f32 [steps * sequences, 3 width]: x_r x_i x_n before forward, r i n after it
  Tensor u;        // f32 [steps * sequences, width]: u_n
  Tensor product;  // f32 [sequences, 3 width]: u_r u_i u_n; not read in step 0
  Tensor hidden;   // [steps * sequences, width]: h; may be y
  Tensor carry;  // backward: f32 [sequences, width]: gradient of h from later steps; then of the step before
  bool is_last = false;      // no later steps: carry is not read
  Tensor d_gates, d_hidden;  // backward: [steps * sequences, 3 width] of r i n, and of u_r u_i u_n

  CTR_HOST_DEVICE int64_t row(int64_t sequence) const { return t * step_stride + sequence * sequence_stride; }
};
extern Kernel<void(const Tensor& y, const GruStep& step)> gru_forward_step;
extern Kernel<void(const Tensor& d_y, const GruStep& step)> gru_backward_step;

}  // namespace ctr
