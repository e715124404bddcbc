# SPDX-License-Identifier: Apache-2.0
"""The plain value a model is handed to the core as: dictionaries, lists, strings, numbers."""

from __future__ import annotations

import enum
import os
import re
from typing import Any, Optional

from hugectr import idle, launch
from hugectr.arguments import Record
from hugectr.enums import Check_t, DataReaderType_t, Embedding_t
from hugectr.errors import InvalidArgumentError, UnsupportedError
from hugectr.initializer import Initializer
from hugectr.layers import DenseLayer, Input, SparseEmbedding
from hugectr.opt_params import OptParamsPy
from hugectr.reader import DataReaderParams
from hugectr.solver import GPU_OPTIONS, TUNING_OPTIONS, Solver

Plain = dict[str, Any]
# Arguments of CreateSolver that the core does not take with the solver: checked here, warned about or refused.
_NOT_FOR_THE_CORE = {
    "lr_policy",
    "is_dlrm",
    "kafka_brockers",
    "use_embedding_collection",
    "data_source_params",
    "training_callbacks",
    "drop_incomplete_batch",
    *TUNING_OPTIONS,
} - {*GPU_OPTIONS}
_RAW = (DataReaderType_t.Raw, DataReaderType_t.RawAsync)


def plain(value: Any) -> Any:
    """`value` with enumeration members as names and records as dictionaries; containers are copied."""
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, Initializer):
        return value.text
    if isinstance(value, Record):
        return plain(value.values())
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def path_text(path: str) -> str:
    """A path as JSON carries it: a byte that is not UTF-8 as NUL, which no path has, and the byte less 0x80."""
    text = os.fsencode(path).decode("utf-8", "surrogateescape")
    return re.sub("[\udc80-\udcff]", lambda match: "\0" + chr(ord(match[0]) - 0xDC80), text)


def solver_spec(solver: Solver) -> Plain:
    """Arguments of CreateSolver by name, as far as the core takes them; refuses what no back end can do yet."""
    if not solver.values():
        raise InvalidArgumentError("Model(): the solver is empty; make it with CreateSolver()")
    launch.require_one_process(solver.vvgpu)
    if solver.use_embedding_collection:
        raise UnsupportedError("CreateSolver(): use_embedding_collection is not supported yet")
    devices = sum(len(row) for row in solver.vvgpu)
    for name in ("batchsize", "batchsize_eval"):
        if getattr(solver, name) % devices:
            raise InvalidArgumentError(
                f"Model(): {name} {getattr(solver, name)} is not divisible by the {devices} devices of vvgpu"
            )
    return {name: plain(value) for name, value in solver.values().items() if name not in _NOT_FOR_THE_CORE}


def _drop_incomplete_batch(of_reader: Optional[bool], of_solver: Optional[bool]) -> Optional[bool]:
    if of_reader is not None and of_solver is not None and of_reader != of_solver:
        raise InvalidArgumentError(
            f"Model(): drop_incomplete_batch is {of_reader} in DataReaderParams, but {of_solver} in CreateSolver"
        )
    return of_solver if of_reader is None else of_reader


def reader_spec(reader: DataReaderParams, solver: Optional[Solver] = None) -> Plain:
    """Arguments of DataReaderParams by name, what the solver says of reading, and what RawAsync files always are."""
    sources = [reader.source] if isinstance(reader.source, str) else reader.source
    if not any(sources) or not reader.eval_source:
        raise InvalidArgumentError("Model(): DataReaderParams needs a source and an eval_source")
    if len(sources) > 1:
        raise UnsupportedError(
            f"DataReaderParams(): {len(sources)} sources need the embedding training cache, which is not supported yet"
        )
    _warn_about_idle(reader)
    skipped = ("keyset", "check_type", "cache_eval_data", "async_param", "data_source_params",
               "read_file_sequentially", "drop_incomplete_batch")  # fmt: skip
    spec: Plain = plain({name: value for name, value in reader.values().items() if name not in skipped})
    params = reader.data_source_params or (solver.data_source_params if solver else None)
    sources, eval_source = (
        [params.address(p) if params else p for p in paths] for paths in (sources, [reader.eval_source])
    )
    spec.update(source=[path_text(source) for source in sources], eval_source=path_text(eval_source[0]))
    drop = _drop_incomplete_batch(reader.drop_incomplete_batch, solver.drop_incomplete_batch if solver else None)
    spec.update(check_sum=reader.check_type is Check_t.Sum, drop_incomplete_train=drop, drop_incomplete_eval=drop)
    if reader.data_reader_type is DataReaderType_t.RawAsync:
        spec["float_label_dense"] = False
        spec["shuffle"] = bool(reader.async_param and reader.async_param.shuffle)
    if reader.shuffle is not None:
        spec["shuffle"] = reader.shuffle
    elif reader.data_reader_type is not DataReaderType_t.RawAsync:
        del spec["shuffle"]  # as the format has it
    return spec


def _warn_about_idle(reader: DataReaderParams) -> None:
    where, kind = "DataReaderParams()", reader.data_reader_type
    idle.warn_changed(where, reader, ["cache_eval_data"], "yet: evaluation data is read every time")
    idle.warn_changed(where, reader, ["read_file_sequentially"], "here: the order of samples is always the same")
    if reader.keyset and any(reader.keyset):
        idle.warn(where, ["keyset"], "without the embedding training cache")
    if kind not in _RAW:
        idle.warn_changed(where, reader, ["num_samples", "eval_num_samples", "float_label_dense"], f"on {kind.name}")
        idle.warn_changed(where, reader, ["shuffle"], f"on {kind.name}, which is read in the order of its files")
    if kind is DataReaderType_t.Norm:
        idle.warn_changed(where, reader, ["slot_size_array"], "on Norm, whose keys are taken as they are")
    elif reader.check_type is Check_t.Sum:
        idle.warn(where, ["check_type=Sum"], f"on {kind.name}, which has no check bytes")
    if kind is not DataReaderType_t.RawAsync:
        idle.warn_changed(where, reader, ["async_param"], f"on {kind.name}")
        return
    idle.warn_changed(where, reader, ["float_label_dense"], "on RawAsync, which always holds integers")
    if reader.async_param:
        tuning = [name for name in reader.async_param.values() if name != "shuffle"]
        idle.warn_changed("AsyncParam()", reader.async_param, tuning, "here: files are read by num_workers threads")


def optimizer_spec(optimizer: OptParamsPy) -> Plain:
    """Arguments of CreateOptimizer by name."""
    if not optimizer.values():
        raise InvalidArgumentError("Model(): the optimizer is empty; make it with CreateOptimizer()")
    spec: Plain = plain(optimizer)
    spec["type"] = spec.pop("optimizer_type")
    return spec


def input_spec(layer: Input) -> Plain:
    """Labels, dense input and sparse inputs."""
    idle.warn_changed("Input()", layer, ["reader_params"], "beside those of the Model")
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
                "max_keys": sparse._max_keys,
            }
            for sparse in layer.data_reader_sparse_param_array
        ],
    }


def embedding_spec(layer: SparseEmbedding) -> Plain:
    """One sparse embedding."""
    where, kind = f'SparseEmbedding "{layer.sparse_embedding_name}"', layer.embedding_type
    if kind is not Embedding_t.HybridSparseEmbedding:
        idle.warn_changed(where, layer, ["hybrid_embedding_param"], f"on {kind.name}")
    if kind is Embedding_t.DistributedSlotSparseEmbeddingHash:
        idle.warn_changed(where, layer, ["slot_size_array"], f"on {kind.name}")
    elif layer.slot_size_array:
        idle.warn_changed(where, layer, ["workspace_size_per_gpu_in_mb"], "beside a slot_size_array")
    own: Optional[OptParamsPy] = layer.optimizer if layer.optimizer and layer.optimizer.values() else None
    return {
        "type": layer.embedding_type.name,
        "name": layer.sparse_embedding_name,
        "bottom": layer.bottom_name,
        "workspace_size_per_gpu_in_mb": layer.workspace_size_per_gpu_in_mb,
        "max_vocabulary_size_per_gpu": layer.max_vocabulary_size_per_gpu,
        "embedding_vec_size": layer.embedding_vec_size,
        "combiner": layer.combiner,
        "slot_size_array": list(layer.slot_size_array),
        "initializer": plain(layer.initializer),
        "optimizer": optimizer_spec(own) if own else None,
        "hybrid_embedding_param": _hybrid_spec(layer),
    }


def _hybrid_spec(layer: SparseEmbedding) -> Optional[Plain]:
    """What a graph file keeps of a hybrid embedding; it computes the same wherever its rows are."""
    if layer.embedding_type is not Embedding_t.HybridSparseEmbedding or layer.hybrid_embedding_param is None:
        return None
    where = f'HybridEmbeddingParam of SparseEmbedding "{layer.sparse_embedding_name}"'
    param: Plain = plain(layer.hybrid_embedding_param)
    idle.warn_changed(where, layer.hybrid_embedding_param, param, "on a single GPU or a CPU")
    return {name: value for name, value in param.items() if not name.endswith("precompute_indices")}


def dense_spec(layer: DenseLayer) -> Plain:
    """One dense layer with the keywords that were passed: each layer knows its own defaults."""
    if layer.dense_layer_switches and layer.dense_layer_switches.fuse_wb:
        idle.warn(f'DenseLayer "{layer.top_names[0]}"', ["fuse_wb"], "here: weights and bias always lie together")
    params = layer._given - {"layer_type", "bottom_names", "top_names", "dense_layer_switches"}
    values = {("lambda" if name == "lambda_" else name): plain(getattr(layer, name)) for name in sorted(params)}
    return {
        "type": layer.layer_type.name,
        "bottoms": list(layer.bottom_names),
        "tops": list(layer.top_names),
        "params": values,
    }
