# SPDX-License-Identifier: Apache-2.0
"""What a lookup returns: combiners, unseen keys, fresh vectors."""

from __future__ import annotations

import numpy as np
import pytest
from embedding.reference import Group, by_key, export, make_input, make_spec

TABLE = {"keys": np.array([3, 5, 9]), "vectors": np.array([[1, 2], [3, -2], [-1, 6]], np.float32)}
BAGS = [[], [3], [3, 5], [3, 5, 9], [3, 3, 5], [3, 77], [77]]
SUM = [(0, 0), (1, 2), (4, 0), (3, 6), (5, 2), (1, 2), (0, 0)]
MEAN = [(0, 0), (1, 2), (2, 0), (1, 2), (5 / 3, 2 / 3), (0.5, 1), (0, 0)]


@pytest.mark.parametrize("ranks", [1, 7])
@pytest.mark.parametrize("combiner, expected", [("sum", SUM), ("mean", MEAN)])
def test_combiner_table(combiner: str, expected: list[tuple[float, float]], ranks: int) -> None:
    group = Group([make_spec(dim=2, combiner=combiner)], len(BAGS), world_size=ranks)
    group.import_rows(0, TABLE)
    (out,) = group.step([make_input(BAGS)], training=False)
    np.testing.assert_allclose(out[:, 0], expected, rtol=1e-6)
    assert sum(group.size(0, r) for r in range(ranks)) == 3


@pytest.mark.parametrize(
    "combiner, row3, row5", [("mean", (0.2, -0.4), (0.1, -0.2)), ("sum", (0.6, -1.2), (0.3, -0.6))]
)
def test_combiner_gradients(combiner: str, row3: tuple[float, ...], row5: tuple[float, ...]) -> None:
    group = Group([make_spec(dim=2, combiner=combiner)], 1)
    group.import_rows(0, TABLE)
    group.step([make_input([[3, 3, 5]])], [np.array([[[0.3, -0.6]]], np.float32)], lr=1.0)
    moved = TABLE["vectors"] - export(group)["vectors"]
    np.testing.assert_allclose(moved, [row3, row5, (0, 0)], rtol=1e-6, atol=1e-7)


def test_training_inserts_and_evaluation_does_not() -> None:
    group = Group([make_spec(dim=3)], 4)
    data = make_input([[1], [2, 1], [], [-7]])
    (before,) = group.step([data], training=False)
    assert not before.any() and group.size(0, 0) == 0
    (out,) = group.step([data])
    rows = by_key(export(group))
    assert list(rows) == [1, 2, -7]
    np.testing.assert_array_equal(out[:, 0], [rows[1], rows[2] + rows[1], np.zeros(3), rows[-7]])
    (again,) = group.step([data], training=False)
    np.testing.assert_array_equal(again, out)


def test_a_short_batch_reads_only_its_own_samples() -> None:
    """Batches of different sizes take turns, as in training and evaluation."""
    group = Group([make_spec(slots=2)], 8)
    (first,) = group.step([make_input([[1], [2]] * 8)])
    (second,) = group.step([make_input([[2], [1], [], [3]])], training=False)
    np.testing.assert_array_equal(second, [first[0][::-1], np.zeros((2, 4))])


def test_fresh_vectors_are_uniform_and_depend_on_seed_table_and_key_alone() -> None:
    keys = list(range(-2000, 2000))
    spec = make_spec(dim=5)
    group = Group([spec, spec], len(keys), seed=7)
    group.step([make_input([[k] for k in keys]), make_input([[k] for k in reversed(keys)])])
    first, second = (by_key(export(group, e)) for e in (0, 1))
    values = np.concatenate(list(first.values()))
    assert -0.05 < values.min() < -0.0499 and 0.0499 < values.max() <= 0.05
    assert abs(values.mean()) < 4 * 0.1 / np.sqrt(12 * values.size)
    deciles = np.histogram(values, 10, (-0.05, 0.05))[0]
    assert np.abs(deciles - values.size / 10).max() < 5 * np.sqrt(values.size / 10)
    assert len(np.unique(values)) > 0.99 * values.size and not np.array_equal(first[3], second[3])

    other = Group([spec, spec], len(keys), seed=7, world_size=2, threads=2)
    other.step([make_input([[k] for k in reversed(keys)])] * 2)
    rows = by_key(export(other, 0, 2))
    assert all(np.array_equal(rows[k], first[k]) for k in keys)
    reseeded = Group([spec], 1, seed=8)
    reseeded.step([make_input([[3]])])
    assert not np.array_equal(export(reseeded)["vectors"][0], first[3])
