# SPDX-License-Identifier: Apache-2.0
"""Dropout trains as the NumPy reference does, which draws its masks by itself: on any number of ranks, after a Reshape
to other rows, with layers around it fused or not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from harness.declaration import Declaration, node
from harness.reference_optimizers import Optimizer
from model.small_models import small
from model.test_against_numpy import compare

NAME = "dropped"


def with_dropout(rows: int | None, second_reader: bool = False) -> Declaration:
    """Half of the first ReLU's 16 columns are dropped, seen as rows of `rows` columns.

    A second reader of what the ReLU takes keeps it apart from the product before it.
    """
    declaration = small("dcn")
    first = next(i for i, n in enumerate(declaration.nodes) if n.type == "ReLU")
    relu = declaration.nodes[first]
    before = [replace(relu, tops=("before",))]
    if second_reader:
        before = [
            node("Sigmoid", relu.bottoms[0], "gate"),
            *before,
            node("Add", "before gate", "gated"),
        ]
    bottom = before[-1].tops[0]
    if rows:
        nodes = [
            node("Reshape", bottom, "rows", leading_dim=rows),
            node("Dropout", "rows", NAME, dropout_rate=0.5),
            node("Reshape", NAME, relu.tops[0], leading_dim=16),
        ]
    else:
        nodes = [node("Dropout", bottom, relu.tops[0], dropout_rate=0.5)]
    return replace(declaration, nodes=(*declaration.nodes[:first], *before, *nodes, *declaration.nodes[first + 1 :]))


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("rows", [None, 4, 8])
def test_masks(rows, ranks, tmp_path):
    compare(tmp_path, with_dropout(rows), Optimizer("SGD"), 0.1, ranks=ranks)


@pytest.mark.parametrize("ranks", [1, 2])
def test_masks_without_fusion(ranks, tmp_path):
    compare(tmp_path, with_dropout(4, second_reader=True), Optimizer("SGD"), 0.1, ranks=ranks)


def test_the_reference_drops_about_half(tmp_path):
    from harness.reference_layers import Dropout

    layer = Dropout(dropout_rate=0.5)
    layer.name, layer.batch = NAME, 500
    y = layer.forward([], [np.ones((1000, 8))])[0]
    assert 0.4 < (y == 0).mean() < 0.6 and set(np.unique(y)) == {0, 2}
