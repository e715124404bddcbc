# SPDX-License-Identifier: Apache-2.0
"""Builds embedding groups for tests, and a float64 embedding to compare them with."""

from __future__ import annotations

from typing import Any

import numpy as np
from harness.reference_optimizers import Optimizer, RowUpdate
from hugectr import _core

Group = _core.testing.EmbeddingGroup
Array = np.ndarray
Input = tuple[Array, Array]  # offsets, keys


def make_spec(slots: int = 1, dim: int = 4, optimizer: str = "SGD", **options: Any) -> dict[str, Any]:
    """A spec; keywords of the optimizer (update, momentum, beta1, ...) may stand among the others."""
    of_optimizer = {"update", "beta1", "beta2", "epsilon", "initial_accumulator", "momentum", "atomic_update"}
    of_optimizer |= {"beta", "lambda1", "lambda2"}
    chosen = {k: options.pop(k) for k in of_optimizer & options.keys()}
    spec = {"type": "distributed", "name": "emb", "bottom": "data", "slots": slots, "dim": dim, "workspace_mb": 1}
    return {**spec, "optimizer": {"type": optimizer, "update": "Local", **chosen}, **options}


def make_input(bags: list[list[int]]) -> Input:
    offsets = np.cumsum([0] + [len(bag) for bag in bags], dtype=np.int64)
    return offsets, np.array([key for bag in bags for key in bag], np.int64)


def random_input(rng: np.random.Generator, batch: int, slots: int, keys_per_slot: int, most: int = 4) -> Input:
    """Bags of 0..most keys; slot s draws from [s * keys_per_slot, ...), low keys often."""
    counts = rng.integers(0, most + 1, batch * slots)
    slot = np.repeat(np.tile(np.arange(slots), batch), counts)
    keys = (keys_per_slot * rng.random(counts.sum()) ** 3).astype(np.int64) + slot * keys_per_slot
    return np.concatenate([[0], np.cumsum(counts)]), keys


def export(group: Any, e: int = 0, ranks: int = 1) -> dict[str, Any]:
    """The rows of all ranks, one rank after the other."""
    parts = [group.export_rows(e, rank) for rank in range(ranks)]
    dump = {k: np.concatenate([p[k] for p in parts]) for k in ("keys", "slot_ids", "vectors", "last_steps")}
    dump["states"] = [np.concatenate(states) for states in zip(*(p["states"] for p in parts))]
    return dump


def by_key(dump: dict[str, Any]) -> dict[int, Array]:
    return dict(zip(dump["keys"].tolist(), dump["vectors"]))


class Embedding:
    """Float64 rows of known keys, looked up and updated like the real thing. Keys that are not known add nothing."""

    def __init__(self, spec: dict[str, Any], keys: Array, vectors: Array) -> None:
        o = dict(spec["optimizer"])
        self.optimizer = Optimizer(
            kind=o["type"],
            update=o["update"],
            beta1=o.get("beta1", 0.9),
            beta2=o.get("beta2", 0.999),
            epsilon=o.get("epsilon", 1e-7),
            initial_accu_value=o.get("initial_accumulator", 0.0),
            momentum_factor=o.get("momentum", 0.0),
            beta=o.get("beta", 0.0),
            lambda1=o.get("lambda1", 0.0),
            lambda2=o.get("lambda2", 0.0),
        )
        self.spec = spec
        self.row_of = {int(k): i for i, k in enumerate(keys)}
        self.table = RowUpdate(self.optimizer, np.array(vectors, np.float64))

    def _hits(self, data: Input) -> tuple[Array, Array, Array]:
        """Row, bag and factor of each known key."""
        offsets, keys = data
        counts = np.diff(offsets)
        bags = np.repeat(np.arange(len(counts)), counts)
        rows = np.array([self.row_of.get(int(k), -1) for k in keys], np.int64)
        factors = 1 / counts[bags] if self.spec.get("combiner") == "mean" else np.ones(len(bags))
        known = rows >= 0
        return rows[known], bags[known], factors[known]

    def forward(self, data: Input) -> Array:
        """[batch, slots, dim]"""
        rows, bags, factors = self._hits(data)
        out = np.zeros((len(data[0]) - 1, self.spec["dim"]))
        np.add.at(out, bags, self.table.rows[rows] * factors[:, None])
        return out.reshape(-1, self.spec["slots"], self.spec["dim"])

    def backward(self, data: Input, d_out: Array, lr: float) -> None:
        rows, bags, factors = self._hits(data)
        hit, group = np.unique(rows, return_inverse=True)
        grads = np.zeros((len(hit), self.spec["dim"]))
        np.add.at(grads, group, d_out.reshape(-1, self.spec["dim"])[bags].astype(np.float64) * factors[:, None])
        self.table(hit, grads, lr)
