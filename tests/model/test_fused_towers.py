# SPDX-License-Identifier: Apache-2.0
"""The MLPerf way of writing a DLRM: towers whose layers hand each other extra tensors, which hold nothing here."""

from __future__ import annotations

import json
from dataclasses import replace

import hugectr
import numpy as np
import pytest
from harness import reference, training
from harness.declaration import Declaration, Node, node
from harness.reference_optimizers import Optimizer
from model.small_models import small

Position = hugectr.FcPosition_t


def names(prefix: str) -> str:
    return " ".join(f"{prefix}{i}" for i in range(1, 5))


def fused(bottoms: str, tops: str, num_output: int, position: Position = Position.Non, relu: bool = True) -> Node:
    activation = hugectr.Activation_t.Relu if relu else hugectr.Activation_t.Non
    return node("FusedInnerProduct", bottoms, tops, num_output=num_output, pos_type=position, act_type=activation)


def towers(chained: bool) -> Declaration:
    """A DLRM with each tensor under one name, or with the four names a chain has in MLPerf scripts."""

    def chain(prefix: str) -> str:
        return names(prefix) if chained else f"{prefix}1"

    def at(position: Position) -> Position:
        return position if chained else Position.Non

    declaration = small("dlrm")
    nodes = (
        fused("dense", chain("a"), 8, at(Position.Head)),
        fused(chain("a"), chain("b"), 8, at(Position.Body)),
        fused(chain("b"), "c", 8, at(Position.Tail)),
        node("Interaction", f"c {declaration.embeddings[0].name}", "i i_grad" if chained else "i"),
        fused("i i_grad" if chained else "i", chain("d"), 8, at(Position.Head)),
        fused(chain("d"), "logit", 1, at(Position.Tail), relu=False),
        node("BinaryCrossEntropyLoss", "logit label", "loss"),
    )
    return replace(declaration, nodes=nodes)


def create(folder, declaration, **options):
    rng = np.random.default_rng(1)
    source = training.write_norm(folder, declaration, [reference.random_batch(declaration, 16, rng) for _ in range(3)])
    return training.create_model(declaration, Optimizer("SGD"), source, batch_size=16, lr=0.1, **options)


def losses(model):
    model.start_data_reading()
    return training.train(model, 6)


def test_further_names_change_nothing(tmp_path):
    want = losses(create(tmp_path / "plain", towers(chained=False)))
    model = create(tmp_path / "chained", towers(chained=True))
    assert losses(model) == want
    model.graph_to_json(str(tmp_path / "graph.json"))
    layers = json.loads((tmp_path / "graph.json").read_text())["layers"]
    assert [n["position"] for n in layers if n.get("top") == ["b1", "b2", "b3", "b4"]] == ["Body"]
    assert [n["top"] for n in layers if n["type"] == "Interaction"] == [["i", "i_grad"]]

    empty = replace(towers(chained=True), embeddings=(), nodes=())
    again = create(tmp_path / "again", empty, compile=False, add_input=False)
    again.construct_from_json(str(tmp_path / "graph.json"), True)
    again.compile()
    again.summary()
    again.graph_to_json(str(tmp_path / "again.json"))
    assert (tmp_path / "again.json").read_text() == (tmp_path / "graph.json").read_text()


def test_a_group_takes_both_outputs_of_an_interaction(tmp_path):
    declaration = towers(chained=True)
    model = create(tmp_path, replace(declaration, nodes=declaration.nodes[:4]), compile=False)
    model.add(
        hugectr.GroupDenseLayer(
            hugectr.GroupFusedInnerProduct, ["i", "i_grad"], ["d1", "logit"], [8, 1], hugectr.Activation_t.Non
        )
    )
    training.add_layers(model, declaration.nodes[-1:])
    model.compile()
    assert losses(model) == losses(create(tmp_path / "plain", towers(chained=False)))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (fused("dense nowhere", "x", 4), 'unknown bottom of layer "x".*"nowhere"'),
        (fused("dense", "x dense", 4), '"dense" is both bottom and top'),
        (fused("dense", "x label", 4), '"label" is defined twice'),
        (fused("dense", "x y z u v", 4), "has 1 outputs but 5 top names"),
        (node("InnerProduct", "dense", "x y", num_output=4), "has 1 outputs but 2 top names"),
    ],
)
def test_names_are_still_checked(layer, message, tmp_path):
    model = create(tmp_path, replace(towers(True), embeddings=(), nodes=()), compile=False)
    with pytest.raises(RuntimeError, match=message):
        training.add_layers(model, [layer])
