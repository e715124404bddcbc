# SPDX-License-Identifier: Apache-2.0
"""A model of three dense weights and one embedding of width 2, for exact bytes and counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from harness import training
from harness.declaration import Declaration, Embedding, Node, SparseInput, node
from harness.reference import Bags, Batch

DISTRIBUTED = "DistributedSlotSparseEmbeddingHash"
LOCALIZED = "LocalizedSlotSparseEmbeddingHash"
KEYS = np.array([7, 300])


def tiny(embedding_type: str = DISTRIBUTED, dense_nodes: tuple[Node, ...] = (), workspace_mb: int = 1) -> Declaration:
    """fc 2 -> 1 on the dense input (after ``dense_nodes``, which end in "x"), plus the sum of two slots' vectors."""
    return Declaration(
        "tiny",
        2,
        (SparseInput("data1", (8, 293)),),
        (Embedding("embedding", "data1", 2, type=embedding_type, workspace_mb=workspace_mb),),
        (
            *dense_nodes,
            node("InnerProduct", "x" if dense_nodes else "dense", "fc", num_output=1),
            node("Reshape", "embedding", "flat", leading_dim=4),
            node("ReduceSum", "flat", "wide", axis=1),
            node("Add", "fc wide", "logit"),
            node("BinaryCrossEntropyLoss", "logit label", "loss"),
        ),
    )


def tiny_batch(dense: list[list[float]], labels: list[float], keys: np.ndarray = KEYS) -> Batch:
    """One batch whose samples all hold the same key in each of the two slots."""
    rows = len(labels)
    bags = Bags(2, np.arange(2 * rows + 1), np.tile(keys, rows))
    return Batch(np.array(labels, np.float32)[:, None], np.array(dense, np.float32), {"data1": bags})


def tiny_data(folder: Path, declaration: Declaration, batches: int = 4, size: int = 4) -> str:
    """Random values of tiny batches as a Norm data set."""
    rng = np.random.default_rng(2)
    return training.write_norm(
        folder,
        declaration,
        [tiny_batch(rng.normal(size=(size, 2)).tolist(), rng.integers(0, 2, size).tolist()) for _ in range(batches)],
    )
