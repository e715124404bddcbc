# SPDX-License-Identifier: Apache-2.0
"""Learning rate schedule: the tables of the specification, boundaries, restart and argument checks."""

from __future__ import annotations

import numpy as np
import pytest
from hugectr import _core

TABLES = [
    (
        dict(base_lr=0.8, warmup_steps=4, decay_start=6, decay_steps=5, decay_power=2, end_lr=0.05),
        [0.2, 0.4, 0.6, 0.8, 0.8, 0.8, 0.512, 0.288, 0.128, 0.05, 0.05, 0.05, 0.05],
    ),
    (  # the decay window opens during warm-up, which wins
        dict(base_lr=1.0, warmup_steps=4, decay_start=2, decay_steps=6, decay_power=2, end_lr=0.0),
        [0.25, 0.5, 0.75, 1, 0.25, 1 / 9, 1 / 36, 0, 0, 0, 0, 0, 0],
    ),
    (dict(base_lr=0.001), [0.001] * 13),
    (dict(base_lr=1.0, warmup_steps=1, decay_start=1, decay_steps=2, decay_power=1), [1, 0.5, 0, 0]),
]


@pytest.mark.parametrize("spec, rates", TABLES)
def test_rates(spec: dict, rates: list[float]) -> None:
    schedule = _core.LearningRateSchedule(**spec)
    assert schedule.current == pytest.approx(spec["base_lr"]) and schedule.get_step() == 0
    got = []
    for n, _ in enumerate(rates, start=1):
        got.append(schedule.get_next())
        assert schedule.current == got[-1] and schedule.get_step() == n
    np.testing.assert_allclose(got, rates, rtol=1e-6, atol=1e-12)


def test_set_step_continues_where_another_schedule_stopped() -> None:
    spec, rates = TABLES[0]
    schedule = _core.LearningRateSchedule(**spec)
    schedule.set_step(7)
    assert schedule.current == pytest.approx(rates[6])
    assert schedule.get_next() == pytest.approx(rates[7])
    schedule.set_step(0)
    assert schedule.current == pytest.approx(0.8)


@pytest.mark.parametrize(
    "bad, name",
    [
        (dict(base_lr=-0.1), "learning rate"),
        (dict(base_lr=float("nan")), "learning rate"),
        (dict(warmup_steps=0), "warmup_steps"),
        (dict(decay_start=-1), "decay_start"),
        (dict(decay_steps=0), "decay_steps"),
        (dict(decay_power=0.5), "decay_power"),
        (dict(end_lr=-1.0), "end_lr"),
    ],
)
def test_bad_arguments_are_named(bad: dict, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        _core.LearningRateSchedule(**{"base_lr": 0.1, **bad})
