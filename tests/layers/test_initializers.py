# SPDX-License-Identifier: Apache-2.0
"""Distributions of initial weights: bounds, mean and variance of every rule."""

from __future__ import annotations

import numpy as np
import pytest
from harness.ops import run

K, N = 300, 500
TRUNCATED = 0.87962566103423978
RULES = [  # layer, weight, initializer, shape of the distribution, bound or standard deviation
    ("InnerProduct", 0, "Default", "normal", np.sqrt(2 / (K + N)) / TRUNCATED),
    ("InnerProduct", 0, "XavierNorm", "normal", np.sqrt(2 / (K + N)) / TRUNCATED),
    ("InnerProduct", 0, "Uniform", "uniform", 1 / (K + N)),
    ("InnerProduct", 0, "XavierUniform", "uniform", np.sqrt(6 / (K + N))),
    ("InnerProduct", 0, "Zero", "constant", 0),
    ("InnerProduct", 1, "Default", "normal", np.sqrt(1 / N)),
    ("InnerProduct", 1, "Uniform", "uniform", 1 / N),
    ("InnerProduct", 1, "XavierUniform", "uniform", np.sqrt(6 / N)),
    ("InnerProduct", 1, "XavierNorm", "normal", np.sqrt(2 / N) / TRUNCATED),
    ("InnerProduct", 1, "Zero", "constant", 0),
    ("WeightMultiply", 0, "Default", "uniform", np.sqrt(6 / (K + K * 2))),
    ("WeightMultiply", 0, "Uniform", "uniform", 1 / (K + K * 2)),
    ("WeightMultiply", 0, "XavierNorm", "normal", np.sqrt(2 / (K + K * 2)) / TRUNCATED),
    ("MultiCross", 0, "Default", "uniform", np.sqrt(3 / K)),
    ("MultiCross", 2, "Uniform", "uniform", np.sqrt(3 / K)),
    ("MultiCross", 1, "Default", "constant", 0),
    ("MultiCross", 0, "Zero", "constant", 0),
    ("MLP", 0, "Default", "uniform", np.sqrt(1 / K)),
    ("MLP", 1, "Uniform", "uniform", np.sqrt(1 / K)),
    ("MLP", 0, "XavierUniform", "uniform", np.sqrt(6 / (K + N))),
    ("MLP", 1, "XavierNorm", "normal", np.sqrt(2 / (K + N)) / TRUNCATED),
    ("MLP", 2, "XavierUniform", "uniform", np.sqrt(3 / N)),
    ("MLP", 3, "Default", "uniform", np.sqrt(1 / N)),
    ("MLP", 3, "Zero", "constant", 0),
    ("GRU", 0, "Default", "uniform", np.sqrt(6 / (K + N))),
    ("GRU", 1, "XavierNorm", "normal", np.sqrt(1 / N) / TRUNCATED),
    ("GRU", 1, "Uniform", "uniform", 1 / (2 * N)),
    ("GRU", 2, "Default", "constant", 0),
    ("LayerNorm", 0, "Default", "constant", 1),
    ("LayerNorm", 0, "Zero", "constant", 0),
    ("LayerNorm", 1, "XavierNorm", "constant", 0),
    ("BatchNorm", 0, "Default", "constant", 1),
    ("BatchNorm", 0, "Zero", "constant", 0),
    ("BatchNorm", 1, "Default", "constant", 0),
]


def weights(layer, initializer="Default", seed=1, k=K, n=N):
    keywords = ("weight_init_type", "bias_init_type", "gamma_init_type", "beta_init_type")
    params = {
        "num_output": n,
        "num_layers": 2,
        "weight_dims": [k, 2],
        "num_outputs": [n, n],
        "vector_size": k,
        **dict.fromkeys(keywords, initializer),
    }
    return run(layer, [np.ones((2, k))], options={"seed": seed}, **params)["weights"]


@pytest.mark.parametrize(("layer", "index", "initializer", "kind", "a"), RULES)
def test_distribution(layer, index, initializer, kind, a):
    values = np.concatenate([weights(layer, initializer, seed)[index].ravel() for seed in range(1, 9)]).astype(
        np.float64
    )
    n = values.size
    if kind == "constant":
        assert (values == a).all()
        return
    deviation = a / np.sqrt(3) if kind == "uniform" else a
    assert abs(values.mean()) < 5 * deviation / np.sqrt(n)
    fourth = 1.8 if kind == "uniform" else 3.0
    assert abs(values.var() / deviation**2 - 1) < 5 * np.sqrt((fourth - 1) / n)
    if kind == "uniform":
        assert np.abs(values).max() <= np.float32(a)
        assert np.abs(values).max() > a * (1 - 20 / n)
    else:
        assert np.abs(values).max() > 2.5 * a  # not truncated
        assert (np.abs(values) < a).mean() == pytest.approx(0.6827, abs=3 / np.sqrt(n))


def test_tiny_layers_clamp_the_variance():
    assert np.abs(weights("InnerProduct", "XavierUniform", k=1, n=1)[1]).max() <= np.sqrt(3)
    bound = max(np.abs(weights("InnerProduct", "XavierUniform", s, 1, 1)[1]).max() for s in range(1, 200))
    assert 0.95 * np.sqrt(3) < bound <= np.float32(np.sqrt(3))


def test_an_element_depends_on_seed_tensor_and_position_only():
    short, long = weights("InnerProduct", "Uniform", n=7)[1], weights("InnerProduct", "Uniform", n=7, k=9)[1]
    np.testing.assert_array_equal(short, long)
    wide = weights("MultiCross", k=40)
    assert (wide[0] != wide[2]).all()
    assert (weights("MultiCross", k=40, seed=2)[0] != wide[0]).all()
