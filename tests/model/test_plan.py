# SPDX-License-Identifier: Apache-2.0
"""Concat, Slice and Reshape move nothing where what they join or cut can lie in one place: what is left is named."""

from __future__ import annotations

import pytest
from harness import training
from harness.declaration import Declaration, Embedding, Node, SparseInput, dcn, deepfm, dlrm, node, wide_and_deep
from harness.reference_optimizers import Optimizer
from hugectr._core.testing import column_copies

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
