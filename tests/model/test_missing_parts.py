# SPDX-License-Identifier: Apache-2.0
"""Members of the enumerations that are not there yet say so by name, from Python and from a graph file."""

from __future__ import annotations

import json
from dataclasses import replace

import hugectr
import pytest
from harness import training
from harness.reference_optimizers import Optimizer
from hugectr._core import layer_catalog
from model.tiny import tiny, tiny_data

CATALOG = {name for layer in layer_catalog() for name in (layer["name"], *layer["aliases"])}
LAYERS = [member.name for member in hugectr.Layer_t if member.name not in CATALOG]


def bare(add_input=True):
    declaration = replace(tiny(), embeddings=(), nodes=())
    return training.create_model(
        declaration, Optimizer("SGD"), "none", batch_size=4, compile=False, add_input=add_input
    )


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    with pytest.raises(NotImplementedError, match=f'layer "x" .*: layer {name} is not supported yet'):
        bare().add(hugectr.DenseLayer(hugectr.Layer_t[name], ["dense"], ["x"]))


@pytest.mark.parametrize("name", LAYERS[:1])
def test_in_a_graph_file(name, tmp_path):
    graph = tmp_path / "graph.json"
    training.create_model(tiny(), Optimizer("SGD"), tiny_data(tmp_path, tiny()), batch_size=4).graph_to_json(str(graph))
    document = json.loads(graph.read_text())
    document["layers"][2]["type"] = name
    graph.write_text(json.dumps(document))
    with pytest.raises(NotImplementedError, match=rf"graph.json: .*layers\[2\]\S*: .*{name} is not supported yet"):
        bare(add_input=False).construct_from_json(str(graph), True)
