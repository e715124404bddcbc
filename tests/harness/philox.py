# SPDX-License-Identifier: Apache-2.0
"""Philox4x32-10 in NumPy, after Salmon et al. (SC'11), and what dropout draws with it. No code of the engine's."""

from __future__ import annotations

import numpy as np

Array = np.ndarray
DROPOUT = 3  # of the purposes that random numbers are for


def philox(key: int, counter: Array) -> Array:
    """The four words of each counter [..., 4] (uint32) under a 64-bit key."""
    c = [counter[..., i].astype(np.uint64) for i in range(4)]
    low, keys = np.uint64(0xFFFFFFFF), [key & 0xFFFFFFFF, key >> 32]
    for _ in range(10):
        p, q = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [
            (q >> np.uint64(32)) ^ c[1] ^ np.uint64(keys[0]),
            q & low,
            (p >> np.uint64(32)) ^ c[3] ^ np.uint64(keys[1]),
            p & low,
        ]
        keys = [(keys[0] + 0x9E3779B9) & 0xFFFFFFFF, (keys[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return np.stack(c, -1).astype(np.uint32)


def fnv1a(text: str) -> int:
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def kept(shape: tuple[int, int], rate: float, *, seed: int, name: str, step: int, first: int = 0) -> Array:
    """Whether dropout keeps each element of samples [first, first + shape[0]) of the global batch in a step.

    64 elements of a sample are decided by 16 counters: the words of number i decide elements i, 16 + i, 32 + i, 48 + i.
    """
    samples, elements = shape
    groups = -(-elements // 64)
    counter = np.zeros((samples, groups, 16, 4), np.uint32)
    counter[..., 0] = first + np.arange(samples)[:, None, None]
    counter[..., 1] = step
    counter[..., 2] = 16 * np.arange(groups)[:, None] + np.arange(16)
    counter[..., 3] = DROPOUT << 24
    words = np.swapaxes(philox(seed ^ fnv1a(name), counter), -1, -2)
    threshold = np.floor(np.float64(np.float32(rate)) * 2**32)
    return (words >= threshold).reshape(samples, -1)[:, :elements]
