# SPDX-License-Identifier: Apache-2.0
"""One-hot embeddings: every key has a row from the start, and files number keys over all slots."""

from __future__ import annotations

import numpy as np
import pytest
from embedding.reference import Group, export, make_input, make_spec
from hugectr.errors import InvalidArgumentError

SIZES = [4, 100, 10000]
SPEC = make_spec(slots=3, dim=2, type="one_hot", slot_size_array=SIZES, workspace_mb=0)


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_all_rows_exist_and_are_exported_in_key_order(ranks: int) -> None:
    group = Group([SPEC], 4, world_size=ranks)
    dump = export(group, 0, ranks)
    order = np.argsort(dump["keys"])
    np.testing.assert_array_equal(dump["keys"][order], np.arange(sum(SIZES)))
    np.testing.assert_array_equal(dump["slot_ids"][order], np.repeat(np.arange(3), SIZES))
    first = group.export_rows(0, 0)
    assert (np.diff(first["keys"]) > 0).all()
    for slot, bound in enumerate([0.5, 0.1, 0.01]):
        values = dump["vectors"][dump["slot_ids"] == slot]
        assert np.abs(values).max() <= np.float32(bound)
    assert np.abs(values).max() > 0.0099 and abs(values.mean()) < 3 * 0.02 / np.sqrt(12 * values.size)
    np.testing.assert_array_equal(dump["vectors"][order], export(Group([SPEC], 4))["vectors"])


def test_keys_count_from_zero_in_each_slot() -> None:
    group = Group([SPEC], 2)
    rows = export(group)["vectors"]
    (out,) = group.step([make_input([[3], [0], [9999], [], [99], [1]])])
    np.testing.assert_array_equal(out, [rows[[3, 4, 10103]], [np.zeros(2), rows[103], rows[105]]])


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("combiner", ["sum", "mean"])
def test_slots_with_several_keys(combiner: str, ranks: int) -> None:
    """As many as come, whatever was declared."""
    group = Group([{**SPEC, "combiner": combiner}], 2, world_size=ranks)
    dump = export(group, 0, ranks)
    rows = dump["vectors"][np.argsort(dump["keys"])]
    out = np.concatenate(group.step([make_input([[3, 0], [5], [], [1], [2, 2], [9999, 0]])]))
    mean = 0.5 if combiner == "mean" else 1.0
    expected = [[mean * (rows[3] + rows[0]), rows[9], np.zeros(2)],
                [rows[1], mean * 2 * rows[6], mean * (rows[10103] + rows[104])]]  # fmt: skip
    np.testing.assert_allclose(out.reshape(2, 3, 2), expected, rtol=1e-6)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("key", [100, -1, 2**40])
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_key_outside_its_slot_is_an_error(key: int, ranks: int, training: bool) -> None:
    group = Group([SPEC], 2, world_size=ranks)
    text = rf'embedding "emb": sample 1, slot 1: key {key} is outside \[0, 100\)'
    with pytest.raises(InvalidArgumentError, match=text):
        group.step([make_input([[3], [0], [1], [2], [key], [4]])], training=training)


def test_import_keeps_to_the_slots_and_resets_the_rest() -> None:
    group = Group([SPEC], 1)
    fresh = export(group)["vectors"]
    group.step([make_input([[0], [0], [0]])], [np.ones((1, 3, 2), np.float32)])
    part = {"keys": np.array([105, 2]), "slot_ids": np.array([2, 0], np.uint64)}
    with pytest.raises(InvalidArgumentError, match=r"key 105 is outside the range \[4, 104\) of slot 1"):
        group.import_rows(0, {**part, "slot_ids": np.array([1, 0], np.uint64), "vectors": np.zeros(4, np.float32)})
    group.import_rows(0, {**part, "vectors": np.array([[1, 2], [3, 4]], np.float32)})
    fresh[[105, 2]] = [[1, 2], [3, 4]]
    np.testing.assert_array_equal(export(group)["vectors"], fresh)
