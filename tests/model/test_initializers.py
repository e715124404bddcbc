# SPDX-License-Identifier: Apache-2.0
"""Initial weights with a number, from Python to the weights, into a graph file and back."""

from __future__ import annotations

import json
from dataclasses import replace

import hugectr
import numpy as np
from harness import training
from harness.declaration import node
from harness.reference_optimizers import Optimizer
from hugectr import Initializer, Initializer_t
from model.tiny import tiny, tiny_data

HALF = Initializer(Initializer_t.Constant, 0.5)
NARROW = Initializer(Initializer_t.Normal, 1e-4)


def dense_weights(model: hugectr.Model, prefix: str) -> np.ndarray:
    model.save_params_to_files(prefix)
    return np.fromfile(f"{prefix}_dense_0.model", "<f4")


def test_from_python_through_a_graph_file(tmp_path):
    layer = node("InnerProduct", "dense", "x", num_output=600, weight_init_type=NARROW, bias_init_type=HALF)
    made = tiny(dense_nodes=(layer,))
    source = tiny_data(tmp_path, made)
    model = training.create_model(made, Optimizer("SGD"), source, batch_size=4)
    model.graph_to_json(tmp_path / "graph.json")
    written = json.loads((tmp_path / "graph.json").read_text())["layers"][2]
    assert written["fc_param"] == {"num_output": 600, "weight_init": "Normal(0.0001)", "bias_init": "Constant(0.5)"}

    again = training.create_model(
        replace(made, embeddings=(), nodes=()), Optimizer("SGD"), source, batch_size=4, compile=False, add_input=False
    )
    again.construct_from_json(tmp_path / "graph.json", True)
    again.compile()
    weights = dense_weights(model, str(tmp_path / "first"))
    assert abs(weights[:1200].std() / 1e-4 - 1) < 0.1
    assert (weights[1200:1800] == 0.5).all()
    np.testing.assert_array_equal(dense_weights(again, str(tmp_path / "second")), weights)
