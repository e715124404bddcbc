# SPDX-License-Identifier: Apache-2.0
"""The four benchmark models through the library's public interface."""

from __future__ import annotations

from typing import Any

import hugectr
import workload
from hugectr import Layer_t


def create(
    name: str,
    source: str,
    reader: dict[str, Any],
    batch_size: int,
    optimizer: str,
    ranks: int = 1,
    keys: int = workload.KEYS,
    **options: Any,
) -> hugectr.Model:
    """A compiled model that reads ``source``, a data set of :mod:`sources` with up to so many keys; further options
    go to the solver."""
    solver = hugectr.CreateSolver(
        batchsize=batch_size,
        batchsize_eval=batch_size,
        vvgpu=[list(range(ranks))],
        lr=0.01,
        seed=1,
        i64_input_key=reader["data_reader_type"] == hugectr.DataReaderType_t.Parquet,
        **options,
    )
    params = hugectr.DataReaderParams(source=[source], eval_source=source, check_type=hugectr.Check_t.Non, **reader)
    rule = hugectr.CreateOptimizer(getattr(hugectr.Optimizer_t, optimizer), update_type=hugectr.Update_t.Local)
    model = hugectr.Model(solver, params, rule)
    model.add(
        hugectr.Input(
            1, "label", workload.DENSE, "dense", [hugectr.DataReaderSparseParam("data", 1, True, workload.SLOTS)]
        )
    )
    {"wdl": wide_and_deep, "dcn": dcn, "deepfm": deepfm, "dlrm": dlrm, "dlrm_one_hot": dlrm_one_hot}[name](model, keys)
    model.compile()
    return model


def embedding(model: hugectr.Model, keys: int, dim: int, name: str = "embedding") -> None:
    rows = keys * 1.01
    model.add(
        hugectr.SparseEmbedding(
            hugectr.Embedding_t.DistributedSlotSparseEmbeddingHash,
            embedding_vec_size=dim,
            combiner="sum",
            workspace_size_per_gpu_in_mb=int(rows * dim * 4 * 3 / 2**20) + 1,  # room for Adam's states
            sparse_embedding_name=name,
            bottom_name="data",
        )
    )


def layer(model: hugectr.Model, kind: Layer_t, bottoms: str, tops: str, **args: object) -> None:
    model.add(hugectr.DenseLayer(kind, bottoms.split(), tops.split(), **args))


def mlp(model: hugectr.Model, bottom: str, prefix: str, widths: list[int]) -> str:
    """InnerProduct and ReLU in turn; returns the last tensor."""
    for i, width in enumerate(widths, 1):
        layer(model, Layer_t.InnerProduct, bottom, f"{prefix}{i}", num_output=width)
        bottom = f"{prefix}_relu{i}"
        layer(model, Layer_t.ReLU, f"{prefix}{i}", bottom)
    return bottom


def wide_and_deep(model: hugectr.Model, keys: int) -> None:
    embedding(model, keys, 16)
    embedding(model, keys, 1, "wide")
    layer(model, Layer_t.Reshape, "embedding", "deep", leading_dim=26 * 16)
    layer(model, Layer_t.Concat, "deep dense", "concat")
    last = mlp(model, "concat", "fc", [1024, 1024])
    layer(model, Layer_t.InnerProduct, last, "deep_logit", num_output=1)
    layer(model, Layer_t.Reshape, "wide", "wide_flat", leading_dim=26)
    layer(model, Layer_t.ReduceSum, "wide_flat", "wide_logit", axis=1)
    layer(model, Layer_t.Add, "deep_logit wide_logit", "logit")
    layer(model, Layer_t.BinaryCrossEntropyLoss, "logit label", "loss")


def dcn(model: hugectr.Model, keys: int) -> None:
    embedding(model, keys, 16)
    layer(model, Layer_t.Reshape, "embedding", "flat", leading_dim=26 * 16)
    layer(model, Layer_t.Concat, "flat dense", "concat")
    layer(model, Layer_t.MultiCross, "concat", "cross", num_layers=6)
    last = mlp(model, "concat", "fc", [1024, 1024])
    layer(model, Layer_t.Concat, f"{last} cross", "joined")
    layer(model, Layer_t.InnerProduct, "joined", "logit", num_output=1)
    layer(model, Layer_t.BinaryCrossEntropyLoss, "logit label", "loss")


def deepfm(model: hugectr.Model, keys: int) -> None:
    embedding(model, keys, 11)
    layer(model, Layer_t.Reshape, "embedding", "rows", leading_dim=11)
    layer(model, Layer_t.Slice, "rows", "factor_rows linear_rows", ranges=[(0, 10), (10, 11)])
    layer(model, Layer_t.Reshape, "factor_rows", "factors", leading_dim=260)
    layer(model, Layer_t.Reshape, "linear_rows", "linear", leading_dim=26)
    layer(model, Layer_t.Concat, "factors dense", "concat")
    last = mlp(model, "concat", "fc", [400, 400, 400])
    layer(model, Layer_t.InnerProduct, last, "deep_logit", num_output=1)
    layer(model, Layer_t.FmOrder2, "factors", "fm", out_dim=10)
    layer(model, Layer_t.ReduceSum, "fm", "fm_logit", axis=1)
    layer(model, Layer_t.ReduceSum, "linear", "linear_logit", axis=1)
    layer(model, Layer_t.Add, "deep_logit fm_logit linear_logit", "logit")
    layer(model, Layer_t.BinaryCrossEntropyLoss, "logit label", "loss")


def dlrm(model: hugectr.Model, keys: int) -> None:
    embedding(model, keys, 128)
    dlrm_layers(model)


def dlrm_one_hot(model: hugectr.Model, _: int) -> None:
    """Keys count from 0 in each slot; rows are their own index."""
    model.add(
        hugectr.SparseEmbedding(
            hugectr.Embedding_t.LocalizedSlotSparseEmbeddingOneHot,
            embedding_vec_size=128,
            combiner="sum",
            slot_size_array=[workload.ONE_HOT_SLOT_SIZE] * workload.SLOTS,
            sparse_embedding_name="embedding",
            bottom_name="data",
            optimizer=hugectr.CreateOptimizer(hugectr.Optimizer_t.SGD, atomic_update=True),
        )
    )
    dlrm_layers(model)


def dlrm_layers(model: hugectr.Model) -> None:
    last = mlp(model, "dense", "bottom", [512, 256, 128])
    layer(model, Layer_t.Interaction, f"{last} embedding", "interaction")
    last = mlp(model, "interaction", "top", [1024, 1024, 512, 256])
    layer(model, Layer_t.InnerProduct, last, "logit", num_output=1)
    layer(model, Layer_t.BinaryCrossEntropyLoss, "logit label", "loss")
