# SPDX-License-Identifier: Apache-2.0
"""The document that describes a model to the core: strict, and the same after it was read and written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hugectr
import pytest
from harness import training
from harness.reference_optimizers import Optimizer
from hugectr import _core
from model.small_models import MODELS, small

rewrite = _core.testing.rewrite_spec


def declared(name: str, folder: Path) -> hugectr.Model:
    source = str(folder / "list.txt")
    return training.create_model(small(name), Optimizer("Adam"), source, compile=False)


@pytest.mark.parametrize("name", MODELS)
def test_round_trip(name: str, tmp_path: Path) -> None:
    """Everything that was written is there again, and every member is when it was written once more."""
    text = declared(name, tmp_path)._graph.text()
    written = rewrite(text)
    assert rewrite(written) == written
    for compare in (_core.graph_summary, _core.graph_to_json):
        assert compare(written) == compare(text)

    def kept(before: Any, after: Any, path: str) -> None:
        if isinstance(before, dict):
            for key, value in before.items():
                if value is not None:
                    kept(value, after[key], f"{path}.{key}")
        elif isinstance(before, list):
            assert len(before) == len(after), path
            for i, (a, b) in enumerate(zip(before, after)):
                kept(a, b, f"{path}[{i}]")
        else:
            assert after == (pytest.approx(before) if isinstance(before, float) else before), path

    kept(json.loads(text), json.loads(written), "")


def test_paths_of_any_bytes(tmp_path: Path) -> None:
    document = {"reader": {"source": ["a\0\x62", "ü"], "eval_source": "b"}}
    written = json.loads(rewrite(json.dumps(document)))["reader"]
    assert written["source"] == ["a\0\x62", "\0\x43\0\x3c"] and written["eval_source"] == "b"
    assert rewrite(json.dumps({"reader": written})) == rewrite(json.dumps(document))


@pytest.mark.parametrize("place", ["", "solver", "reader", "optimizer", "input", "input.labels[0]",
                                   "input.sparse[0]", "embeddings[0]", "layers[0]"])  # fmt: skip
def test_unknown_members_are_errors(place: str, tmp_path: Path) -> None:
    document = json.loads(declared("wdl", tmp_path)._graph.text())
    target = document
    for step in filter(None, place.replace("[0]", ".0").split(".")):
        target = target[0 if step == "0" else step]
    target["colour"] = 1
    path = f"{place}.colour" if place else "colour"
    with pytest.raises(hugectr.InternalError, match=f"unknown member {path}".replace("[", r"\[")):
        rewrite(json.dumps(document))


@pytest.mark.parametrize(
    "change, text",
    [
        ({"solver": {"batchsize": 1.5}}, "solver.batchsize is out of range: 1.5"),
        ({"solver": {"vvgpu": [["a"]]}}, "solver.vvgpu"),
        ({"input": {"labels": 3}}, "input.labels must be a list, got 3"),
        ({"input": {"sparse": [{"name": "a"}, 4]}}, r"input.sparse\[1\] must be an object, got 4"),
        ({"reader": {"data_reader_type": "Csv"}}, "reader.data_reader_type: .*Csv.*Norm"),
        ({"optimizer": {"type": "Adan"}}, "optimizer.type: .*Adan.*Adam"),
    ],
)
def test_wrong_members_are_named_with_their_path(change: dict[str, Any], text: str) -> None:
    with pytest.raises(hugectr.HugectrError, match=text):
        rewrite(json.dumps(change))
