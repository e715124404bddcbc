# SPDX-License-Identifier: Apache-2.0
"""Every name of Layer_t builds, trains, is saved, comes back from its graph file, and then predicts the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hugectr
import numpy as np
import pytest
from harness import reference, training
from harness.declaration import Declaration, Embedding, SparseInput, node
from harness.reference_optimizers import Optimizer

BATCH, STEPS = 12, 3
EMBEDDING = ("e", (3, 4))  # beside "dense", of width 6
LOSSES = {"BinaryCrossEntropyLoss": 1, "CrossEntropyLoss": 2, "MultiCrossEntropyLoss": 1}  # columns of the prediction
CASES: dict[str, tuple[str, dict[str, Any]]] = {  # bottoms and keywords
    "Add": ("dense dense", {}),
    "BatchNorm": ("dense", {"factor": 0.5}),
    "Cast": ("dense", {}),
    "Concat": ("e e e", {"axis": 2}),
    "DotProduct": ("dense dense", {}),
    "Dropout": ("dense", {"dropout_rate": 0.25}),
    "ELU": ("dense", {"elu_alpha": 0.5}),
    "ElementWiseMultiply": ("e e", {}),
    "ElementwiseMultiply": ("dense dense dense", {}),
    "FmOrder2": ("dense", {"out_dim": 2}),
    "FusedInnerProduct": ("dense", {"num_output": 5}),
    "FusedReshapeConcat": ("e e", {}),
    "FusedReshapeConcatGeneral": ("e e", {}),
    "GRU": ("e", {"num_output": 5, "SeqLength": 3, "vector_size": 4}),
    "Gather": ("dense", {"indices": [*range(1, BATCH), 0]}),
    "InnerProduct": ("dense", {"num_output": 5}),
    "Interaction": ("four e", {}),
    "LayerNorm": ("e", {}),
    "MLP": ("dense", {"num_outputs": [5, 4]}),
    "MatrixMultiply": ("e square", {}),
    "MatrixMutiply": ("e square", {}),
    "MultiCross": ("dense", {"num_layers": 2, "projection_dim": 3}),
    "MultiHeadAttention": ("e e e mask", {"num_attention_heads": 2}),
    "Multiply": ("dense", {"weight_dims": [6, 2]}),
    "PReLU_Dice": ("dense", {"elu_alpha": 0.25}),
    "ReLU": ("dense", {}),
    "ReLUHalf": ("dense", {}),
    "ReduceMean": ("e", {"axis": 1}),
    "ReduceSum": ("e", {"axis": 2}),
    "Reshape": ("e", {"leading_dim": 2, "time_step": 6}),
    "Scale": ("dense", {"axis": 0, "factor": 2}),
    "Select": ("e", {"dim": 1, "index": [2, 0]}),
    "SequenceMask": ("one one", {"max_sequence_len_from": 2, "max_sequence_len_to": 3}),
    "Sigmoid": ("dense", {}),
    "Slice": ("dense", {"ranges": [(0, 3), (2, 6)]}),
    "Softmax": ("e", {"factor": 0.5}),
    "Sub": ("dense dense", {}),
    "WeightMultiply": ("dense", {"weight_dims": [6, 2]}),
    **dict.fromkeys(LOSSES, ("dense", {})),
}
TOPS = {"FusedReshapeConcat": "history last", "Slice": "left right"}


def declaration(name: str) -> Declaration:
    bottoms, keywords = CASES[name]
    loss = name if name in LOSSES else "BinaryCrossEntropyLoss"
    tops = TOPS.get(name, "x")
    layer = [] if name in LOSSES else [node(name, bottoms, tops, **keywords)]
    flat = [node("Reshape", top, f"{top}_flat", shape=[BATCH, -1]) for top in (tops.split() if layer else ["dense"])]
    return Declaration(
        name,
        6,
        (SparseInput("data1", (9, 7, 5)),),
        (Embedding("e", "data1", 4),),
        (
            node("InnerProduct", "dense", "four", num_output=4),
            node("InnerProduct", "dense", "sixteen", num_output=16),
            node("Reshape", "sixteen", "square", leading_dim=4, time_step=4),
            node("Slice", "dense", "one", ranges=[(0, 1)]),
            node("SequenceMask", "one one", "mask", max_sequence_len_from=3, max_sequence_len_to=3),
            *layer,
            *flat,
            node("Reshape", "e", "e_flat", leading_dim=12),
            node("Reshape", "mask", "mask_flat", leading_dim=9),
            node("Reshape", "square", "square_flat", leading_dim=16),
            node("Concat", " ".join([*(f.tops[0] for f in flat), "e_flat", "mask_flat", "square_flat", "four"]), "all"),
            node("InnerProduct", "all", "logit", num_output=LOSSES[loss]),
            node(loss, "logit label", "loss"),
        ),
    )


def predictions(model: hugectr.Model, folder: Path) -> np.ndarray:
    """Of the first batch."""
    model.start_data_reading()
    assert model.eval()
    file = folder / "predictions"
    file.unlink(missing_ok=True)
    model.export_predictions(file, folder / "labels")
    return np.loadtxt(file)


@pytest.mark.parametrize("name", hugectr.Layer_t.__members__)
def test_trains_and_comes_back(name, tmp_path):
    made, rng = declaration(name), np.random.default_rng(3)
    batches = [reference.random_batch(made, BATCH, rng) for _ in range(STEPS)]
    source = training.write_norm(tmp_path, made, batches)
    model = training.create_model(made, Optimizer("Adam"), source, batch_size=BATCH, lr=0.05)
    model.graph_to_json(tmp_path / "graph.json")
    before = predictions(model, tmp_path)
    losses = training.train(model, STEPS)
    assert np.isfinite(losses).all()
    model.save_params_to_files(str(tmp_path / "trained"))

    again = training.create_model(
        Declaration(name, 6, (), (), ()), Optimizer("Adam"), source, batch_size=BATCH, compile=False, add_input=False
    )
    again.construct_from_json(str(tmp_path / "graph.json"), True)
    again.compile()
    again.load_dense_weights(str(tmp_path / "trained_dense_0.model"))
    again.load_sparse_weights([str(tmp_path / "trained0_sparse_0.model")])
    same = training.create_model(made, Optimizer("Adam"), source, batch_size=BATCH, seed=7)
    same.load_dense_weights(str(tmp_path / "trained_dense_0.model"))
    same.load_sparse_weights([str(tmp_path / "trained0_sparse_0.model")])
    expected = predictions(same, tmp_path)
    np.testing.assert_array_equal(predictions(again, tmp_path), expected)
    assert np.abs(expected - before).max() > 0.01


def test_one_tensor_is_query_key_and_value(tmp_path):
    """Its gradient is the sum of three."""

    def trained(copies: bool) -> np.ndarray:
        copy = node("Slice", "e", "q k v", ranges=[(0, 4)] * 3)
        made = Declaration(
            "attention",
            6,
            (SparseInput("data1", (9, 7, 5)),),
            (Embedding("e", "data1", 4),),
            (
                *([copy] if copies else []),
                node("MultiHeadAttention", "q k v" if copies else "e e e", "y", num_attention_heads=2),
                node("Reshape", "y", "flat", leading_dim=12),
                node("InnerProduct", "flat", "logit", num_output=1),
                node("BinaryCrossEntropyLoss", "logit label", "loss"),
            ),
        )
        rng = np.random.default_rng(3)
        source = training.write_norm(tmp_path, made, [reference.random_batch(made, BATCH, rng) for _ in range(STEPS)])
        model = training.create_model(made, Optimizer("SGD"), source, batch_size=BATCH, lr=1.0)
        model.start_data_reading()
        training.train(model, STEPS)
        model.save_params_to_files(str(tmp_path / "trained"))
        return training.read_table(tmp_path / "trained0_sparse_0.model", 4)[1]

    once, thrice = trained(False), trained(True)
    np.testing.assert_allclose(once, thrice, rtol=0, atol=1e-6)
