# SPDX-License-Identifier: Apache-2.0
"""Dense optimizer steps: the tables of the specification and a float64 reference over many random steps."""

from __future__ import annotations

import numpy as np
import pytest
from hugectr import _core

update = _core.testing.dense_update
OPTIMIZERS = {"Adam": 2, "AdaGrad": 1, "MomentumSGD": 1, "Nesterov": 1, "SGD": 0, "Ftrl": 2, "RMSProp": 1}

TINY = 2.0**-23  # under the roots of Ftrl


def reference(
    name: str,
    w,
    g,
    s,
    *,
    step,
    lr,
    beta1=0.9,
    beta2=0.999,
    epsilon=1e-7,
    momentum=0.0,
    beta=0.0,
    lambda1=0.0,
    lambda2=0.0,
):
    """One step in float64; s is [states, n] and is updated in place, the new weights are returned."""
    if name == "SGD":
        return w - lr * g
    if name == "MomentumSGD":
        s[0] = momentum * s[0] - lr * g
        return w + s[0]
    if name == "Nesterov":
        old = s[0].copy()
        s[0] = momentum * old - lr * g
        return w - momentum * old + (1 + momentum) * s[0]
    if name == "AdaGrad":
        s[0] += g * g
        return w - lr * g / (np.sqrt(s[0]) + epsilon)
    if name == "RMSProp":
        s[0] = beta * s[0] + (1 - beta) * g * g
        return w - lr * g / (np.sqrt(s[0]) + epsilon)
    if name == "Ftrl":
        n = s[0] + g * g
        s[1] += g - (np.sqrt(n + TINY) - np.sqrt(s[0] + TINY)) / lr * w
        s[0] = n
        shrunk = np.where(np.abs(s[1]) <= lambda1, 0, np.sign(s[1]) * lambda1 - s[1])
        return shrunk / (np.sqrt(n + TINY) / lr + lambda2 + beta / lr)
    s[0] = beta1 * s[0] + (1 - beta1) * g
    s[1] = beta2 * s[1] + (1 - beta2) * g * g
    alpha = lr * np.sqrt(1 - beta2**step) / (1 - beta1**step)
    return w - alpha * s[0] / (np.sqrt(s[1]) + epsilon)


def run(name: str, w, grads, threads: int = 1, **options):
    w = np.array(w, np.float32)
    s = np.zeros(OPTIMIZERS[name] * w.size, np.float32)
    for step, g in enumerate(grads, start=1):
        update(w, np.array(g, np.float32), s, optimizer=name, step=step, threads=threads, **options)
    return w, s.reshape(OPTIMIZERS[name], w.size)


# Weights (1, -2), gradients (0.5, 0), (0, 1), (-0.25, 0): a dense weight takes part in every step.
TABLE = [
    ("Adam", 1, (0.9000006325, -2), [(0.05, 0), (0.00025, 0)]),
    ("Adam", 2, (0.8329952310, -2.074413447), [(0.045, 0.1), (0.00024975, 0.001)]),
    ("Adam", 3, (0.8152686116, -2.131935257), [(0.0155, 0.09), (0.00031200025, 0.000999)]),
    ("SGD", 3, (0.975, -2.1), []),
    ("AdaGrad", 1, (0.90000002, -2), [(0.25, 0)]),
    ("AdaGrad", 3, (0.9447213715, -2.09999999), [(0.3125, 1)]),
    ("MomentumSGD", 2, (0.905, -2.1), [(-0.045, -0.1)]),
    ("MomentumSGD", 3, (0.8895, -2.19), [(-0.0155, -0.09)]),
    ("Nesterov", 1, (0.905, -2), [(-0.05, 0)]),
    ("Nesterov", 3, (0.87555, -2.271), [(-0.0155, -0.09)]),
]


@pytest.mark.parametrize("name, steps, weights, states", TABLE)
def test_table(name: str, steps: int, weights, states) -> None:
    grads = [(0.5, 0), (0, 1), (-0.25, 0)][:steps]
    w, s = run(name, (1, -2), grads, lr=0.1, momentum=0.9)
    np.testing.assert_allclose(w, weights, rtol=1e-6)
    np.testing.assert_allclose(s, np.reshape(states, s.shape), rtol=1e-6)


TABLE_OF_ONE = [  # weight 1, gradients 0.5, 1, -0.25
    ("RMSProp", {"beta": 0.9}, (0.6837724340, 0.3980582299, 0.4713030504), [(0.025, 0.1225, 0.1165)]),
    (
        "Ftrl",
        {},
        (0.8993094900, 0.8098667752, 0.8316885632),
        [(0.25, 1.25, 1.3125), (-4.4965485223, -9.0545865821, -9.5281899219)],
    ),
    (
        "Ftrl",
        {"lambda1": 0.5, "lambda2": 0.1, "beta": 1.0},
        (0.2646720667, 0.2176803372, 0.2292777996),
        [(0.25, 1.25, 1.3125), (-4.4965485223, -5.1323116786, -5.4424130754)],
    ),
]


@pytest.mark.parametrize("name, options, weights, states", TABLE_OF_ONE)
def test_table_of_later_optimizers(name: str, options, weights, states) -> None:
    for steps in (1, 2, 3):
        w, s = run(name, (1,), [(0.5,), (1,), (-0.25,)][:steps], lr=0.1, **options)
        np.testing.assert_allclose(w, weights[steps - 1 : steps], rtol=1e-6)
        np.testing.assert_allclose(s[:, 0], [state[steps - 1] for state in states], rtol=1e-6)


def test_ftrl_makes_weights_exactly_zero_and_leaves_them_without_a_rate() -> None:
    w, s = run("Ftrl", (1, -2), [(0.5, 0.1)], lr=0.1, lambda1=100.0)
    assert (w == 0).all()
    still, untouched = run("Ftrl", (1, -2), [(0.5, 0.1)], lr=0.0)
    assert still.tolist() == [1, -2] and not untouched.any()


def test_momentum_without_a_factor_is_sgd() -> None:
    grads = [(0.5, 0), (0, 1), (-0.25, 0)]
    np.testing.assert_array_equal(run("MomentumSGD", (1, -2), grads, lr=0.1)[0], run("SGD", (1, -2), grads, lr=0.1)[0])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_random_steps_follow_float64(name: str) -> None:
    rng = np.random.default_rng(3)
    n, options = (
        1003,
        dict(lr=0.01, beta1=0.8, beta2=0.99, epsilon=1e-5, momentum=0.7, beta=0.6, lambda1=0.2, lambda2=0.3),
    )
    grads = (rng.standard_normal((50, n)) * rng.choice([0, 1, 100], (50, n))).astype(np.float32)
    w64, s64 = rng.standard_normal(n), np.zeros((OPTIMIZERS[name], n))
    w, s = run(name, w64, grads, **options)
    w64 = w64.astype(np.float32).astype(np.float64)
    for step, g in enumerate(grads.astype(np.float64), start=1):
        w64 = reference(name, w64, g, s64, step=step, **options)
    np.testing.assert_allclose(w, w64, rtol=3e-5, atol=3e-5)
    np.testing.assert_allclose(s, s64, rtol=3e-5, atol=3e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("n", [1, 255, 4097, 40001])
def test_thread_count_changes_no_bit(name: str, n: int) -> None:
    rng = np.random.default_rng(n)
    w, grads = rng.standard_normal(n), rng.standard_normal((3, n))
    one, several = (run(name, w, grads, threads=t, lr=0.1, momentum=0.9) for t in (1, 5))
    np.testing.assert_array_equal(one[0], several[0])
    np.testing.assert_array_equal(one[1], several[1])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_gradients_are_divided_by_the_loss_scale(name: str) -> None:
    rng = np.random.default_rng(5)
    w, grads = rng.standard_normal(300), rng.standard_normal((4, 300)).astype(np.float32)
    plain = run(name, w, grads, lr=0.1, momentum=0.9)
    scaled = run(name, w, grads * 1024, lr=0.1, momentum=0.9, loss_scale=1024.0)
    np.testing.assert_array_equal(plain[0], scaled[0])
    np.testing.assert_array_equal(plain[1], scaled[1])


def test_names() -> None:
    assert {name: _core.testing.state_count(name) for name in OPTIMIZERS} == OPTIMIZERS
    assert _core.testing.state_count("Adagrad") == 1
    with pytest.raises(KeyError, match='unknown optimizer "Adan"; did you mean "Adam"'):
        _core.testing.state_count("Adan")


def test_wrong_sizes_are_an_error() -> None:
    w = np.zeros(4, np.float32)
    with pytest.raises(RuntimeError, match="4 weights with 4 gradients and 4 states"):
        update(w, w.copy(), w.copy(), optimizer="Adam", step=1, lr=0.1)
