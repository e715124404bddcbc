# SPDX-License-Identifier: Apache-2.0
"""Concat, Slice and Reshape move nothing where what they join or cut can lie in one place: what is left is named."""

from __future__ import annotations

import sys
from pathlib import Path

import hugectr
import pytest
from harness import training
from harness.declaration import Declaration, Embedding, Node, SparseInput, dcn, deepfm, dlrm, node, wide_and_deep
from harness.reference_optimizers import Optimizer
from hugectr._core.testing import column_copies, plan_bytes

SLOTS = (9,) * 26


def copies(declaration: Declaration, like_gpu: bool) -> list[str]:
    model = training.create_model(declaration, Optimizer("SGD"), "unread", batch_size=64, compile=False)
    return column_copies(model._graph.text(), like_gpu=like_gpu)


def network(*nodes: Node) -> Declaration:
    """Over an embedding "e" [batch, 3, 4] and a dense input of 5, ending in "logit"."""
    loss = node("BinaryCrossEntropyLoss", "logit label", "loss")
    return Declaration("net", 5, (SparseInput("data1", (9, 5, 7)),), (Embedding("e", "data1", 4),), (*nodes, loss))


@pytest.mark.parametrize("like_gpu", [False, True])
@pytest.mark.parametrize(
    "declaration",
    [dcn(SLOTS), wide_and_deep(SLOTS, SparseInput("wide_data", (9,) * 2)), dlrm(SLOTS)],
    ids=lambda d: d.name,
)
def test_nothing_is_copied(declaration, like_gpu):
    assert copies(declaration, like_gpu) == []


@pytest.mark.parametrize("like_gpu", [False, True])
def test_deepfm_cuts_the_vectors_of_its_embedding(like_gpu):
    """An embedding writes whole vectors, of which the model wants one part here and one there: one copy each way."""
    taken = "part of another tensor already"
    assert copies(deepfm(SLOTS), like_gpu) == [
        f'Slice: "factor": it is {taken}',
        f'Slice: "linear": it is {taken}',
        'Slice: gradient of "factor": its values are copied',
        'Slice: gradient of "linear": its values are copied',
    ]


def test_who_takes_only_packed_rows_is_named():
    declaration = network(
        node("Reshape", "e", "flat", leading_dim=12),
        node("Dropout", "flat", "dropped"),
        node("Concat", "flat dense", "x"),
        node("InnerProduct", "x", "a", num_output=3),
        node("InnerProduct", "dropped", "b", num_output=3),
        node("Add", "a b", "c"),
        node("ReduceSum", "c", "logit", axis=1),
    )
    lines = copies(declaration, False)
    assert len(lines) == 2
    assert lines[0].startswith('Concat: "flat": layer "dropped" (Dropout)')
    assert lines[0].endswith("takes it packed")
    assert lines[1].startswith('Concat: gradient of "flat"')


def test_a_tensor_lies_in_one_place_only():
    declaration = network(
        node("Reshape", "e", "flat", leading_dim=12),
        node("Concat", "flat dense flat", "twice"),
        node("InnerProduct", "twice", "a", num_output=3),
        node("Concat", "dense a", "again"),
        node("InnerProduct", "again", "b", num_output=3),
        node("Concat", "b again", "logits"),
        node("InnerProduct", "logits", "c", num_output=2),
        node("ReduceSum", "c", "logit", axis=1),
    )
    already = "it is part of another tensor already"
    assert [line for line in copies(declaration, False) if "gradient" not in line] == [
        f'Concat: "flat": {already}',
        f'Concat: "dense": {already}',
    ]


def test_gradients_are_summed_in_order_on_a_cpu():
    """A part that others read besides: a CPU keeps the order of sums, a GPU adds where the gradient lies."""
    declaration = network(
        node("Reshape", "e", "flat", leading_dim=12),
        node("Concat", "flat dense", "x"),
        node("InnerProduct", "x", "a", num_output=3),
        node("InnerProduct", "flat", "b", num_output=3),
        node("Add", "a b", "c"),
        node("ReduceSum", "c", "logit", axis=1),
    )
    assert copies(declaration, False) == ['Concat: gradient of "flat": its sum would be taken in another order']
    assert copies(declaration, True) == []


def benchmark_model(name: str, batch_size: int) -> hugectr.Model:
    """One of the models of benchmarks/train, not compiled."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks/train"))
    import models

    solver = hugectr.CreateSolver(batchsize=batch_size, batchsize_eval=batch_size)
    params = hugectr.DataReaderParams(
        hugectr.DataReaderType_t.Norm, source=["unread"], eval_source="unread", check_type=hugectr.Check_t.Non
    )
    model = hugectr.Model(solver, params, hugectr.CreateOptimizer(hugectr.Optimizer_t.Adam))
    sparse = hugectr.DataReaderSparseParam("data", 1, True, 26)
    model.add(hugectr.Input(1, "label", 13, "dense", [sparse]))
    getattr(models, name)(model, 1000)
    return model


@pytest.mark.parametrize("name", ["dlrm", "dcn", "wide_and_deep", "deepfm"])
def test_forward_alone_takes_a_part_of_the_memory(name):
    """Of what training takes at batch 1,024 beside tables."""
    text = benchmark_model(name, 1024)._graph.text()
    training, forward = plan_bytes(text, training=True), plan_bytes(text, training=False)
    assert forward["gradients"] == forward["training"] == 0
    assert sum(forward.values()) <= 0.45 * sum(training.values())
    if name == "dlrm":  # also without the weights
        assert forward["activations"] <= 0.3 * (training["activations"] + training["gradients"])
