# SPDX-License-Identifier: Apache-2.0
"""Models as plain values, from which both the NumPy reference and the library's model are built."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from harness.reference_optimizers import Optimizer


@dataclass(frozen=True)
class Label:
    name: str
    dim: int = 1
    weight: float = 1.0  # of its loss


@dataclass(frozen=True)
class SparseInput:
    name: str
    slot_sizes: tuple[int, ...]  # distinct keys of each slot
    nnz: int = 1  # most keys of one slot in one sample
    fixed: bool = True  # every slot has exactly nnz keys


@dataclass(frozen=True)
class Embedding:
    name: str
    bottom: str
    dim: int
    combiner: str = "sum"
    type: str = "DistributedSlotSparseEmbeddingHash"
    workspace_mb: int = 1
    optimizer: Optimizer | None = None  # the model's when None
    sized: bool = False  # told the sizes of its slots; one-hot ones always are


@dataclass(frozen=True)
class Node:
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Declaration:
    name: str
    dense_dim: int
    inputs: tuple[SparseInput, ...]
    embeddings: tuple[Embedding, ...]
    nodes: tuple[Node, ...]
    labels: tuple[Label, ...] = (Label("label"),)

    def input_of(self, embedding: Embedding) -> SparseInput:
        return next(i for i in self.inputs if i.name == embedding.bottom)


def node(type: str, bottoms: str, tops: str, **args: Any) -> Node:
    """``node("Concat", "a b", "c")``"""
    return Node(type, tuple(bottoms.split()), tuple(tops.split()), args)


def mlp(bottom: str, prefix: str, widths: list[int], last_relu: bool = True) -> list[Node]:
    """InnerProduct + ReLU chain; its last tensor is ``<prefix><n>`` without, ``<prefix>_relu<n>`` with a last ReLU."""
    nodes = []
    for i, width in enumerate(widths, 1):
        nodes.append(node("InnerProduct", bottom, f"{prefix}{i}", num_output=width))
        bottom = f"{prefix}{i}"
        if i < len(widths) or last_relu:
            nodes.append(node("ReLU", bottom, f"{prefix}_relu{i}"))
            bottom = f"{prefix}_relu{i}"
    return nodes


def wide_and_deep(
    slots: tuple[int, ...],
    wide: SparseInput,
    dim: int = 16,
    dense: int = 13,
    nnz: int = 1,
    fixed: bool = True,
    hidden: tuple[int, ...] = (1024, 1024),
    combiner: str = "sum",
    embedding_type: str = Embedding.type,
    **loss: Any,
) -> Declaration:
    last = len(hidden) + 1
    return Declaration(
        "wdl",
        dense,
        (wide, SparseInput("deep_data", slots, nnz, fixed)),
        (Embedding("wide", wide.name, 1, combiner), Embedding("deep", "deep_data", dim, combiner, embedding_type)),
        (
            node("Reshape", "wide", "wide_flat", leading_dim=len(wide.slot_sizes)),
            node("ReduceSum", "wide_flat", "wide_sum", axis=1),
            node("Reshape", "deep", "deep_flat", leading_dim=len(slots) * dim),
            node("Concat", "deep_flat dense", "concat"),
            *mlp("concat", "fc", [*hidden, 1], last_relu=False),
            node("Add", f"fc{last} wide_sum", "logit"),
            node("BinaryCrossEntropyLoss", "logit label", "loss", **loss),
        ),
    )


def deepfm(
    slots: tuple[int, ...],
    dim: int = 10,
    dense: int = 13,
    nnz: int = 1,
    fixed: bool = True,
    hidden: tuple[int, ...] = (400, 400, 400),
    combiner: str = "sum",
    embedding_type: str = Embedding.type,
    **loss: Any,
) -> Declaration:
    n, last = len(slots), len(hidden) + 1
    return Declaration(
        "deepfm",
        dense,
        (SparseInput("data1", slots, nnz, fixed),),
        (Embedding("embedding", "data1", dim + 1, combiner, embedding_type),),
        (
            node("Reshape", "embedding", "rows", leading_dim=dim + 1),
            node("Slice", "rows", "factor linear", ranges=[(0, dim), (dim, dim + 1)]),
            node("Reshape", "factor", "factor_flat", leading_dim=n * dim),
            node("Reshape", "linear", "linear_flat", leading_dim=n),
            node("WeightMultiply", "dense", "dense_factor", weight_dims=[dense, dim]),
            node("WeightMultiply", "dense", "dense_linear", weight_dims=[dense, 1]),
            node("Concat", "factor_flat dense_factor", "factors"),
            *mlp("factors", "fc", [*hidden, 1], last_relu=False),
            node("FmOrder2", "factors", "fm", out_dim=dim),
            node("ReduceSum", "fm", "second_order", axis=1),
            node("Concat", "linear_flat dense_linear", "linears"),
            node("ReduceSum", "linears", "first_order", axis=1),
            node("Add", f"fc{last} first_order second_order", "logit"),
            node("BinaryCrossEntropyLoss", "logit label", "loss", **loss),
        ),
    )


def dcn(
    slots: tuple[int, ...],
    dim: int = 16,
    dense: int = 13,
    nnz: int = 1,
    fixed: bool = True,
    cross: int = 6,
    hidden: tuple[int, ...] = (1024, 1024),
    combiner: str = "sum",
    embedding_type: str = Embedding.type,
    **loss: Any,
) -> Declaration:
    return Declaration(
        "dcn",
        dense,
        (SparseInput("data1", slots, nnz, fixed),),
        (Embedding("embedding", "data1", dim, combiner, embedding_type),),
        (
            node("Reshape", "embedding", "flat", leading_dim=len(slots) * dim),
            node("Concat", "flat dense", "concat"),
            node("MultiCross", "concat", "cross", num_layers=cross),
            *mlp("concat", "fc", list(hidden)),
            node("Concat", f"fc_relu{len(hidden)} cross", "joined"),
            node("InnerProduct", "joined", "logit", num_output=1),
            node("BinaryCrossEntropyLoss", "logit label", "loss", **loss),
        ),
    )


def dlrm(
    slots: tuple[int, ...],
    dim: int = 128,
    dense: int = 13,
    nnz: int = 1,
    fixed: bool = True,
    bottom: tuple[int, ...] = (512, 256),
    top: tuple[int, ...] = (1024, 1024, 512, 256),
    combiner: str = "sum",
    embedding_type: str = Embedding.type,
    **loss: Any,
) -> Declaration:
    return Declaration(
        "dlrm",
        dense,
        (SparseInput("data1", slots, nnz, fixed),),
        (Embedding("embedding", "data1", dim, combiner, embedding_type),),
        (
            *mlp("dense", "bottom", [*bottom, dim]),
            node("Interaction", f"bottom_relu{len(bottom) + 1} embedding", "interaction"),
            *mlp("interaction", "top", [*top, 1], last_relu=False),
            node("BinaryCrossEntropyLoss", f"top{len(top) + 1} label", "loss", **loss),
        ),
    )
