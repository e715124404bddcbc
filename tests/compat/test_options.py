# SPDX-License-Identifier: Apache-2.0
"""Every public argument, given another value than its default, changes something, is named once or is refused."""

import inspect
import json
import pathlib
from typing import Any

import hugectr
import numpy as np
import pytest
from hugectr import _core, tools
from hugectr.errors import UnsupportedError

from compat.options import (
    EMBEDDING,
    INPUT,
    LAYERS,
    NAMED,
    READER,
    REFUSED,
    TABLES,
    document,
    model,
    with_embedding,
)  # fmt: skip


@pytest.mark.parametrize("table, name", [(table, name) for table in TABLES for name in TABLES[table][2]])
def test_an_argument_has_an_effect(
    table: str, name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, use, cases = TABLES[table]
    value, effect, context = cases[name]
    named: list[str] = []
    monkeypatch.setattr(_core, "warn_once", named.append)

    def outcome(folder: str, **given: Any) -> Any:
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        return use(**given)

    def without() -> Any:
        try:
            return outcome("default", **context)
        except hugectr.HugectrError as error:  # the argument is needed
            return error

    if effect == REFUSED:
        with pytest.raises((hugectr.HugectrError, ValueError)):
            outcome("refused", **{**context, name: value})
        return
    if effect == "allows":
        with pytest.raises(hugectr.InvalidArgumentError, match=name):
            outcome("refused", **context)
    got = outcome("given", **{**context, name: value})
    said = any(name in line or table == "HybridEmbeddingParam" for line in named)  # that one is named as a whole
    if effect == NAMED and name not in hugectr.solver.GPU_OPTIONS:
        assert said
    elif effect != "allows":
        assert got != without() or said


def test_every_public_argument_is_in_a_table() -> None:
    elsewhere = {"CreateSolver": {"lr_policy"}, "GroupDenseLayer": {"group_layer_type"}}  # they have one value
    for label, (function, _, cases) in TABLES.items():
        if " " not in label:
            parameters = set(inspect.signature(function).parameters) - {"self"}
            assert parameters == set(cases) | elsewhere.get(label, set()), label
    assert len(hugectr.LrPolicy_t) == len(hugectr.GroupLayer_t) == 1


@pytest.mark.parametrize("name", LAYERS)
def test_a_keyword_of_a_layer_reaches_the_graph_file(name: str) -> None:
    layer_type, bottoms, value, context = LAYERS[name]
    first = [hugectr.DenseLayer(hugectr.InnerProduct, ["dense"], ["one"], num_output=1)] if "one" in bottoms else []

    def graph(**given: Any) -> str:
        parts = [hugectr.Input(**INPUT), hugectr.SparseEmbedding(**EMBEDDING), *first]
        layer = hugectr.DenseLayer(layer_type, bottoms, ["top"], **given)
        return _core.graph_to_json(document(parts=[*parts, layer]))

    written_with = graph(**context, **{name: value})
    try:
        without = graph(**context)
    except hugectr.HugectrError:  # it is needed
        return
    assert written_with != without


def test_every_keyword_of_a_layer_is_in_a_table() -> None:
    names = set(inspect.signature(hugectr.DenseLayer).parameters) - {"self"}
    assert names == set(LAYERS) | {
        "layer_type", "bottom_names", "top_names", "dense_layer_switches"}  # fmt: skip


LISTS = ("embeddings", "layers", "labels", "sparse")


def test_the_core_reads_every_member_of_the_document() -> None:
    """A member of a type that cannot be is noticed by whoever reads it."""
    text = with_embedding(optimizer=hugectr.CreateOptimizer())
    parsed = json.loads(text)
    _core.check_graph(text)
    places = [("solver",), ("reader",), ("optimizer",), ("input",), ("input", "labels", 0), ("input", "sparse", 0),
              ("embeddings", 0), ("embeddings", 0, "optimizer"), ()]  # fmt: skip
    unread = []
    for place in places:
        target = parsed
        for step in place:
            target = target[step]
        for member, value in list(target.items()):
            if isinstance(value, dict) or (isinstance(value, list) and member in LISTS):
                continue  # a place of its own
            target[member] = {"no": ["such", "value"]}
            try:
                _core.check_graph(json.dumps(parsed))
                unread.append((*place, member))
            except (RuntimeError, TypeError):
                pass
            target[member] = value
    assert not unread


def test_the_training_cache_is_refused_whole() -> None:
    staged = hugectr.CreateETC([hugectr.TrainPSType_t.Staged], ["a"])
    for cache in (staged, hugectr.CreateMOS(True, dest_sparse_models=["a"])):
        with pytest.raises(UnsupportedError, match="embedding training cache"):
            model(etc=cache)
    with pytest.raises(UnsupportedError):
        model().check_out_tensor("a", hugectr.Tensor_t.Train)


def test_what_objects_print_is_short_and_says_what_was_changed(tmp_path: pathlib.Path) -> None:
    words = [f"word{i}" for i in range(5000)]
    table = {"y": [0.0] * 5000, "x": np.arange(5000.0), "k": words}
    columns: Any = dict(labels="y", numeric=["x"], categorical=["k", tools.Bins("x", 500)])
    made = tools.to_parquet(table, tmp_path, **columns)
    mappings = "Mappings(labels=['y'], numeric=['x'], ids={'k': 5002, 'x_bin': 502})"
    assert repr(made) == f"ParquetDataSet({str(tmp_path)!r}, 5000 rows in 1 files, {mappings})"
    assert repr(made.mappings) == mappings
    assert all(len(repr(column)) < 200 for column in made.mappings.categorical)
    assert repr(hugectr.CreateSolver(batchsize=64, lr=0.001)) == "Solver(batchsize=64)"
    assert repr(hugectr.CreateOptimizer(hugectr.SGD)) == "OptParamsPy(optimizer_type=Optimizer_t.SGD)"
    layer = hugectr.DenseLayer(hugectr.InnerProduct, ["a"], ["b"], num_output=3)
    assert repr(layer) == (
        "DenseLayer(layer_type=Layer_t.InnerProduct, bottom_names=['a'], top_names=['b'], num_output=3)"
    )
    assert len(repr(hugectr.DataReaderParams(**{**READER, "slot_size_array": list(range(1000))}))) < 300
    assert repr(model(hugectr.CreateSolver("wdl"))) == "Model('wdl', 0 embeddings, 0 layers)"


NAMELESS: list[tuple[str, str, list[Any]]] = [
    ("save_params_to_files", "prefix", ["", b""]),
    ("load_params_from_files", "prefix", [""]),
    ("load_dense_weights", "dense_model_file", [""]),
    ("load_dense_optimizer_states", "dense_opt_states_file", [""]),
    ("load_sparse_weights", "sparse_embedding_files", [[""], {"e": ""}]),
    ("load_sparse_optimizer_states", "sparse_opt_states_files", [[""], {"e": ""}]),
]


@pytest.mark.parametrize("method, argument, values", NAMELESS)
def test_an_empty_name_is_no_file(method: str, argument: str, values: list[Any]) -> None:
    made = model()
    for value in values:
        with pytest.raises(hugectr.InvalidArgumentError, match=f"{method}.*{argument} must not be empty"):
            getattr(made, method)(value)
