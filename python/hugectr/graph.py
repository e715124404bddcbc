# SPDX-License-Identifier: Apache-2.0
"""The graph of a model while it is being put together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Union

from hugectr import _core, spec
from hugectr.errors import FileError, HugectrError, InvalidArgumentError
from hugectr.files import read_file, replace_file
from hugectr.layers import DenseLayer, GroupDenseLayer, Input, SparseEmbedding

MAX_FILE_BYTES = 1 << 28

Layer = Union[Input, SparseEmbedding, DenseLayer, GroupDenseLayer]


class Graph:
    """The document that describes a whole model to the core, checked after every addition."""

    def __init__(self, solver: spec.Plain, reader: spec.Plain, optimizer: spec.Plain) -> None:
        self._document: spec.Plain = {
            "model_name": solver["model_name"],
            "solver": {name: value for name, value in solver.items() if name != "model_name"},
            "reader": reader,
            "optimizer": optimizer,
            "input": None,
            "embeddings": [],
            "layers": [],
        }

    def text(self) -> str:
        """The document as JSON."""
        return json.dumps(self._document)

    def describe(self) -> str:
        """Its name and the number of its parts."""
        parts = (f"{len(self._document[kind])} {kind}" for kind in ("embeddings", "layers"))
        return ", ".join([repr(self._document["model_name"]), *parts])

    def embedding_names(self) -> list[str]:
        """Names of the embeddings, in the order they were added."""
        return [embedding["name"] for embedding in self._document["embeddings"]]

    def inputs(self) -> spec.Plain:
        """Labels, dense input and sparse inputs."""
        return dict(self._document["input"])

    def add(self, layer: Layer) -> None:
        """Adds one part; a part that does not fit raises and leaves the graph as it was."""
        if isinstance(layer, Input):
            if self._document["input"]:
                raise HugectrError("Model.add(): the model already has an Input")
            self._extend({"input": spec.input_spec(layer)})
            return
        if not self._document["input"]:
            raise HugectrError("Model.add(): the first part of a model is its Input")
        if isinstance(layer, SparseEmbedding):
            self._extend({"embeddings": [spec.embedding_spec(layer)]})
        else:
            layers = layer.layers() if isinstance(layer, GroupDenseLayer) else [layer]
            self._extend({"layers": [spec.dense_spec(dense) for dense in layers]})

    def read(self, path: str, include_dense_network: bool) -> None:
        """Takes input, embeddings and, on request, dense layers from a graph file."""
        if self._document["input"]:
            raise HugectrError("Model.construct_from_json(): the model already has parts")
        try:
            text = read_file(path, MAX_FILE_BYTES)
        except FileError as error:
            raise FileError(f"Model.construct_from_json(): {error}") from error
        try:
            parts = json.loads(_core.graph_from_json(text.decode()))
        except (UnicodeDecodeError, HugectrError) as error:
            kind = type(error) if isinstance(error, HugectrError) else InvalidArgumentError
            raise kind(f"Model.construct_from_json(): {path}: {error}") from error
        if not include_dense_network:
            parts["layers"] = []
        self._extend(parts)

    def write(self, path: str) -> None:
        """Saves the graph file, as a whole or not at all."""
        text = _core.graph_to_json(self.text())
        try:
            replace_file(path, [text.encode()])
        except FileError as error:
            raise FileError(f"Model.graph_to_json(): {error}") from error

    def weigh_losses(self, names: Sequence[str], weights: Sequence[float]) -> None:
        """Sets the factor of each label's loss."""
        if len(names) != len(weights):
            raise InvalidArgumentError(f"Model.compile(): {len(names)} loss_names but {len(weights)} loss_weights")
        if repeated := {name for name in names if list(names).count(name) > 1}:
            raise InvalidArgumentError(f"Model.compile(): loss_names has a label twice: {', '.join(sorted(repeated))}")
        labels = {label["name"]: label for label in (self._document["input"] or {"labels": []})["labels"]}
        for name in names:
            if name not in labels:
                raise InvalidArgumentError(f'Model.compile(): no label "{name}"; known: {", ".join(labels)}')
        for name, weight in zip(names, weights):
            labels[name]["weight"] = weight

    def check_complete(self, method: str) -> None:
        """Raises unless there is an input and at least two layers."""
        if not self._document["input"] or len(self._document["layers"]) + len(self._document["embeddings"]) < 2:
            raise HugectrError(f"Model.{method}(): the model needs an Input and at least two layers")

    def _extend(self, parts: spec.Plain) -> None:
        document = {
            **self._document,
            "input": parts.get("input", self._document["input"]),
            "embeddings": self._document["embeddings"] + parts.get("embeddings", []),
            "layers": self._document["layers"] + parts.get("layers", []),
        }
        _core.check_graph(json.dumps(document))
        self._document = document
