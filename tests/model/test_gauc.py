# SPDX-License-Identifier: Apache-2.0
"""GAUC of a model is that of its predictions, grouped by the key of the slot that the solver names."""

from __future__ import annotations

import hugectr
import numpy as np
import pytest
from harness import reference, training
from harness.declaration import Declaration, Embedding, SparseInput, node
from harness.reference_optimizers import Optimizer
from sklearn.metrics import roc_auc_score

BATCH, METRICS = 64, {hugectr.MetricsType.GAUC: 0.0}
MODEL = Declaration(
    "grouped",
    3,
    (SparseInput("other", (4,)), SparseInput("data1", (9, 7), nnz=2, fixed=False)),
    (Embedding("first", "other", 4), Embedding("embedding", "data1", 4)),
    (
        node("Reshape", "first", "one", leading_dim=4),
        node("Reshape", "embedding", "two", leading_dim=8),
        node("Concat", "one two dense", "all"),
        node("InnerProduct", "all", "logit", num_output=1),
        node("BinaryCrossEntropyLoss", "logit label", "loss"),
    ),
)


def first_key(batch: reference.Batch, slot: int) -> list[int | None]:
    """Of each sample in a slot of "data1"; None where it is empty."""
    bags = batch.sparse["data1"]
    rows = range(slot, len(batch.label) * bags.slots, bags.slots)
    return [int(bags.keys[bags.offsets[r]]) if bags.offsets[r] < bags.offsets[r + 1] else None for r in rows]


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("slot", [0, 1])
def test_value(ranks, slot, tmp_path):
    rng = np.random.default_rng(3)
    batches = [reference.random_batch(MODEL, size, rng) for size in (BATCH, BATCH, 21)]
    source = training.write_norm(tmp_path, MODEL, batches)
    model = training.create_model(
        MODEL, Optimizer("SGD"), source, batch_size=BATCH, ranks=ranks, metrics_spec=METRICS, gauc_input="data1",
        gauc_slot=slot, repeat_dataset=False,
    )  # fmt: skip
    model.get_data_reader_eval().set_source(source)
    while model.eval():
        model.export_predictions(tmp_path / "predictions", tmp_path / "labels")
    scores, labels = np.loadtxt(tmp_path / "predictions"), np.loadtxt(tmp_path / "labels")
    groups = np.array([-1 if key is None else key for batch in batches for key in first_key(batch, slot)])
    assert (groups == -1).any()
    total = count = 0.0
    for group in set(groups) - {-1}:
        inside = groups == group
        if len(set(labels[inside])) == 2:
            total += inside.sum() * roc_auc_score(labels[inside], scores[inside])
            count += inside.sum()
    assert dict(model.get_eval_metrics())["GAUC"] == pytest.approx(total / count, abs=1e-3)  # of printed scores


def test_wrong_arguments(tmp_path):
    source = training.write_norm(tmp_path, MODEL, [reference.random_batch(MODEL, BATCH, np.random.default_rng(3))])
    for given, message in (
        ({"gauc_input": "data"}, 'unknown sparse input of gauc_input "data"; did you mean "data1"'),
        ({"gauc_input": "data1", "gauc_slot": 2}, 'gauc_slot 2 is outside the 2 slots of "data1"'),
        ({}, "GAUC needs a gauc_input"),
        ({"gauc_input": "data1", "gauc_slot": -1}, "gauc_slot must not be negative, got -1"),
    ):
        with pytest.raises((ValueError, KeyError), match=message):
            training.create_model(MODEL, Optimizer("SGD"), source, batch_size=BATCH, metrics_spec=METRICS, **given)
