# SPDX-License-Identifier: Apache-2.0
"""How a benchmark measures: several contestants in turn, slice by slice, so that a disturbance hits all of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

MIN_SLICES = 5
SecondsOf = Callable[[int], float]  # how long that many steps take


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, the ends of the middle 80 %, and how many values there are."""
    p10, median, p90 = np.percentile(values, [10, 50, 90])
    return {"median": float(median), "p10": float(p10), "p90": float(p90), "runs": len(values)}


def in_turn(contestants: Sequence[SecondsOf], seconds: float) -> list[list[float]]:
    """Steps a second of each contestant in every slice; about ``seconds`` each, of which a slice takes a tenth."""
    steps = [max(1, round(seconds / 10 / contestant(1))) for contestant in contestants]
    rates: list[list[float]] = [[] for _ in contestants]
    spent = 0.0
    while len(rates[0]) < MIN_SLICES or spent < seconds * len(contestants):
        for contestant, n, values in zip(contestants, steps, rates):
            taken = contestant(n)
            values.append(n / taken)
            spent += taken
    return rates


def ratio(a: Sequence[float], b: Sequence[float]) -> float:
    """a over b: the median over slices that were measured side by side."""
    return statistics.median(x / y for x, y in zip(a, b))
