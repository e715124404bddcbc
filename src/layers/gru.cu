// SPDX-License-Identifier: Apache-2.0
#include "layers/gru.h"

#include "kernels/elementwise.cuh"

namespace ctr {
namespace {

template <class T>
void forward_cuda(Context& ctx, const Tensor& y, const GruStep& s) {
  const int64_t h = s.width, t = s.t, sequences = s.sequences, step = s.step_stride,
                stride = s.sequence_stride;
  float *gates = s.gates.data<float>(), *u = s.u.data<float>();
  const float* product = s.product.data<float>();
  T *out = y.data<T>(), *hidden = s.hidden.data<T>();
  cuda::for_each(ctx, "GRU.forward", sequences * h, [=] __device__(int64_t e) {
    const int64_t q = e / h, k = e % h, row = t * step + q * stride, state = (t * sequences + q) * h + k;
    float *gate = gates + row * 3 * h + k, u_r = 0, u_i = 0, u_n = 0, before = 0;
    if (t > 0) {
      u_r = product[q * 3 * h + k], u_i = product[q * 3 * h + h + k], u_n = product[q * 3 * h + 2 * h + k];
      before = cuda::load(hidden[state - sequences * h]);
    }
    const GruMath m = GruMath::forward(gate[0], gate[h], gate[2 * h], u_r, u_i, u_n, before);
    u[row * h + k] = u_n;
    gate[0] = m.r, gate[h] = m.i, gate[2 * h] = m.n;
    out[row * h + k] = hidden[state] = cuda::rounded<T>(m.h);
  });
}

template <class T>
void backward_cuda(Context& ctx, const Tensor& d_y, const GruStep& s) {
  const int64_t h = s.width, t = s.t, sequences = s.sequences, step = s.step_stride,
                stride = s.sequence_stride;
  const bool is_last = s.is_last;
  const float *gates = s.gates.data<float>(), *u = s.u.data<float>();
  const T *g = d_y.data<T>(), *hidden = s.hidden.data<T>();
  float* carry = s.carry.data<float>();
  T *d_gates = s.d_gates.data<T>(), *d_hidden = s.d_hidden.data<T>();
  cuda::for_each(ctx, "GRU.backward", sequences * h, [=] __device__(int64_t e) {
    const int64_t q = e / h, k = e % h, row = t * step + q * stride, state = t * sequences + q;
    const float* gate = gates + row * 3 * h + k;
    const float before = t > 0 ? cuda::load(hidden[(state - sequences) * h + k]) : 0.0f;
    const auto d = GruMath::backward(gate[0], gate[h], gate[2 * h], u[row * h + k], before,
                                     cuda::load(g[row * h + k]) + (is_last ? 0.0f : carry[e]));
    carry[e] = d.h0;
    T *to_gates = d_gates + row * 3 * h + k, *to_hidden = d_hidden + state * 3 * h + k;
    to_gates[0] = to_hidden[0] = cuda::rounded<T>(d.r);
    to_gates[h] = to_hidden[h] = cuda::rounded<T>(d.i);
    to_gates[2 * h] = cuda::rounded<T>(d.n);
    to_hidden[2 * h] = cuda::rounded<T>(d.u);
  });
}

}  // namespace

void register_gru_cuda() {
  cuda::for_storage_types([]<class T>(T) {
    gru_forward_step.set(Backend::cuda, dtype_of<T>, forward_cuda<T>);
    gru_backward_step.set(Backend::cuda, dtype_of<T>, backward_cuda<T>);
  });
}

}  // namespace ctr
