# SPDX-License-Identifier: Apache-2.0
"""Float64 update rules of dense weights and embedding rows, and the learning-rate schedule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray
STATES = {"SGD": 0, "MomentumSGD": 1, "Nesterov": 1, "AdaGrad": 1, "Adam": 2, "Ftrl": 2, "RMSProp": 1}
TINY = 2.0**-23  # under the roots of Ftrl


@dataclass(frozen=True)
class Optimizer:
    """What CreateOptimizer takes, with its defaults."""

    kind: str = "Adam"
    update: str = "Global"
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-7
    initial_accu_value: float = 0.0
    momentum_factor: float = 0.0
    beta: float = 0.9
    lambda1: float = 0.0
    lambda2: float = 0.0

    def states_like(self, w: Array) -> list[Array]:
        start = self.initial_accu_value if self.kind == "AdaGrad" else 0.0
        return [np.full(w.shape, start) for _ in range(STATES[self.kind])]

    def bias_correction(self, t: Array | int) -> Array | float:
        return np.sqrt(1 - self.beta2**t) / (1 - self.beta1**t)

    def apply(self, w: Array, g: Array, states: list[Array], lr: float, t: int) -> tuple[Array, list[Array]]:
        """New weights and states after the dense rule at 1-based step ``t``."""
        if self.kind == "SGD":
            return w - lr * g, []
        if self.kind == "MomentumSGD":
            m = self.momentum_factor * states[0] - lr * g
            return w + m, [m]
        if self.kind == "Nesterov":
            mu, a = self.momentum_factor, states[0]
            following = mu * a - lr * g
            return w - mu * a + (1 + mu) * following, [following]
        if self.kind == "AdaGrad":
            s = states[0] + g**2
            return w - lr * g / (np.sqrt(s) + self.epsilon), [s]
        if self.kind == "RMSProp":
            v = self.beta * states[0] + (1 - self.beta) * g**2
            return w - lr * g / (np.sqrt(v) + self.epsilon), [v]
        if self.kind == "Ftrl":
            n = states[0] + g**2
            z = states[1] + g - (np.sqrt(n + TINY) - np.sqrt(states[0] + TINY)) / lr * w
            shrunk = np.where(np.abs(z) <= self.lambda1, 0, np.sign(z) * self.lambda1 - z)
            return shrunk / (np.sqrt(n + TINY) / lr + self.lambda2 + self.beta / lr), [n, z]
        m = self.beta1 * states[0] + (1 - self.beta1) * g
        v = self.beta2 * states[1] + (1 - self.beta2) * g**2
        return w - lr * self.bias_correction(t) * m / (np.sqrt(v) + self.epsilon), [m, v]


class DenseUpdate:
    """The whole dense part: every weight, every step."""

    def __init__(self, optimizer: Optimizer, weights: list[Array]) -> None:
        self.optimizer, self.step = optimizer, 0
        self.states = [optimizer.states_like(w) for w in weights]

    def __call__(self, weights: list[Array], grads: list[Array], lr: float) -> None:
        self.step += 1
        for i, (w, g) in enumerate(zip(weights, grads)):
            weights[i], self.states[i] = self.optimizer.apply(w, g, self.states[i], lr, self.step)


class RowUpdate:
    """Rows of one table [n, dim]: Local and LazyGlobal touch the hit rows, Global all of them."""

    def __init__(self, optimizer: Optimizer, rows: Array) -> None:
        self.optimizer, self.rows, self.step = optimizer, rows, 0
        self.states = optimizer.states_like(rows)
        self.last_hit = np.ones(len(rows), np.int64)

    def __call__(self, hit: Array, grads: Array, lr: float) -> None:
        """``hit``: distinct row numbers; ``grads`` [len(hit), dim]: their summed gradients."""
        self.step += 1
        if self.optimizer.update == "LazyGlobal":
            self._lazy(hit, grads, lr)
            return
        touched, g = hit, grads
        if self.optimizer.update == "Global" and self.optimizer.kind != "Ftrl":  # whose rows need a gradient
            touched, g = np.arange(len(self.rows)), np.zeros_like(self.rows)
            g[hit] = grads
        states = [s[touched] for s in self.states]
        self.rows[touched], states = self.optimizer.apply(self.rows[touched], g, states, lr, self.step)
        for state, new in zip(self.states, states):
            state[touched] = new

    def _lazy(self, hit: Array, g: Array, lr: float) -> None:
        o, (m, v) = self.optimizer, self.states
        last = self.last_hit[hit][:, None]
        skipped = self.step - last
        series = (1 - o.beta1**skipped) / (1 - o.beta1)  # of the moves missed since the last hit
        self.rows[hit] -= lr * o.bias_correction(last) * series * m[hit] / (np.sqrt(v[hit]) + o.epsilon)
        m[hit] = o.beta1**skipped * m[hit] + (1 - o.beta1) * g
        v[hit] = o.beta2**skipped * v[hit] + (1 - o.beta2) * g**2
        self.last_hit[hit] = self.step


def learning_rate(
    n: int,
    base: float = 1e-3,
    warmup_steps: int = 1,
    decay_start: int = 0,
    decay_steps: int = 1,
    decay_power: float = 2.0,
    end_lr: float = 0.0,
) -> float:
    """Rate of the n-th call (from 1) of get_next()."""
    if n <= warmup_steps:
        return base * n / warmup_steps
    if decay_start == 0 or n <= decay_start:
        return base
    if n > decay_start + decay_steps:
        return end_lr
    return max(base * ((decay_start + decay_steps - n) / decay_steps) ** decay_power, end_lr)
