# SPDX-License-Identifier: Apache-2.0
"""The second opinion is checked itself: hand-worked numbers, and gradients by central differences."""

from __future__ import annotations

import numpy as np
import pytest
from harness import reference, reference_layers
from harness.declaration import Embedding
from harness.reference_optimizers import Optimizer, RowUpdate, learning_rate
from model.small_models import MODELS, small

# type, arguments, weights, inputs, output, upstream gradient, input gradients, weight gradients
WORKED_LAYERS = [
    (
        "BatchNorm",
        {"eps": 1e-5},
        [[[1]], [[0]]],
        [[[1], [2], [4]]],
        [[-1.069042], [-0.267260], [1.336302]],
        [[1], [0], [0]],
        [[[0.229083], [-0.343620], [0.114538]]],
        [[[-1.069042]], [[1]]],
    ),
    ("FmOrder2", {"out_dim": 2}, [], [[[1, 2, 3, -1, 0.5, 4]]], [[5, 2]], [[1, 1]], [[[3.5, 3, 1.5, 6, 4, 1]]], []),
    (
        "Interaction",
        {},
        [],
        [[[1, 2]], [[[3, -1], [0.5, 4]]]],
        [[1, 2, 1, 8.5, -2.5, 0]],
        [[0.1, 0.2, 0.3, 0.4, 0.5, 9]],
        [[[1.2, 1.5]], [[[0.55, 2.6], [1.9, 0.3]]]],
        [],
    ),
    (
        "MultiCross",
        {"num_layers": 2},
        [[[0.5, -1]], [[0.1, 0]], [[0.2, 0.1]], [[0, -0.3]]],
        [[[1, 2]]],
        [[-0.58, -1.66]],
        [[1, 1]],
        [[[1.12, -5.03]]],
        [[[4.2, 8.4]], [[1.6, 1.3]], [[-1.2, -3]], [[1, 1]]],
    ),
    (
        "WeightMultiply",
        {"weight_dims": [2, 3]},
        [[[1, 10, 100], [4, 5, 6]]],
        [[[2, 3]]],
        [[2, 20, 200, 12, 15, 18]],
        [[1, 0, 0, 0, 1, 1]],
        [[[1, 11]]],
        [[[2, 0, 0], [0, 3, 3]]],
    ),
]


@pytest.mark.parametrize("case", WORKED_LAYERS, ids=lambda c: c[0])
def test_worked_layer(case):
    kind, args, weights, inputs, output, upstream, d_inputs, d_weights = case
    layer = reference_layers.LAYERS[kind](**args)
    arrays = [[np.array(a, np.float64) for a in group] for group in (weights, inputs)]
    np.testing.assert_allclose(layer.forward(*arrays)[0], output, atol=2e-6)
    d_x, d_w = layer.backward([np.array(upstream, np.float64)])
    assert len(d_w) == len(d_weights)
    for got, want in zip([*d_x, *d_w], [*d_inputs, *d_weights]):
        np.testing.assert_allclose(got, want, atol=2e-6)


def test_worked_loss_and_regularizers():
    loss = reference_layers.BinaryCrossEntropyLoss()
    logit, label = np.array([[0.2], [-1], [0.5], [2]]), np.array([[1.0], [0], [0], [1]])
    assert loss.forward([], [logit, label])[0] == pytest.approx(0.5031013880, abs=1e-10)
    want = [-0.1125415007, 0.0672353553, 0.1556148328, -0.0298007305]
    np.testing.assert_allclose(loss.backward([1.0])[0][0][:, 0], want, atol=1e-10)
    weights = [np.array([0.5, -1, 0])]
    for kind, value, grad in (("L1", 0.0375, [0.025, -0.025, -0.025]), ("L2", 0.015625, [0.0125, -0.025, 0])):
        got, grads = reference_layers.regularizer(kind, 0.1, 4, weights)
        assert got == pytest.approx(value)
        np.testing.assert_allclose(grads[0], grad)


# Rows A and B after steps 1, 2, 3 (gradients: A 0.5; B 1; A -0.25) and after two more: none hit, both hit by zero.
WORKED_ROWS = {
    ("Adam", "Local"): [
        (0.9000006325, -2),
        (0.9000006325, -2.074413447),
        (0.8771367243, -2.074413447),
        None,
        (0.8595565865, -2.12353189),
    ],
    ("Adam", "Global"): [
        (0.9000006325, -2),
        (0.8329952310, -2.074413447),
        (0.8152686116, -2.131935257),
        None,
        (0.7884748526, -2.218879388),
    ],
    ("Adam", "LazyGlobal"): [(1, -2), (1, -2), (0.8100012017, -2), None, (0.7763206247, -2.201660441)],
    ("SGD", "Local"): [None, None, (0.975, -2.1)],
    ("SGD", "Global"): [None, None, (0.975, -2.1)],
    ("AdaGrad", "Local"): [(0.90000002, -2), (0.90000002, -2.09999999), (0.9447213715, -2.09999999)],
    ("AdaGrad", "Global"): [(0.90000002, -2), (0.90000002, -2.09999999), (0.9447213715, -2.09999999)],
    ("MomentumSGD", "Local"): [(0.95, -2), (0.95, -2.1), (0.93, -2.1)],
    ("MomentumSGD", "Global"): [(0.95, -2), (0.905, -2.1), (0.8895, -2.19)],
    ("Nesterov", "Local"): [(0.905, -2), (0.905, -2.19), (0.912, -2.19)],
    ("Nesterov", "Global"): [(0.905, -2), (0.8645, -2.19), (0.87555, -2.271)],
}


@pytest.mark.parametrize("kind, update", WORKED_ROWS)
def test_worked_rows(kind, update):
    rows = RowUpdate(Optimizer(kind, update, momentum_factor=0.9), np.array([[1.0], [-2.0]]))
    steps = [([0], [[0.5]]), ([1], [[1.0]]), ([0], [[-0.25]]), ([], np.zeros((0, 1))), ([0, 1], [[0.0], [0.0]])]
    for (hit, grads), want in zip(steps, WORKED_ROWS[kind, update]):
        rows(np.array(hit, np.int64), np.array(grads), 0.1)
        if want is not None:
            np.testing.assert_allclose(rows.rows[:, 0], want, rtol=3e-9)


def test_momentum_without_a_factor_is_sgd():
    rows = RowUpdate(Optimizer("MomentumSGD", "Global"), np.array([[1.0], [-2.0]]))
    for hit, g in ((0, 0.5), (1, 1.0), (0, -0.25)):
        rows(np.array([hit]), np.array([[g]]), 0.1)
    np.testing.assert_allclose(rows.rows[:, 0], [0.975, -2.1])


@pytest.mark.parametrize(
    "args, want",
    [
        ((0.8, 4, 6, 5, 2, 0.05), [0.2, 0.4, 0.6, 0.8, 0.8, 0.8, 0.512, 0.288, 0.128, 0.05, 0.05, 0.05, 0.05]),
        ((1.0, 4, 2, 6, 2, 0.0), [0.25, 0.5, 0.75, 1, 0.25, 1 / 9, 1 / 36, 0, 0, 0, 0, 0, 0]),
        ((), [0.001] * 13),
    ],
)
def test_worked_schedule(args, want):
    np.testing.assert_allclose([learning_rate(n, *args) for n in range(1, 14)], want, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "combiner, outputs, d_rows",
    [
        ("sum", [[0, 0], [1, 2], [4, 0], [3, 6], [5, 2], [1, 2], [0, 0]], {3: (0.6, -1.2), 5: (0.3, -0.6)}),
        ("mean", [[0, 0], [1, 2], [2, 0], [1, 2], [5 / 3, 2 / 3], [0.5, 1], [0, 0]], {3: (0.2, -0.4), 5: (0.1, -0.2)}),
    ],
)
def test_worked_combiner(combiner, outputs, d_rows):
    vectors = np.array([[1, 2], [3, -2], [-1, 6]])
    table = reference.Table(Embedding("e", "data", 2, combiner), np.array([3, 5, 9]), vectors, Optimizer("SGD"))
    bags = [[], [3], [3, 5], [3, 5, 9], [3, 3, 5], [3, 77], [77]]
    offsets = np.concatenate([[0], np.cumsum([len(b) for b in bags])])
    out = table.forward(reference.Bags(1, offsets, np.array([k for b in bags for k in b])))
    np.testing.assert_allclose(out[:, 0], outputs)
    table.forward(reference.Bags(1, np.array([0, 3]), np.array([3, 3, 5])))
    hit, grads = table.row_gradients(np.array([[[0.3, -0.6]]]))
    got = {int(table.keys[r]): tuple(g) for r, g in zip(hit, grads)}
    assert got == {key: pytest.approx(value) for key, value in d_rows.items()}


@pytest.mark.parametrize(
    "loss", [{}, {"use_regularizer": True, "regularizer_type": "L2", "lambda": 0.3}], ids=["plain", "L2"]
)
@pytest.mark.parametrize("combiner", ["sum", "mean"])
@pytest.mark.parametrize("name", MODELS)
def test_gradients(name, combiner, loss):
    """The derivative along random directions agrees with central differences, for every weight tensor and table."""
    declaration = small(name, nnz=3, fixed=False, combiner=combiner, **loss)
    rng = np.random.default_rng(1)
    batch = reference.random_batch(declaration, 16, rng)
    model = reference.Model(
        declaration,
        Optimizer("SGD"),
        reference.initial_weights(declaration, 2),
        reference.initial_tables(declaration, 3),
        16,
    )
    model.forward(batch, training=True)
    d_weights, d_rows = model.backward()
    gradients = [(w, g) for w, g in zip(model.flat_weights(), d_weights)]
    for table, (hit, grads) in zip(model.tables, d_rows):
        full = np.zeros_like(table.vectors)
        full[hit] = grads
        gradients.append((table.vectors, full))
    for tensor, gradient in gradients:
        direction, start, step = rng.normal(size=tensor.shape), tensor.copy(), 1e-6
        values = []
        for sign in (1, -1):
            tensor[...] = start + sign * step * direction
            values.append(model.forward(batch, training=True)[0])
        tensor[...] = start
        assert (values[0] - values[1]) / (2 * step) == pytest.approx((gradient * direction).sum(), rel=2e-6, abs=1e-8)
