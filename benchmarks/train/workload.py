# SPDX-License-Identifier: Apache-2.0
"""The benchmark's input, the same for every library: skewed keys of 26 slots, 13 dense values, one label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SLOTS, DENSE, KEYS, EXPONENT = 26, 13, 1_000_000, 1.05
SLOT_SIZE = KEYS // SLOTS
ONE_HOT_SLOT_SIZE = 1_000_000


@dataclass(frozen=True)
class Shape:
    """Embedding width and products per sample: (inputs, outputs) of the matrix products, and of the first one whether
    its input needs no gradient."""

    dim: int
    products: tuple[tuple[int, int], ...]
    from_dense: tuple[tuple[int, int], ...] = ()  # among `products`, those without an input gradient
    pairs: int = 0  # vectors of an interaction


SHAPES = {
    "wdl": Shape(16, ((429, 1024), (1024, 1024), (1024, 1))),
    "dcn": Shape(16, ((429, 1024), (1024, 1024), (1453, 1))),
    "deepfm": Shape(11, ((273, 400), (400, 400), (400, 400), (400, 1))),
    "dlrm": Shape(
        128,
        ((13, 512), (512, 256), (256, 128), (480, 1024), (1024, 1024), (1024, 512), (512, 256), (256, 1)),
        ((13, 512),),
        27,
    ),
}


def flops(name: str) -> float:
    """Floating-point operations of one sample's matrix products in a training step."""
    shape = SHAPES[name]
    total = sum((2 if p in shape.from_dense else 3) * 2 * p[0] * p[1] for p in shape.products)
    return total + 3 * 2 * shape.pairs**2 * shape.dim


@dataclass(frozen=True)
class Batch:
    label: np.ndarray  # [batch] float32
    dense: np.ndarray  # [batch, 13] float32
    keys: np.ndarray  # [batch, 26] int64, distinct between slots


def batches(size: int, seed: int = 1, slot_size: int = SLOT_SIZE, count: int | None = None) -> list[Batch]:
    """A few batches to rotate. Keys of a slot follow a bounded power law, spread over the slot's range."""
    rng = np.random.default_rng(seed)
    spread = [rng.permutation(slot_size) for _ in range(SLOTS)]
    power = 1 - EXPONENT
    result = []
    for _ in range(count or (8 if size < 8192 else 4)):
        rank = ((slot_size**power - 1) * rng.random((size, SLOTS)) + 1) ** (1 / power)
        rank = np.minimum(rank.astype(np.int64) - 1, slot_size - 1)
        keys = np.stack([spread[s][rank[:, s]] + s * slot_size for s in range(SLOTS)], 1)
        label = (rng.random(size) < 0.25).astype(np.float32)
        result.append(Batch(label, rng.random((size, DENSE), np.float32), keys))
    return result
