# SPDX-License-Identifier: Apache-2.0
"""Wide & Deep, DeepFM and DCN for the Adult data: 25,000 to 31,000 parameters each."""

from __future__ import annotations

from typing import Any

import hugectr
from adult.prepare import NUMERIC, WIDE
from hugectr import Layer_t
from hugectr.tools import ParquetDataSet

BATCH_SIZE = 512
EPOCHS = 8
DIM = 8  # of an embedding vector
HIDDEN = [128, 64]


def build(name: str, train: ParquetDataSet, test: ParquetDataSet, seed: int, **options: Any) -> hugectr.Model:
    """A compiled model that is ready to train; further options go to the solver."""
    steps = EPOCHS * (train.num_rows // BATCH_SIZE + 2)  # the incomplete batch and the end of the data count too
    solver = hugectr.CreateSolver(
        model_name=name,
        seed=seed,
        lr=0.002,
        decay_start=steps // 2,
        decay_steps=steps // 2,
        decay_power=1,
        batchsize=BATCH_SIZE,
        batchsize_eval=test.num_rows,
        repeat_dataset=False,
        i64_input_key=True,
        metrics_spec={hugectr.MetricsType.AUC: 1.0, hugectr.MetricsType.AverageLoss: 0.0},
        **options,
    )
    reader = hugectr.DataReaderParams(
        data_reader_type=hugectr.DataReaderType_t.Parquet,
        source=[train.source],
        eval_source=test.source,
        slot_size_array=train.slot_size_array,
        check_type=hugectr.Check_t.Non,
    )
    optimizer = hugectr.CreateOptimizer(optimizer_type=hugectr.Optimizer_t.Adam, update_type=hugectr.Update_t.Local)
    model = hugectr.Model(solver, reader, optimizer)
    deep_slots = len(train.slot_size_array) - len(WIDE)
    model.add(
        hugectr.Input(
            label_dim=1,
            label_name="label",
            dense_dim=train.dense_dim,
            dense_name="dense",
            data_reader_sparse_param_array=[
                hugectr.DataReaderSparseParam("wide_data", 1, True, len(WIDE)),
                hugectr.DataReaderSparseParam("deep_data", 1, True, deep_slots),
            ],
        )
    )
    ADD_LAYERS[name](model, deep_slots)
    model.add(
        hugectr.DenseLayer(
            layer_type=Layer_t.BinaryCrossEntropyLoss, bottom_names=["logit", "label"], top_names=["loss"]
        )
    )
    model.compile()
    return model


def _wide_and_deep(model: hugectr.Model, slots: int) -> None:
    _embedding(model, "wide", "wide_data", 1)
    _dense(model, Layer_t.Reshape, ["wide"], ["wide_flat"], leading_dim=len(WIDE))
    _dense(model, Layer_t.ReduceSum, ["wide_flat"], ["wide_sum"], axis=1)
    _embedding(model, "deep", "deep_data", DIM)
    _dense(model, Layer_t.Reshape, ["deep"], ["deep_flat"], leading_dim=slots * DIM)
    _dense(model, Layer_t.Concat, ["deep_flat", "dense"], ["features"])
    top = _hidden_layers(model, "features")
    _dense(model, Layer_t.InnerProduct, [top], ["deep_logit"], num_output=1)
    _dense(model, Layer_t.Add, ["deep_logit", "wide_sum"], ["logit"])


def _deepfm(model: hugectr.Model, slots: int) -> None:
    # The last of the DIM + 1 values of a row is its first-order weight.
    _embedding(model, "embedding", "deep_data", DIM + 1)
    _dense(model, Layer_t.Reshape, ["embedding"], ["rows"], leading_dim=DIM + 1)
    _dense(model, Layer_t.Slice, ["rows"], ["factors", "weights"], ranges=[(0, DIM), (DIM, DIM + 1)])
    _dense(model, Layer_t.Reshape, ["factors"], ["factors_flat"], leading_dim=slots * DIM)
    _dense(model, Layer_t.Reshape, ["weights"], ["weights_flat"], leading_dim=slots)
    _dense(model, Layer_t.WeightMultiply, ["dense"], ["dense_factors"], weight_dims=[len(NUMERIC), DIM])
    _dense(model, Layer_t.WeightMultiply, ["dense"], ["dense_weights"], weight_dims=[len(NUMERIC), 1])
    _dense(model, Layer_t.Concat, ["factors_flat", "dense_factors"], ["all_factors"])
    _dense(model, Layer_t.Concat, ["weights_flat", "dense_weights"], ["all_weights"])
    _dense(model, Layer_t.ReduceSum, ["all_weights"], ["first_order"], axis=1)
    _dense(model, Layer_t.FmOrder2, ["all_factors"], ["pairs"], out_dim=DIM)
    _dense(model, Layer_t.ReduceSum, ["pairs"], ["second_order"], axis=1)
    top = _hidden_layers(model, "all_factors")
    _dense(model, Layer_t.InnerProduct, [top], ["deep_logit"], num_output=1)
    _dense(model, Layer_t.Add, ["deep_logit", "first_order", "second_order"], ["logit"])


def _dcn(model: hugectr.Model, slots: int) -> None:
    _embedding(model, "embedding", "deep_data", DIM)
    _dense(model, Layer_t.Reshape, ["embedding"], ["embedding_flat"], leading_dim=slots * DIM)
    _dense(model, Layer_t.Concat, ["embedding_flat", "dense"], ["features"])
    _dense(model, Layer_t.MultiCross, ["features"], ["crosses"], num_layers=2)
    top = _hidden_layers(model, "features")
    _dense(model, Layer_t.Concat, [top, "crosses"], ["joined"])
    _dense(model, Layer_t.InnerProduct, ["joined"], ["logit"], num_output=1)


ADD_LAYERS = {"Wide & Deep": _wide_and_deep, "DeepFM": _deepfm, "DCN": _dcn}


def _embedding(model: hugectr.Model, name: str, bottom: str, dim: int) -> None:
    model.add(
        hugectr.SparseEmbedding(
            embedding_type=hugectr.Embedding_t.DistributedSlotSparseEmbeddingHash,
            workspace_size_per_gpu_in_mb=1,
            embedding_vec_size=dim,
            combiner="sum",
            sparse_embedding_name=name,
            bottom_name=bottom,
        )
    )


def _dense(model: hugectr.Model, layer_type: Layer_t, bottoms: list[str], tops: list[str], **options: Any) -> None:
    model.add(hugectr.DenseLayer(layer_type=layer_type, bottom_names=bottoms, top_names=tops, **options))


def _hidden_layers(model: hugectr.Model, bottom: str) -> str:
    """InnerProduct, ReLU and Dropout for each hidden layer; returns the last tensor."""
    for i, width in enumerate(HIDDEN, 1):
        _dense(model, Layer_t.InnerProduct, [bottom], [f"fc{i}"], num_output=width)
        _dense(model, Layer_t.ReLU, [f"fc{i}"], [f"relu{i}"])
        _dense(model, Layer_t.Dropout, [f"relu{i}"], [f"dropout{i}"], dropout_rate=0.3)
        bottom = f"dropout{i}"
    return bottom
