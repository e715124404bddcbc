# SPDX-License-Identifier: Apache-2.0
"""The plain value a model is handed to the core as: dictionaries, lists, strings, numbers."""

from __future__ import annotations

import enum
import functools
from typing import Any, Optional

from hugectr import _core
from hugectr.arguments import Record
from hugectr.enums import Embedding_t, Layer_t
from hugectr.errors import InvalidArgumentError, UnsupportedError
from hugectr.layers import DenseLayer, Input, SparseEmbedding
from hugectr.optimizer import OptParamsPy
from hugectr.reader import DataReaderParams
from hugectr.solver import Solver

Plain = dict[str, Any]


def plain(value: Any) -> Any:
    """`value` with enumeration members as names and records as dictionaries; containers are copied."""
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, Record):
        return plain(value.values())
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def solver_spec(solver: Solver) -> Plain:
    """Arguments of CreateSolver by name; refuses what no back end can do yet."""
    if not solver.values():
        raise InvalidArgumentError("Model(): the solver is empty; make it with CreateSolver()")
    if solver.data_source_params is not None:
        solver.data_source_params.require_local()
    if len(solver.vvgpu) > 1:
        raise UnsupportedError(
            f"CreateSolver(): vvgpu={solver.vvgpu} has several rows: several nodes are not supported yet"
        )
    for option in ("use_embedding_collection", "training_callbacks"):
        if getattr(solver, option):
            raise UnsupportedError(f"CreateSolver(): {option} is not supported yet")
    devices = sum(len(row) for row in solver.vvgpu)
    for name in ("batchsize", "batchsize_eval"):
        if getattr(solver, name) % devices:
            raise InvalidArgumentError(
                f"Model(): {name} {getattr(solver, name)} is not divisible by the {devices} devices of vvgpu"
            )
    skipped = ("data_source_params", "training_callbacks")
    return {name: plain(value) for name, value in solver.values().items() if name not in skipped}


def reader_spec(reader: DataReaderParams) -> Plain:
    """Arguments of DataReaderParams by name, with what RawAsync files always are."""
    if reader.data_source_params is not None:
        reader.data_source_params.require_local()
    spec: Plain = plain({k: v for k, v in reader.values().items() if k not in ("data_source_params", "async_param")})
    for name in ("source", "keyset"):
        spec[name] = [spec[name]] if isinstance(spec[name], str) else spec[name]
    if not any(spec["source"]) or not spec["eval_source"]:
        raise InvalidArgumentError("Model(): DataReaderParams needs a source and an eval_source")
    if spec["data_reader_type"] == "RawAsync":
        spec.update(float_label_dense=False, num_samples=0, eval_num_samples=0)
        spec["shuffle"] = bool(reader.async_param and reader.async_param.shuffle)
    return spec


def optimizer_spec(optimizer: OptParamsPy) -> Plain:
    """Arguments of CreateOptimizer by name."""
    if not optimizer.values():
        raise InvalidArgumentError("Model(): the optimizer is empty; make it with CreateOptimizer()")
    spec: Plain = plain(optimizer)
    spec["type"] = spec.pop("optimizer_type")
    return spec


def input_spec(layer: Input) -> Plain:
    """Labels, dense input and sparse inputs."""
    labels = zip(layer.label_name, layer.label_dim, layer.label_weights)
    return {
        "labels": [{"name": name, "dim": dim, "weight": weight} for name, dim, weight in labels],
        "dense_name": layer.dense_name,
        "dense_dim": layer.dense_dim,
        "sparse": [
            {
                "name": sparse.top_name,
                "nnz_per_slot": list(sparse.nnz_per_slot),
                "is_fixed_length": sparse.is_fixed_length,
                "slot_num": sparse.slot_num,
            }
            for sparse in layer.data_reader_sparse_param_array
        ],
    }


def embedding_spec(layer: SparseEmbedding) -> Plain:
    """One sparse embedding."""
    if layer.embedding_type is Embedding_t.HybridSparseEmbedding:
        raise UnsupportedError(
            f'SparseEmbedding "{layer.sparse_embedding_name}": HybridSparseEmbedding is not supported yet'
        )
    own: Optional[OptParamsPy] = layer.optimizer if layer.optimizer and layer.optimizer.values() else None
    return {
        "type": layer.embedding_type.name,
        "name": layer.sparse_embedding_name,
        "bottom": layer.bottom_name,
        "workspace_size_per_gpu_in_mb": layer.workspace_size_per_gpu_in_mb,
        "embedding_vec_size": layer.embedding_vec_size,
        "combiner": layer.combiner,
        "slot_size_array": list(layer.slot_size_array),
        "optimizer": optimizer_spec(own) if own else None,
    }


@functools.lru_cache(None)
def available_layers() -> frozenset[str]:
    """Layer types that the core has, aliases included."""
    return frozenset(name for layer in _core.layer_catalog() for name in (layer["name"], *layer["aliases"]))


def dense_spec(layer: DenseLayer) -> Plain:
    """One dense layer with the keywords that were passed: each layer knows its own defaults."""
    if layer.layer_type.name not in available_layers():
        raise UnsupportedError(f'DenseLayer "{layer.top_names[0]}": layer {layer.layer_type.name} is not supported yet')
    bottoms, tops = list(layer.bottom_names), list(layer.top_names)
    if layer.layer_type is Layer_t.FusedInnerProduct:
        bottoms, tops = bottoms[:1], tops[:1]  # the others are scratch tensors of fused GPU kernels
    elif layer.layer_type is Layer_t.Interaction:
        tops = tops[:1]
    params = layer._given - {"layer_type", "bottom_names", "top_names", "dense_layer_switches"}
    values = {("lambda" if name == "lambda_" else name): plain(getattr(layer, name)) for name in sorted(params)}
    return {"type": layer.layer_type.name, "bottoms": bottoms, "tops": tops, "params": values}
