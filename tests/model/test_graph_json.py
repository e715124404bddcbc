# SPDX-License-Identifier: Apache-2.0
"""Graph files: the worked example byte for byte, and models that train the same after a round trip."""

from __future__ import annotations

import json
from dataclasses import replace

import hugectr
import numpy as np
import pytest
from harness import reference, training
from harness.declaration import Embedding, node
from harness.reference_optimizers import Optimizer
from hugectr import _core
from model.small_models import MODELS, small
from model.tiny import tiny, tiny_data

WORKED = """    {
      "bottom": "data1",
      "optimizer": {
        "adam_hparam": {
          "beta1": 0.8999999761581421,
          "beta2": 0.9990000128746033,
          "epsilon": 1.0000000116860974e-07
        },
        "type": "Adam",
        "update_type": "Global"
      },
      "sparse_embedding_hparam": {
        "combiner": "sum",
        "embedding_vec_size": 16,
        "max_vocabulary_size_global": 136533,
        "workspace_size_per_gpu_in_mb": 25
      },
      "top": "sparse_embedding1",
      "type": "DistributedSlotSparseEmbeddingHash"
    },
    {
      "bottom": "sparse_embedding1",
      "leading_dim": 32,
      "time_step": 0,
      "top": "reshape1",
      "type": "Reshape"
    },
"""


def test_worked_example(tmp_path):
    nodes = (
        node("Reshape", "sparse_embedding1", "reshape1", leading_dim=32),
        node("Concat", "reshape1 dense", "concat1"),
        node("InnerProduct", "concat1", "fc1", num_output=1),
        node("BinaryCrossEntropyLoss", "fc1 label", "loss"),
    )
    declaration = replace(
        tiny(), embeddings=(Embedding("sparse_embedding1", "data1", 16, workspace_mb=25),), nodes=nodes
    )
    source = tiny_data(tmp_path, declaration)
    for compile in (True, False):
        model = training.create_model(
            declaration, Optimizer("Adam"), source, batch_size=4, model_name="demo", compile=compile
        )
        model.graph_to_json(str(tmp_path / "graph.json"))
        text = (tmp_path / "graph.json").read_text()
        assert WORKED in text
        assert text.endswith('  ],\n  "model_name": "demo"\n}')
        graph = json.loads(text)
        assert text == json.dumps(graph, indent=2, sort_keys=True, ensure_ascii=False)
        assert graph["layers"][0] == {
            "type": "Data",
            "label": {"top": "label", "label_dim": 1},
            "dense": {"top": "dense", "dense_dim": 2},
            "sparse": [
                {
                    "top": "data1",
                    "type": "DistributedSlot",
                    "nnz_per_slot": [1, 1],
                    "is_fixed_length": True,
                    "slot_num": 2,
                }
            ],
        }
        assert graph["layers"][3:] == [
            {"type": "Concat", "bottom": ["reshape1", "dense"], "top": "concat1", "axis": 1},
            {"type": "InnerProduct", "bottom": "concat1", "top": "fc1", "fc_param": {"num_output": 1}},
            {"type": "BinaryCrossEntropyLoss", "bottom": ["fc1", "label"], "top": "loss"},
        ]


OPTIMIZERS = {
    "AdaGrad": ({"initial_accu_value": 0.5}, "adagrad_hparam", {"initial_accu_value": 0.5, "epsilon": 1e-7}),
    "MomentumSGD": ({"momentum_factor": 0.75}, "momentum_sgd_hparam", {"momentum_factor": 0.75}),
    "Nesterov": ({"momentum_factor": 0.75}, "nesterov_hparam", {"momentum_factor": 0.75}),
    "Ftrl": (
        {"beta": 0.5, "lambda1": 0.25, "lambda2": 0.125},
        "ftrl_hparam",
        {"beta": 0.5, "lambda1": 0.25, "lambda2": 0.125},
    ),
    "RMSProp": ({"beta": 0.75}, "rmsprop_hparam", {"beta": 0.75, "epsilon": 1e-7}),
    "SGD": ({}, "sgd_hparam", {"atomic_update": True}),
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_optimizer_entries(kind, tmp_path):
    arguments, key, members = OPTIMIZERS[kind]
    model = training.create_model(
        tiny(), Optimizer(kind, "Local", **arguments), tiny_data(tmp_path, tiny()), batch_size=4
    )
    model.graph_to_json(str(tmp_path / "graph.json"))
    optimizer = json.loads((tmp_path / "graph.json").read_text())["layers"][1]["optimizer"]
    want = {k: float(np.float32(v)) if isinstance(v, float) else v for k, v in members.items()}
    assert optimizer == {"type": kind, "update_type": "Local", key: want}


def test_shared_tensors_show_slices(tmp_path, capfd):
    """DeepFM's tensor with two consumers gets the copies that earlier releases needed."""
    declaration = small("deepfm")
    rng = np.random.default_rng(1)
    source = training.write_norm(tmp_path, declaration, [reference.random_batch(declaration, 8, rng)])
    model = training.create_model(declaration, Optimizer("SGD"), source, batch_size=8)
    assert "Add Slice layer for tensor: factors, creating 2 copies\n" in capfd.readouterr().out
    model.graph_to_json(str(tmp_path / "graph.json"))
    layers = json.loads((tmp_path / "graph.json").read_text())["layers"]
    factors = next(i for i, n in enumerate(layers) if n.get("top") == "factors")
    width = 4 * (4 + 5)
    assert layers[factors + 1] == {
        "type": "Slice",
        "bottom": "factors",
        "top": ["factors_slice0", "factors_slice1"],
        "ranges": [[0, width], [0, width]],
    }
    assert layers[factors + 2]["bottom"] == "factors_slice0"
    assert next(n for n in layers if n.get("top") == "fm")["bottom"] == "factors_slice1"


@pytest.mark.parametrize("name", MODELS)
def test_round_trip_trains_the_same(name, tmp_path):
    regularizer = {"use_regularizer": True, "regularizer_type": "L2", "lambda": 0.01}
    declaration = small(name, nnz=2, fixed=False, combiner="mean", **regularizer)
    rng = np.random.default_rng(2)
    source = training.write_norm(tmp_path, declaration, [reference.random_batch(declaration, 16, rng)] * 3)
    empty = replace(declaration, embeddings=(), nodes=())
    runs = []
    for graph, dense in ((None, True), ("graph", True), ("graph", False)):
        if graph is None:
            model = training.create_model(declaration, Optimizer("Adam"), source, batch_size=16, lr=0.01)
            model.graph_to_json(str(tmp_path / "graph"))
        else:
            model = training.create_model(
                empty, Optimizer("Adam"), source, batch_size=16, lr=0.01, compile=False, add_input=False
            )
            model.construct_from_json(str(tmp_path / "graph"), dense)
            if not dense:
                training.add_layers(model, declaration.nodes)
            model.compile()
            model.graph_to_json(str(tmp_path / "again"))
            assert (tmp_path / "again").read_text() == (tmp_path / "graph").read_text()
        model.start_data_reading()
        runs.append(training.train(model, 5))
    assert runs[0] == runs[1] == runs[2]


def edited(folder, change):
    declaration = tiny()
    source = tiny_data(folder, declaration)
    model = training.create_model(declaration, Optimizer("Adam"), source, batch_size=4)
    model.graph_to_json(str(folder / "graph.json"))
    graph = json.loads((folder / "graph.json").read_text())
    graph = change(graph) or graph
    (folder / "graph.json").write_text(graph if isinstance(graph, str) else json.dumps(graph))
    return training.create_model(
        replace(declaration, embeddings=(), nodes=()),
        Optimizer("Adam"),
        source,
        batch_size=4,
        compile=False,
        add_input=False,
    )


def of(graph, top):
    return next(n for n in graph["layers"] if n.get("top") == top)


def capacity(graph, key):
    hparam = of(graph, "embedding")["sparse_embedding_hparam"]
    for other in ("workspace_size_per_gpu_in_mb", "max_vocabulary_size_global"):
        del hparam[other]
    hparam[key] = 100_000


TOLERATED = {
    "one nnz for all slots": lambda g: g["layers"][0]["sparse"][0].update(nnz_per_slot=1),
    "numbers for booleans": lambda g: g["layers"][0]["sparse"][0].update(is_fixed_length=1),
    "no optimizer": lambda g: of(g, "embedding").pop("optimizer") and None,
    "no capacity": lambda g: of(g, "embedding")["sparse_embedding_hparam"].pop("max_vocabulary_size_global") and None,
    "unknown keys": lambda g: (g.update(solver={}, other=1), of(g, "fc").update(name="x"), None)[-1],
    "rows of a device": lambda g: capacity(g, "max_vocabulary_size_per_gpu"),
    "rows of all devices": lambda g: capacity(g, "max_vocabulary_size_global"),
    "combiner by number": lambda g: of(g, "embedding")["sparse_embedding_hparam"].update(combiner=1),
    "no update type": lambda g: of(g, "embedding")["optimizer"].pop("update_type") and None,
    "SGD alone": lambda g: of(g, "embedding").update(optimizer={"type": "SGD"}),
    "no time_step": lambda g: of(g, "flat").pop("time_step") and None,
}


@pytest.mark.parametrize("case", TOLERATED)
def test_older_forms_are_read(case, tmp_path):
    model = edited(tmp_path, TOLERATED[case])
    model.construct_from_json(str(tmp_path / "graph.json"), True)
    model.compile()
    model.start_data_reading()
    training.train(model, 1)


def test_members_of_older_files_are_known_and_others_named_once(tmp_path, capsys):
    def change(graph):
        graph.update(solver={"gpu": [0]}, optimizer={}, extra=1)
        graph["layers"][0].update(name="data", format="Norm", check="Sum", cache_eval_data=0, num_workers=3)
        of(graph, "embedding").update(name="e", plan_file="plan.json")
        of(graph, "embedding")["optimizer"]["adam_hparam"].update(learning_rate=0.1, warmup_steps=5, alpha=1)
        of(graph, "embedding")["sparse_embedding_hparam"].update(default_emb_vec_value=0.0)
        of(graph, "fc").update(name="fc", activation="Relu")
        of(graph, "fc")["fc_param"]["use_bias"] = True

    for i in range(2):
        (tmp_path / str(i)).mkdir()
        edited(tmp_path / str(i), change).construct_from_json(str(tmp_path / str(i) / "graph.json"), True)
    lines = [line for line in capsys.readouterr().out.splitlines() if "graph file" in line]
    assert len(lines) == 1 and "WARNING" in lines[0]
    assert lines[0].endswith(
        "no effect: extra, layers[1].optimizer.adam_hparam.alpha, layers[2].activation, layers[2].fc_param.use_bias"
    )


def test_older_capacities_and_updates_mean_what_they_say(tmp_path):
    def change(graph):
        capacity(graph, "max_vocabulary_size_global")
        graph_optimizer = of(graph, "embedding")["optimizer"]
        del graph_optimizer["update_type"]
        graph_optimizer["global_update"] = True

    model = edited(tmp_path, change)
    model.construct_from_json(str(tmp_path / "graph.json"), True)
    model.graph_to_json(str(tmp_path / "again.json"))
    embedding = of(json.loads((tmp_path / "again.json").read_text()), "embedding")
    assert embedding["optimizer"]["update_type"] == "Global"
    assert 100_000 <= embedding["sparse_embedding_hparam"]["max_vocabulary_size_global"] < 100_000 + 2**20 // 24


REJECTED = {
    "not JSON": (lambda g: "{", ["JSON"]),
    "no layers": (lambda g: {"model_name": "x"}, ["layers"]),
    "empty": (lambda g: {"layers": []}, ["layers"]),
    "no input first": (lambda g: g["layers"].pop(0) and None, ["Data"]),
    "unknown layer": (lambda g: of(g, "fc").update(type="InnerProdukt"), ["InnerProdukt", "InnerProduct"]),
    "unknown embedding": (
        lambda g: of(g, "embedding").update(type="DistributedSlotSparseEmbedingHash"),
        ["layers[1].type", "DistributedSlotSparseEmbedingHash", "LocalizedSlotSparseEmbeddingHash"],
    ),
    "unknown optimizer": (
        lambda g: of(g, "embedding")["optimizer"].update(type="Adamm"),
        ["graph.json", "layers[1].optimizer.type", "Adamm", "Adam"],
    ),
    "unknown update": (
        lambda g: of(g, "embedding")["optimizer"].update(update_type="Lokal"),
        ["graph.json", "layers[1].optimizer.update_type", "Lokal", "Local"],
    ),
    "unknown combiner": (
        lambda g: of(g, "embedding")["sparse_embedding_hparam"].update(combiner="max"),
        ["graph.json", "layers[1].sparse_embedding_hparam.combiner", "max", "mean"],
    ),
    "third combiner": (lambda g: of(g, "embedding")["sparse_embedding_hparam"].update(combiner=2), ["combiner", "2"]),
    "half an optimizer": (
        lambda g: of(g, "embedding")["optimizer"]["adam_hparam"].pop("beta1") and None,
        ["layers[1].optimizer.adam_hparam.beta1 is missing"],
    ),
    "no parameters": (
        lambda g: of(g, "embedding")["optimizer"].pop("adam_hparam") and None,
        ["layers[1].optimizer.adam_hparam is missing"],
    ),
    "no capacity at all": (
        lambda g: (capacity(g, "x"), None)[1],
        ["layers[1].sparse_embedding_hparam", "workspace_size_per_gpu_in_mb", "slot_size_array"],
    ),
    "unknown regularizer": (
        lambda g: of(g, "loss").update({"regularizer": "L3", "lambda": 0.1}),
        ["regularizer", "layers[6]", "L3", "L1", "L2"],
    ),
    "number for a regularizer": (lambda g: of(g, "loss").update({"regularizer": 7, "lambda": 0.1}), ["a name", "7"]),
    "huge vector size": (
        lambda g: of(g, "embedding")["sparse_embedding_hparam"].update(embedding_vec_size=2**70),
        ["embedding_vec_size", "64 bits", "1.18"],
    ),
    "cut vector size": (
        lambda g: of(g, "embedding")["sparse_embedding_hparam"].update(embedding_vec_size=3.5),
        ["embedding_vec_size", "integer", "3.5"],
    ),
    "huge output": (lambda g: of(g, "fc")["fc_param"].update(num_output=2**64 - 1), ["num_output", "integer"]),
    "decay of 2": (
        lambda g: of(g, "embedding")["optimizer"]["adam_hparam"].update(beta1=2),
        ["graph.json", "layers[1].optimizer.adam_hparam", "beta1 must be in [0, 1), got 2"],
    ),
    "decay that rounds to 1": (
        lambda g: of(g, "embedding")["optimizer"]["adam_hparam"].update(beta2=1 - 1e-12),
        ["beta2 must be in [0, 1)"],
    ),
    "infinite accumulator": (
        lambda g: of(g, "embedding").update(
            optimizer={"type": "AdaGrad", "adagrad_hparam": {"initial_accu_value": 1e300, "epsilon": 0}}
        ),
        ["layers[1].optimizer.adagrad_hparam", "initial_accu_value", "1e+300"],
    ),
    "infinite rate": (
        lambda g: of(g, "fc").update(type="Dropout", rate=1e39),
        ["layers[2]", "rate must be finite, got 1e+39, more than a 32-bit float holds"],
    ),
    "infinite weight": (
        lambda g: of(g, "loss").update({"type": "MultiCrossEntropyLoss", "target_weight": [1e39]}),
        ["target_weight", "1e+39"],
    ),
    "missing key": (lambda g: of(g, "fc").pop("fc_param") and None, ["layers[2]", "fc_param"]),
    "missing inner key": (lambda g: of(g, "fc")["fc_param"].clear(), ["layers[2]", "fc_param.num_output"]),
    "wrong type": (lambda g: of(g, "fc")["fc_param"].update(num_output=[3, 4]), ["num_output"]),
    "bottom of nowhere": (lambda g: of(g, "fc").update(bottom="nowhere"), ["nowhere", "fc"]),
    "duplicate top": (lambda g: of(g, "fc").update(top="flat"), ["flat"]),
    "no list of inputs": (lambda g: g["layers"][0].update(sparse=3), ["layers[0].sparse must be a list"]),
    "slots": (lambda g: g["layers"][0]["sparse"][0].update(nnz_per_slot=[1, 1, 1]), ["nnz_per_slot", "3", "2"]),
    **{
        f"is_fixed_length {value!r}": (
            lambda g, value=value: g["layers"][0]["sparse"][0].update(is_fixed_length=value),
            [
                "layers[0].sparse[0].is_fixed_length must be true, false, 1 or 0",
                json.dumps(value, separators=(",", ":")),
            ],
        )
        for value in ("no", 2, 0.5, [True], {"a": 1})
    },
    "number for a type": (lambda g: g["layers"][0]["sparse"][0].update(type=3), ["layers[0].sparse[0].type", "3"]),
    "object for a type": (lambda g: g["layers"][0]["sparse"][0].update(type={}), ["layers[0].sparse[0].type", "{}"]),
    "vector size": (
        lambda g: of(g, "embedding")["sparse_embedding_hparam"].update(embedding_vec_size=2000),
        ["embedding_vec_size", "2000"],
    ),
    "embedding after a layer": (
        lambda g: g["layers"].append({**of(g, "embedding"), "top": "late"}),
        ["layers[7]", "embedding"],
    ),
}


@pytest.mark.parametrize("case", REJECTED)
def test_bad_graph_files(case, tmp_path):
    change, words = REJECTED[case]
    model = edited(tmp_path, change)
    with pytest.raises(RuntimeError) as error:
        model.construct_from_json(str(tmp_path / "graph.json"), True)
        model.compile()
    assert [w for w in words if w not in str(error.value)] == [], str(error.value)


def test_a_graph_file_that_is_not_json_is_named(tmp_path):
    nothing = replace(tiny(), embeddings=(), nodes=())
    model = training.create_model(nothing, Optimizer("SGD"), "none", batch_size=4, compile=False, add_input=False)
    (tmp_path / "graph.json").write_text("{")
    with pytest.raises(RuntimeError, match="graph.json"):
        model.construct_from_json(str(tmp_path / "graph.json"), True)


@pytest.mark.parametrize(("old", "new"), [('"dense_dim": 2', '"dense_dim": NaN'), ('"layers": [', '"layers": [[')])
def test_text_that_is_not_json(old, new, tmp_path):
    model = training.create_model(tiny(), Optimizer("Adam"), tiny_data(tmp_path, tiny()), batch_size=4)
    path = tmp_path / "graph.json"
    model.graph_to_json(str(path))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    other = training.create_model(
        replace(tiny(), embeddings=(), nodes=()),
        Optimizer("Adam"),
        "none",
        batch_size=4,
        compile=False,
        add_input=False,
    )
    with pytest.raises(hugectr.HugectrError, match=r"graph.json.*not valid JSON at line \d+, column \d+"):
        other.construct_from_json(str(path), True)


BESIDE = {
    "another optimizer's parameter": (
        lambda g: of(g, "embedding")["optimizer"]["adam_hparam"].update(initial_accu_value=0.5),
        "layers[1].optimizer.adam_hparam.initial_accu_value",
    ),
    "another optimizer": (
        lambda g: of(g, "embedding")["optimizer"].update(sgd_hparam={"atomic_update": False}),
        "layers[1].optimizer.sgd_hparam",
    ),
    "SGD's update": (
        lambda g: of(g, "embedding")["optimizer"]["adam_hparam"].update(atomic_update=False),
        "layers[1].optimizer.adam_hparam.atomic_update",
    ),
    "an older update": (
        lambda g: of(g, "embedding")["optimizer"].update(global_update=True),
        "layers[1].optimizer.global_update",
    ),
    "an older number of keys": (
        lambda g: g["layers"][0]["sparse"][0].update(max_nnz=9),
        "layers[0].sparse[0].max_nnz",
    ),
    "rows of all devices": (
        lambda g: of(g, "embedding")["sparse_embedding_hparam"].update(max_vocabulary_size_global=1000),
        "max_vocabulary_size_global=1000 has no effect beside workspace_size_per_gpu_in_mb=",
    ),
    "rows of a device": (
        lambda g: of(g, "embedding")["sparse_embedding_hparam"].update(max_vocabulary_size_per_gpu=1000),
        "max_vocabulary_size_per_gpu=1000 has no effect beside workspace_size_per_gpu_in_mb=",
    ),
}


@pytest.mark.parametrize("case", BESIDE)
def test_members_without_effect_beside_others_are_named_once(case, tmp_path, capsys):
    change, name = BESIDE[case]
    for i in range(2):
        folder = tmp_path / str(i)
        folder.mkdir()
        model = edited(folder, change)
        model.construct_from_json(str(folder / "graph.json"), True)
        model.compile()
    lines = [line for line in capsys.readouterr().out.splitlines() if name in line]
    assert len(lines) == 1 and "WARNING" in lines[0] and "no effect" in lines[0], lines


@pytest.mark.parametrize("ranks", [1, 3])
def test_what_we_write_has_no_member_without_effect(ranks, tmp_path, capsys):
    model = training.create_model(tiny(), Optimizer("Adam"), tiny_data(tmp_path, tiny()), batch_size=6, compile=False)
    graph = json.loads(_core.graph_to_json(model._graph.text()))
    hparam = of(graph, "embedding")["sparse_embedding_hparam"]
    hparam["max_vocabulary_size_global"] *= ranks  # as a model of several devices writes it
    (tmp_path / "graph.json").write_text(json.dumps(graph))
    again = training.create_model(
        replace(tiny(), embeddings=(), nodes=()), Optimizer("Adam"), tiny_data(tmp_path, tiny()), batch_size=6,
        compile=False, add_input=False,
    )  # fmt: skip
    again.construct_from_json(str(tmp_path / "graph.json"), True)
    again.compile()
    assert "no effect" not in capsys.readouterr().out
