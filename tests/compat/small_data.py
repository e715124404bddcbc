# SPDX-License-Identifier: Apache-2.0
"""Data like that of the samples: fewer keys than declared, slots of several sizes, in Norm and Raw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from hugectr.tools import write_file_list, write_norm, write_raw

SAMPLES, TEST_SAMPLES, DENSE = 256, 96, 3


def norm(
    folder: Path, slots: list[Any], name: str = "train", samples: int = SAMPLES, labels: int = 1, **more: Any
) -> str:
    """`slots` makes the bags of each slot from a sample's number, or is an array of one key a sample."""
    random = np.random.default_rng(len(name))
    folder.mkdir(parents=True, exist_ok=True)
    bags = [[slot(i) for i in range(samples)] if callable(slot) else slot[:samples, None] for slot in slots]
    label = random.integers(0, 2, (samples, labels))
    write_norm(folder / f"{name}.data", label, random.random((samples, DENSE)), bags, **more)
    write_file_list(folder / f"{name}.txt", [str(folder / f"{name}.data")])
    return str(folder / f"{name}.txt")


def raw(folder: Path, sizes: list[int], name: str = "train", samples: int = SAMPLES) -> str:
    """One key of each slot, counted from 0 in it, with integers as labels and dense values."""
    random = np.random.default_rng(len(name))
    folder.mkdir(parents=True, exist_ok=True)
    keys = np.stack([random.integers(0, size, samples) for size in sizes], 1)
    dense = random.integers(0, 9, (samples, DENSE))
    write_raw(folder / f"{name}.bin", random.integers(0, 2, samples), dense, keys)
    return str(folder / f"{name}.bin")
