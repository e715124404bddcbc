# SPDX-License-Identifier: Apache-2.0
"""Row updates: the tables of the specification, and float64 over random batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from embedding.reference import Embedding, Group, export, make_input, make_spec, random_input

A, B = 11, 22
HITS = [[A], [B], [A], [], [A, B]]
GRADIENTS = [[0.5], [1.0], [-0.25], [], [0.0, 0.0]]

# (step, (w_A, states of A), (w_B, states of B)) with f = mu = 0.9 and lr = 0.1.
ORACLE: dict[tuple[str, str], list[Any]] = {
    ("Adam", "Local"): [
        (1, (0.9000006325, 0.05, 0.00025), (-2, 0, 0)),
        (2, (0.9000006325, 0.05, 0.00025), (-2.074413447, 0.1, 0.001)),
        (3, (0.8771367243, 0.02, 0.00031225), (-2.074413447, 0.1, 0.001)),
        (5, (0.8595565865, 0.018, 0.00031193775), (-2.12353189, 0.09, 0.000999)),
    ],
    ("Adam", "Global"): [
        (1, (0.9000006325, 0.05, 0.00025), (-2, 0, 0)),
        (2, (0.8329952310, 0.045, 0.00024975), (-2.074413447, 0.1, 0.001)),
        (3, (0.8152686116, 0.0155, 0.00031200025), (-2.131935257, 0.09, 0.000999)),
        (5, (0.7884748526, 0.012555, 0.0003113765615), (-2.218879388, 0.0729, 0.000997002999)),
    ],
    ("Adam", "LazyGlobal"): [
        (1, (1, 0.05, 0.00025), (-2, 0, 0)),
        (2, (1, 0.05, 0.00025), (-2, 0.1, 0.001)),
        (3, (0.8100012017, 0.0155, 0.00031200025), (-2, 0.1, 0.001)),
        (5, (0.7763206247, 0.012555, 0.0003113765615), (-2.201660441, 0.0729, 0.000997002999)),
    ],
    ("SGD", "Local"): [(3, (0.975,), (-2.1,))],
    ("AdaGrad", "Local"): [
        (1, (0.90000002, 0.25), (-2, 0)),
        (2, (0.90000002, 0.25), (-2.09999999, 1)),
        (3, (0.9447213715, 0.3125), (-2.09999999, 1)),
    ],
    ("MomentumSGD", "Local"): [
        (1, (0.95, -0.05), (-2, 0)),
        (2, (0.95, -0.05), (-2.1, -0.1)),
        (3, (0.93, -0.02), (-2.1, -0.1)),
    ],
    ("MomentumSGD", "Global"): [
        (1, (0.95, -0.05), (-2, 0)),
        (2, (0.905, -0.045), (-2.1, -0.1)),
        (3, (0.8895, -0.0155), (-2.19, -0.09)),
    ],
    ("Nesterov", "Local"): [
        (1, (0.905, -0.05), (-2, 0)),
        (2, (0.905, -0.05), (-2.19, -0.1)),
        (3, (0.912, -0.02), (-2.19, -0.1)),
    ],
    ("Nesterov", "Global"): [
        (1, (0.905, -0.05), (-2, 0)),
        (2, (0.8645, -0.045), (-2.19, -0.1)),
        (3, (0.87555, -0.0155), (-2.271, -0.09)),
    ],
}
ORACLE["SGD", "Global"], ORACLE["AdaGrad", "Global"] = ORACLE["SGD", "Local"], ORACLE["AdaGrad", "Local"]
ORACLE.update({(rule, "LazyGlobal"): ORACLE[rule, "Local"] for rule in ("SGD", "AdaGrad", "MomentumSGD", "Nesterov")})


def two_rows(optimizer: str, update: str, loss_scale: float = 1.0, **options: Any) -> Any:
    """A group of rows A = 1 and B = -2, and a function that makes step t (from 1) of the table on it."""
    group = Group([make_spec(slots=2, dim=1, optimizer=optimizer, update=update, **options)], 1)
    group.import_rows(0, {"keys": np.array([A, B]), "vectors": np.array([1, -2], np.float32)})

    def step(t: int, frozen: bool = False) -> None:
        keys, gradients = HITS[t - 1], GRADIENTS[t - 1]
        bags = [[keys[i]] if i < len(keys) else [] for i in range(2)]
        d_out = np.array([*gradients, 0, 0][:2], np.float32).reshape(1, 2, 1) * np.float32(loss_scale)
        group.step([make_input(bags)], [d_out], lr=0.1, loss_scale=loss_scale, frozen=[frozen])

    return group, step


@pytest.mark.parametrize("loss_scale", [1.0, 1024.0])
@pytest.mark.parametrize("optimizer, update", ORACLE)
def test_table(optimizer: str, update: str, loss_scale: float) -> None:
    group, step = two_rows(optimizer, update, loss_scale, momentum=0.9)
    expected = {t: rows for t, *rows in ORACLE[optimizer, update]}
    for t in range(1, max(expected) + 1):
        step(t)
        if t in expected:
            dump = export(group)
            rows = np.column_stack([dump["vectors"], *dump["states"]])
            np.testing.assert_allclose(rows, expected[t], rtol=1e-6)
    if (optimizer, update) == ("Adam", "LazyGlobal"):
        assert dump["last_steps"].tolist() == [5, 5]


def test_lazy_rows_remember_their_last_hit() -> None:
    group, step = two_rows("Adam", "LazyGlobal")
    for t, last in [(1, [1, 1]), (2, [1, 2]), (3, [3, 2])]:
        step(t)
        assert export(group)["last_steps"].tolist() == last


@pytest.mark.parametrize("update", ["Local", "Global"])
def test_momentum_without_a_factor_is_sgd(update: str) -> None:
    (momentum, step), (sgd, sgd_step) = two_rows("MomentumSGD", update), two_rows("SGD", update)
    for t in (1, 2, 3):
        step(t)
        sgd_step(t)
    np.testing.assert_array_equal(export(momentum)["vectors"], export(sgd)["vectors"])


def test_a_frozen_step_changes_nothing() -> None:
    group, step = two_rows("MomentumSGD", "Global", momentum=0.9)
    step(1)
    step(2, frozen=True)
    np.testing.assert_allclose(export(group)["vectors"][:, 0], [0.95, -2], rtol=1e-6)
    assert group.optimizer_step(0) == 1


def test_new_rows_start_with_the_initial_state() -> None:
    group = Group([make_spec(optimizer="AdaGrad", initial_accumulator=0.3)], 1)
    group.step([make_input([[5]])])
    np.testing.assert_array_equal(export(group)["states"], np.full((1, 1, 4), np.float32(0.3)))


KINDS = ("Adam", "AdaGrad", "MomentumSGD", "Nesterov", "SGD", "Ftrl", "RMSProp")
RULES = [(o, u) for o in KINDS for u in ("Local", "Global")]


@pytest.mark.parametrize("optimizer, update", [*RULES, ("Adam", "LazyGlobal")])
def test_random_batches_follow_float64(optimizer: str, update: str) -> None:
    """Two embeddings, duplicates inside and across bags, empty bags, sums and means, one of them frozen at times."""
    rng = np.random.default_rng(5)
    common = dict(optimizer=optimizer, update=update, momentum=0.7, epsilon=1e-3, initial_accumulator=0.1)
    common |= dict(beta=0.6, lambda1=0.01, lambda2=0.1)
    specs = [
        make_spec(slots=3, dim=16, combiner="mean", name="deep", **common),
        make_spec(slots=2, dim=3, combiner="sum", name="wide", **common),
    ]
    sizes, batch = (400, 50), 64
    group = Group(specs, max(3 * 400, batch), threads=2)
    all_keys = [make_input([[k] for k in range(s["slots"] * n)]) for s, n in zip(specs, sizes)]
    vectors = [rng.standard_normal((len(keys), s["dim"])).astype(np.float32) for (_, keys), s in zip(all_keys, specs)]
    references = [Embedding(s, keys, v) for s, (_, keys), v in zip(specs, all_keys, vectors)]
    for e in (0, 1):
        group.import_rows(e, {"keys": all_keys[e][1], "vectors": vectors[e]})
    for step in range(20):
        inputs = [random_input(rng, batch, s["slots"], n) for s, n in zip(specs, sizes)]
        d_out = [rng.standard_normal((batch, s["slots"], s["dim"])).astype(np.float32) for s in specs]
        frozen = [False, step % 5 == 4]
        outputs = group.step(inputs, d_out, lr=0.02, frozen=frozen)
        for e, reference in enumerate(references):
            np.testing.assert_allclose(outputs[e], reference.forward(inputs[e]), rtol=2e-5, atol=2e-5)
            if not frozen[e]:
                reference.backward(inputs[e], d_out[e], 0.02)
    for e, reference in enumerate(references):
        np.testing.assert_allclose(export(group, e)["vectors"], reference.table.rows, rtol=2e-5, atol=2e-5)
