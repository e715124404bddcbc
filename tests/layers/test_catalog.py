# SPDX-License-Identifier: Apache-2.0
"""What holds for the layer library as a whole."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from harness.ops import run
from hugectr._core import layer_catalog
from hugectr._core.testing import params_from_entry, params_round_trip

LAYERS = {layer["name"]: layer for layer in layer_catalog()}
CHANGED = {
    bool: True,
    int: 2,
    float: 0.9,
    str: {"pos_type": "Tail", "act_type": "None", "regularizer_type": "L2"},
    list: {
        "ranges": [(0, 2), (1, 3)],
        "target_weight_vec": [0.5, 2.0],
        "activations": ["None", "Relu"],
        "biases": [False, True],
    },
}


def changed(param):
    value = CHANGED[type(param["default"])]
    if isinstance(value, dict):
        return value.get(param["keyword"], "XavierUniform" if isinstance(param["default"], str) else [4, 2])
    return value


def test_sorted_and_documented():
    assert list(LAYERS) == sorted(LAYERS)
    names = [name for layer in LAYERS.values() for name in (layer["name"], *layer["aliases"])]
    assert len(names) == len(set(names))
    for layer in LAYERS.values():
        assert layer["doc"]
        assert all(param["doc"] for param in layer["params"])


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_has_a_test(name):
    file = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", name).lower()
    assert f'type = "{name}"' in (Path(__file__).parent / f"test_{file}.py").read_text()


@pytest.mark.parametrize("name", LAYERS)
def test_parameters_survive_the_graph_file(name):
    assert params_round_trip(name, {})[1]
    params = {p["keyword"]: changed(p) for p in LAYERS[name]["params"]}
    always = {k: v for k, v in params.items() if k not in ("selected", "loss_weight")}
    text, same = params_round_trip(name, always | ({"leading_dim": 3} if name == "Reshape" else {}))
    if name != "Reshape":  # which writes either slots or dimensions
        assert same, text
    for param in LAYERS[name]["params"]:
        if param["rule"] in ("always", "optional") and name != "Reshape":
            assert json.dumps(param["json_path"].split(".")[-1]) in text


def test_graph_file_keys():
    def entry(name, **keywords):
        return json.loads(params_round_trip(name, keywords)[0])

    assert entry("InnerProduct", num_output=5) == {"fc_param": {"num_output": 5}}
    assert entry("InnerProduct", num_output=5, bias_init_type="Zero") == {
        "fc_param": {"num_output": 5, "bias_init": "Zero"}
    }
    assert entry("FusedInnerProduct", act_type="Non") == {
        "fc_param": {"num_output": 1}, "position": "None", "activation": "None",
    }  # fmt: skip
    assert params_round_trip("Dropout", {"dropout_rate": 0.9})[0] == '{"rate":0.8999999761581421}'
    assert params_round_trip("BatchNorm", {})[0] == '{"bn_param":{"eps":9.999999747378752e-06,"factor":1.0}}'
    assert entry("Reshape", leading_dim=32) == {"leading_dim": 32, "time_step": 0}
    assert entry("Reshape", selected=True, selected_slots=[2, 0], leading_dim=7) == {"selected": [2, 0]}
    assert entry("BinaryCrossEntropyLoss", loss_weight=3.0) == {}
    assert entry("BinaryCrossEntropyLoss", use_regularizer=True, regularizer_type="L2", **{"lambda": 0.5}) == {
        "regularizer": "L2",
        "lambda": 0.5,
    }
    assert entry("MultiCrossEntropyLoss", target_weight_vec=[0.1]) == {"target_weight": [0.10000000149011612]}


def test_reading_older_files():
    assert params_from_entry("Dropout", {})["dropout_rate"] == 0.5
    assert params_from_entry("Dropout", {"rate": [0.25]})["dropout_rate"] == 0.25
    assert params_from_entry("Concat", {})["axis"] == 1
    assert params_from_entry("Reshape", {"leading_dim": 8})["time_step"] == 0
    assert params_from_entry("Reshape", {"selected": [1], "leading_dim": 8})["leading_dim"] == 0


@pytest.mark.parametrize(
    ("name", "entry", "message"),
    [
        ("InnerProduct", {}, 'InnerProduct: key "fc_param.num_output" is missing'),
        ("InnerProduct", {"fc_param": 3}, 'key "fc_param.num_output" is missing'),
        ("InnerProduct", {"fc_param": {"num_output": 1.5}}, "fc_param.num_output must be an integer, got 1.5"),
        ("Dropout", {"rate": [0.1, 0.2]}, r"rate must be a number, got \[0.1,0.2\]"),
        ("Slice", {"ranges": [[0]]}, r"ranges must be a list, each item a \[begin, end\) pair, got \[\[0\]\]"),
        ("CrossEntropyLoss", {"regularizer": "L1"}, 'key "lambda" is missing'),
    ],
)
def test_wrong_entries(name, entry, message):
    with pytest.raises(ValueError, match=message):
        params_from_entry(name, entry)


def test_unknown_names():
    with pytest.raises(KeyError, match='unknown layer type "Slize"; did you mean "Slice"'):
        run("Slize", [])
    with pytest.raises(KeyError, match='unknown initializer "Xavier"'):
        run("InnerProduct", [[[1.0]]], weight_init_type="Xavier")


def test_keywords_of_other_layers_have_no_effect_and_are_named_once(capsys):
    for _ in range(2):
        assert run("ReLU", [[[1.0]]], num_output="7")["outputs"][0] == 1
        assert run("Dropout", [[[1.0]]], axis=1, factor=2, dropout_rate=1)["outputs"][0] == 1
    lines = [line.split("]: ")[-1] for line in capsys.readouterr().out.splitlines() if "without effect" in line]
    assert lines == [
        "ReLU: without effect on this layer: num_output; it takes no keywords",
        "Dropout: without effect on this layer: axis, factor; it takes dropout_rate",
    ]
