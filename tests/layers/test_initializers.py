# SPDX-License-Identifier: Apache-2.0
"""Distributions of initial weights: bounds, mean and variance of every rule."""

from __future__ import annotations

import hugectr
import numpy as np
import pytest
from harness.ops import run

K, N = 300, 500
TRUNCATED = 0.87962566103423978
LOW_RANK, RANK = "MultiCross with projection_dim", 7
ALL = ("Default", "Uniform", "XavierNorm", "XavierUniform")


def dense(layer):
    """Weight and bias of a product."""
    weight, bias = np.sqrt(2 / (K + N)) / TRUNCATED, np.sqrt(2 / N) / TRUNCATED
    return [
        (layer, 0, "Default", "normal", weight),
        (layer, 0, "XavierNorm", "normal", weight),
        (layer, 0, "Uniform", "uniform", 1 / (K + N)),
        (layer, 0, "XavierUniform", "uniform", np.sqrt(6 / (K + N))),
        (layer, 1, "Default", "normal", np.sqrt(1 / N)),
        (layer, 1, "XavierNorm", "normal", bias),
        (layer, 1, "Uniform", "uniform", 1 / N),
        (layer, 1, "XavierUniform", "uniform", np.sqrt(6 / N)),
    ]


def whatever_is_asked(layer, index, kind, a):
    """A weight that knows one distribution."""
    return [(layer, index, asked, kind, a) for asked in ALL]


def mlp(index):
    """Weight or bias of the first layer, of the second."""
    average, own = np.sqrt(2 / (K + N)), np.sqrt(1 / N)
    return [
        ("MLP", index, "Default", "uniform", np.sqrt(1 / K)),
        ("MLP", index, "Uniform", "uniform", np.sqrt(1 / K)),
        ("MLP", index, "XavierUniform", "uniform", np.sqrt(3) * average),
        ("MLP", index, "XavierNorm", "normal", average / TRUNCATED),
        ("MLP", index + 2, "Default", "uniform", own),
        ("MLP", index + 2, "Uniform", "uniform", own),
        ("MLP", index + 2, "XavierUniform", "uniform", np.sqrt(3) * own),
        ("MLP", index + 2, "XavierNorm", "normal", own / TRUNCATED),
    ]


RULES = [  # layer, weight, initializer, shape of the distribution, bound or standard deviation
    *dense("InnerProduct"),
    *dense("FusedInnerProduct"),
    ("WeightMultiply", 0, "Default", "uniform", np.sqrt(6 / (K + K * 2))),
    ("WeightMultiply", 0, "XavierUniform", "uniform", np.sqrt(6 / (K + K * 2))),
    ("WeightMultiply", 0, "Uniform", "uniform", 1 / (K + K * 2)),
    ("WeightMultiply", 0, "XavierNorm", "normal", np.sqrt(2 / (K + K * 2)) / TRUNCATED),
    *[rule for i in (0, 2) for rule in whatever_is_asked("MultiCross", i, "uniform", np.sqrt(3 / K))],
    *[rule for i in (1, 3) for rule in whatever_is_asked("MultiCross", i, "constant", 0)],
    *[rule for i in (0, 1, 3, 4) for rule in whatever_is_asked(LOW_RANK, i, "normal", np.sqrt(2 / (K + RANK)))],
    *[rule for i in (2, 5) for rule in whatever_is_asked(LOW_RANK, i, "constant", 0)],
    *mlp(0),
    *mlp(1),
    ("GRU", 0, "Default", "uniform", np.sqrt(6 / (K + N))),
    ("GRU", 0, "XavierUniform", "uniform", np.sqrt(6 / (K + N))),
    ("GRU", 0, "XavierNorm", "normal", np.sqrt(2 / (K + N)) / TRUNCATED),
    ("GRU", 0, "Uniform", "uniform", 1 / (K + N)),
    ("GRU", 1, "Default", "uniform", np.sqrt(3 / N)),
    ("GRU", 1, "XavierNorm", "normal", np.sqrt(1 / N) / TRUNCATED),
    ("GRU", 1, "Uniform", "uniform", 1 / (2 * N)),
    ("GRU", 2, "Default", "constant", 0),
    ("GRU", 2, "XavierUniform", "uniform", np.sqrt(6 / N)),
    *whatever_is_asked("LayerNorm", 0, "constant", 1),
    *whatever_is_asked("LayerNorm", 1, "constant", 0),
    *whatever_is_asked("BatchNorm", 0, "constant", 1),
    *whatever_is_asked("BatchNorm", 1, "constant", 0),
]
WEIGHTS = sorted({rule[:2] for rule in RULES})
RULES += [
    (layer, index, *rule)
    for layer, index in WEIGHTS
    for rule in (
        ("Zero", "constant", 0),
        ("Constant(-2.5)", "constant", -2.5),
        ("Normal(1e-4)", "normal", 1e-4),
        ("Uniform(0.25)", "uniform", 0.25),
    )
]


def weights(layer, initializer="Default", seed=1, k=K, n=N):
    keywords = ("weight_init_type", "bias_init_type", "gamma_init_type", "beta_init_type")
    params = {
        "num_output": n,
        "num_layers": 2,
        "weight_dims": [k, 2],
        "num_outputs": [n, n],
        "vector_size": k,
        "projection_dim": RANK if layer == LOW_RANK else 0,
        **dict.fromkeys(keywords, initializer),
    }
    return run(layer.split()[0], [np.ones((2, k))], options={"seed": seed}, **params)["weights"]


@pytest.mark.parametrize(("layer", "index", "initializer", "kind", "a"), RULES)
def test_distribution(layer, index, initializer, kind, a):
    values = np.concatenate([weights(layer, initializer, seed)[index].ravel() for seed in range(1, 9)]).astype(
        np.float64
    )
    n = values.size
    if kind == "constant":
        assert (values == a).all()
        return
    a = np.float64(np.float32(a))
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


@pytest.mark.parametrize(("layer", "index"), WEIGHTS)
def test_sinusoidal(layer, index):
    """Rows are positions; columns in pairs have the sine and the cosine of one angle."""
    w = weights(layer, "Sinusoidal")[index]
    rows = w.reshape(-1, w.shape[-1])
    position, column = np.arange(len(rows))[:, None], np.arange(rows.shape[1])
    angle = position / 10000.0 ** (column // 2 * 2 / rows.shape[1])
    np.testing.assert_allclose(rows, np.where(column % 2 == 0, np.sin(angle), np.cos(angle)), rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Constant", r'"Constant" needs a number, as in Constant\(0.5\)'),
        ("Normal(-1)", r'"Normal\(-1\)": its number must not be negative'),
        ("Zero(1)", r'"Zero\(1\)": Zero has no number'),
        ("Constant(x)", "must be a name, or a name and a number"),
        ("Constant(1", "must be a name, or a name and a number"),
        ("Constant(1e99)", "number of an initializer"),
    ],
)
def test_wrong_numbers(text, message):
    with pytest.raises(ValueError, match=message):
        weights("InnerProduct", text)


def test_unknown_names():
    for layer, _ in WEIGHTS:
        with pytest.raises(KeyError, match='unknown initializer "Gaussian".*Normal'):
            weights(layer, "Gaussian")


def test_python_has_them_with_their_numbers():
    kind = hugectr.Initializer_t
    assert hugectr.Initializer(kind.Constant, 0.5).text == "Constant(0.5)"
    assert hugectr.Initializer(kind.Normal, 1).text == "Normal(1.0)"
    assert hugectr.Initializer(kind.Uniform, 1e-5).text == "Uniform(1e-05)"
    assert hugectr.Initializer(kind.Sinusoidal).text == "Sinusoidal"
    for given in ((kind.Constant,), (kind.Normal,), (kind.Zero, 1.0), (kind.Normal, -1.0), (kind.Uniform, -0.5)):
        with pytest.raises(hugectr.InvalidArgumentError, match=f"Initializer.*{given[0].name}|must not be negative"):
            hugectr.Initializer(*given)
