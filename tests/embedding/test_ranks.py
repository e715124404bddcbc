# SPDX-License-Identifier: Apache-2.0
"""The number of ranks and threads must not show: ownership, agreement, export and import."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from embedding.reference import Group, by_key, export, make_spec, random_input
from hugectr import _core

owner_of = _core.testing.owner_of


@pytest.mark.parametrize(
    "key, ranks, owner", [(10, 4, 2), (2**31 + 5, 8, 5), (-5, 2, 1), (-5, 3, 2), (-5, 4, 3), (-5, 8, 3)]
)
def test_distributed_keys_go_by_unsigned_remainder(key: int, ranks: int, owner: int) -> None:
    assert owner_of(make_spec(), key, 0, ranks) == owner


@pytest.mark.parametrize("ranks, slots", [(4, [7, 7, 6, 6]), (8, [4, 4, 3, 3, 3, 3, 3, 3])])
def test_localized_slots_are_dealt_out(ranks: int, slots: list[int]) -> None:
    spec = make_spec(type="localized", slots=26)
    assert np.bincount([owner_of(spec, 99, s, ranks) for s in range(26)]).tolist() == slots


SLOTS, KEYS, BATCH = 5, 300, 32
SPECS = [
    make_spec(SLOTS, 6, "Adam", update="Global", name="a", combiner="mean"),
    make_spec(SLOTS, 3, "AdaGrad", name="b", type="localized", combiner="mean"),
    make_spec(SLOTS, 16, "Adam", update="LazyGlobal", name="c", type="localized", slot_size_array=[KEYS] * SLOTS),
    make_spec(SLOTS, 5, "SGD", name="d", type="one_hot", slot_size_array=[KEYS] * SLOTS),
    make_spec(SLOTS, 4, "Nesterov", name="e", momentum=0.5),
]


def train(ranks: int, threads: int, steps: int = 6, batch: int = BATCH) -> tuple[Any, list[list[np.ndarray]]]:
    """All kinds of embeddings side by side, after a few steps, with the outputs of each."""
    rng = np.random.default_rng(2)
    group = Group(SPECS, batch, seed=3, threads=threads, world_size=ranks)
    outputs = []
    for _ in range(steps):
        inputs = [random_input(rng, batch, SLOTS, KEYS) for _ in SPECS]
        offsets, keys = inputs[3]
        inputs[3] = offsets, keys % KEYS  # one-hot keys count from 0 in each slot
        d_out = [rng.standard_normal((batch, SLOTS, s["dim"])).astype(np.float32) for s in SPECS]
        outputs.append(group.step(inputs, d_out, lr=0.05))
    return group, outputs


@pytest.mark.parametrize("ranks", [2, 4, 8])
def test_ranks_agree(ranks: int) -> None:
    """More ranks than slots included: some localized ranks then own nothing."""
    (one, expected), (many, got) = train(1, 1), train(ranks, 1)
    for a, b in zip(expected, got):
        for e in range(len(SPECS)):
            np.testing.assert_allclose(b[e], a[e], rtol=1e-6, atol=1e-6)
    for e in range(len(SPECS)):
        rows, others = by_key(export(one, e)), by_key(export(many, e, ranks))
        assert rows.keys() == others.keys()
        np.testing.assert_allclose([others[k] for k in rows], list(rows.values()), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("ranks", [1, 2])
def test_threads_do_not_change_a_bit(ranks: int) -> None:
    runs = [train(ranks, threads, steps=3, batch=1 << 12) for threads in (1, 2, 3)]
    for group, outputs in runs[1:]:
        for e in range(len(SPECS)):
            for a, b in zip(runs[0][1], outputs):
                assert np.array_equal(a[e], b[e])
            for rank in range(ranks):
                a, b = runs[0][0].export_rows(e, rank), group.export_rows(e, rank)
                assert all(np.array_equal(a[k], b[k]) for k in ("keys", "slot_ids", "vectors", "last_steps"))
                assert all(map(np.array_equal, a["states"], b["states"]))


@pytest.mark.parametrize("before, after", [(1, 1), (2, 1), (1, 3), (4, 2)])
def test_export_and_import_with_another_number_of_ranks(before: int, after: int) -> None:
    trained, _ = train(before, 1, batch=24)
    restored = Group(SPECS, 24, seed=3, world_size=after)  # the seed decides what new keys start with
    for e in range(len(SPECS)):
        dump = export(trained, e, before)
        restored.import_rows(e, dump)
        fresh = export(restored, e, after)
        assert not np.any(fresh["states"]) and set(fresh["last_steps"]) <= {1}
        restored.import_states(e, {k: v for k, v in dump.items() if k != "vectors"})
        restored.set_optimizer_step(e, trained.optimizer_step(e))
    rng = np.random.default_rng(8)
    inputs = [random_input(rng, 24, SLOTS, KEYS) for _ in SPECS]
    inputs[3] = inputs[3][0], inputs[3][1] % KEYS
    d_out = [rng.standard_normal((24, SLOTS, s["dim"])).astype(np.float32) for s in SPECS]
    for gradients in (None, d_out, None):
        for a, b in zip(*(g.step(inputs, gradients, training=gradients is not None) for g in (trained, restored))):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
