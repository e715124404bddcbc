# SPDX-License-Identifier: Apache-2.0
"""How many rows fit, what happens when they do not, and which specs are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from embedding.reference import Group, export, make_input, make_spec
from hugectr import _core
from hugectr.errors import InvalidArgumentError, OutOfMemoryError

row_capacity, row_limit = _core.testing.row_capacity, _core.testing.row_limit
workspace_mb_for = _core.testing.workspace_mb_for
BY_STATES = {0: ("SGD", "Local"), 1: ("AdaGrad", "Local"), 2: ("Adam", "Global"), 3: ("Adam", "LazyGlobal")}
SIZES = [278899, 355877, 203750, 18573, 14082, 7020, 18966, 4, 6382, 1246]


def spec_with(states: int, **options: Any) -> dict[str, Any]:
    optimizer, update = BY_STATES[states]
    return make_spec(optimizer=optimizer, update=update, **options)


@pytest.mark.parametrize(
    "mb, dim, states, rows",
    [
        (23, 1, 0, 6029312),
        (23, 1, 1, 3014656),
        (23, 1, 2, 2009770),
        (23, 1, 3, 1507328),
        (358, 16, 0, 5865472),
        (358, 16, 2, 1955157),
        (1, 11, 0, 23831),
        (75, 16, 3, 307200),
        (61, 16, 2, 333141),
        (25, 16, 2, 136533),
    ],
)
def test_rows_of_a_workspace(mb: int, dim: int, states: int, rows: int) -> None:
    spec = spec_with(states, dim=dim, workspace_mb=mb)
    assert row_capacity(spec, 0, 1) == row_capacity(spec, 3, 4) == rows
    assert row_capacity({**spec, "type": "localized"}, 0, 1) == rows


@pytest.mark.parametrize("states", range(4))
def test_rows_taken_of_a_workspace(states: int) -> None:
    """A script does not say whether its release counted states: the larger number."""
    spec = spec_with(states, dim=16, workspace_mb=25)
    assert row_limit(spec, 0, 1) == row_limit(spec, 1, 2) == 409600
    by_slots = {**spec, "type": "localized", "slots": len(SIZES), "slot_size_array": SIZES}
    assert row_limit(by_slots, 0, 2) == row_capacity(by_slots, 0, 2) == 522079


@pytest.mark.parametrize("states, mb", [(0, 62), (2, 184)])
def test_workspace_for_rows(states: int, mb: int) -> None:
    assert workspace_mb_for(spec_with(states, dim=16, counts_states=True), 1_000_000) == mb
    assert workspace_mb_for(spec_with(states, dim=16), 1_000_000) == 62


@pytest.mark.parametrize("ranks, rows", [(1, 904799), (2, 522079), (4, 364143)])
def test_slot_sizes_win_over_the_workspace(ranks: int, rows: int) -> None:
    spec = make_spec(type="localized", slots=len(SIZES), slot_size_array=SIZES)
    assert {row_capacity(spec, r, ranks) for r in range(ranks)} == {rows}
    assert row_capacity({**spec, "type": "distributed"}, 0, ranks) == row_capacity(make_spec(), 0, 1)


def test_one_hot_ranks_hold_their_own_slots() -> None:
    spec = make_spec(type="one_hot", slots=len(SIZES), slot_size_array=SIZES)
    assert [row_capacity(spec, r, 4) for r in range(4)] == [299363, 364143, 222716, 18577]


ROWS = (1 << 20) // (1024 * 4)  # of a workspace of 1 MB at dim 1024


@pytest.mark.parametrize("ranks", [1, 2])
def test_overflow_is_an_error_and_changes_nothing(ranks: int) -> None:
    group = Group([make_spec(dim=2, name="fits"), make_spec(dim=1024, name="wide")], 2 * ROWS, world_size=ranks)
    first = make_input([[ranks * k] for k in range(ROWS - 6)])
    group.step([first, first])
    before = [export(group, e, ranks) for e in (0, 1)]
    added = [[ranks * (ROWS + k % 7)] for k in range(14)]  # 7 new keys, twice each
    text = rf'embedding "wide": rank 0 uses {ROWS - 6} rows and gets 7 new keys, but can hold {ROWS} rows; '
    with pytest.raises(OutOfMemoryError, match=text + "workspace_size_per_gpu_in_mb=2 would be enough"):
        group.step([make_input(added)] * 2)
    for e in (0, 1):
        after = export(group, e, ranks)
        assert all(np.array_equal(before[e][k], after[k]) for k in ("keys", "vectors"))
    zeros = group.step([make_input(added)] * 2, training=False)
    assert not any(out.any() for out in zeros)
    group.step([make_input(added[:6] * 2)] * 2)
    assert group.size(1, 0) == group.capacity(1, 0) == ROWS


def test_import_of_too_many_rows() -> None:
    group = Group([make_spec(dim=1024)], 1)
    rows = {"keys": np.arange(ROWS + 1), "vectors": np.zeros((ROWS + 1, 1024), np.float32)}
    with pytest.raises(OutOfMemoryError, match="workspace_size_per_gpu_in_mb=2 would be enough"):
        group.import_rows(0, rows)
    group.import_rows(0, {k: v[:-1] for k, v in rows.items()})
    assert group.size(0, 0) == ROWS


@pytest.mark.parametrize(
    "change, text",
    [
        ({"keys": np.array([4, 5, 4])}, "key 4 is there twice"),
        ({"vectors": np.zeros(11, np.float32)}, "3 keys need 12 values of emb_vector, got 11"),
        ({"slot_ids": np.array([0, 1], np.uint64)}, "3 keys need 3 values of slot_id, got 2"),
        ({"slot_ids": np.array([0, 1, 2], np.uint64)}, "key 6 has slot id 2, but there are 2 slots"),
    ],
)
def test_import_refuses_what_does_not_fit_and_keeps_the_rows(change: dict[str, Any], text: str) -> None:
    group = Group([make_spec(slots=2, type="localized")], 1)
    group.step([make_input([[1], [2]])])
    good = {
        "keys": np.array([4, 5, 6]),
        "slot_ids": np.array([0, 1, 0], np.uint64),
        "vectors": np.ones((3, 4), np.float32),
    }
    with pytest.raises(InvalidArgumentError, match=f'embedding "emb": {text}'):
        group.import_rows(0, {**good, **change})
    assert export(group)["keys"].tolist() == [1, 2]
    group.import_rows(0, good)
    assert export(group)["keys"].tolist() == [4, 5, 6] and export(group)["slot_ids"].tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    "options, text",
    [
        ({"dim": 0}, "embedding_vec_size must be 1 to 1024, got 0"),
        ({"dim": 1025}, "embedding_vec_size must be 1 to 1024, got 1025"),
        ({"workspace_mb": 0}, "workspace_size_per_gpu_in_mb must be positive and hold at least one row, got 0"),
        ({"type": "localized", "slot_size_array": [3]}, 'slot_size_array has 1 entries for the 2 slots of "data"'),
        ({"type": "one_hot"}, 'slot_size_array has 0 entries for the 2 slots of "data"'),
        ({"type": "one_hot", "slot_size_array": [3, 0]}, r"slot_size_array\[1\] must be positive, got 0"),
        (
            {"type": "one_hot", "slot_size_array": [3, 4], "optimizer": "Adam"},
            "a one-hot embedding needs SGD with atomic_update=True, got Adam",
        ),
    ],
)
def test_specs_that_cannot_be_built(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f'embedding "emb": .*{text}'):
        Group([make_spec(**{"slots": 2, **options})], 1)
