# SPDX-License-Identifier: Apache-2.0
"""The library's side of a declaration: data files, initial weights on disk, a compiled model, a training loop."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import hugectr
import numpy as np
import pyarrow as pa
from harness.declaration import Declaration, Node, SparseInput
from harness.readers import write_parquet
from harness.reference import Array, Batch
from harness.reference_optimizers import Optimizer

ONE_HOT = "LocalizedSlotSparseEmbeddingOneHot"


def write_norm(
    folder: Path, declaration: Declaration, batches: Iterable[Batch], files: int = 1, check: bool = True
) -> str:
    """Writes a Norm data set with 32-bit keys, its samples dealt to ``files`` files in turn; returns the list."""
    samples: list[list[bytes]] = [[] for _ in range(files)]
    for batch in batches:
        for i in range(len(batch.label)):
            samples[i % files].append(_norm_sample(batch, i, declaration.inputs))
    folder.mkdir(parents=True, exist_ok=True)
    slots = sum(len(s.slot_sizes) for s in declaration.inputs)
    paths = [folder / f"{k}.data" for k in range(files)]
    for path, content in zip(paths, samples):
        labels = sum(label.dim for label in declaration.labels)
        header = np.array([check, len(content), labels, declaration.dense_dim, slots, 0, 0, 0], "<i8").tobytes()
        path.write_bytes(b"".join(_framed(p) if check else p for p in [header, *content]))
    names = folder / "list.txt"
    names.write_text("\n".join([str(files), *map(str, paths)]) + "\n")
    return str(names)


def _norm_sample(batch: Batch, i: int, inputs: tuple[SparseInput, ...]) -> bytes:
    parts = [batch.label[i].astype("<f4").tobytes(), batch.dense[i].astype("<f4").tobytes()]
    for spec in inputs:
        bags = batch.sparse[spec.name]
        for row in range(i * bags.slots, (i + 1) * bags.slots):
            keys = bags.keys[bags.offsets[row] : bags.offsets[row + 1]]
            parts += [np.array(len(keys), "<i4").tobytes(), keys.astype("<u4").tobytes()]
    return b"".join(parts)


def _framed(payload: bytes) -> bytes:
    return np.array(len(payload), "<i4").tobytes() + payload + bytes([sum(payload) % 256])


def write_raw(path: Path, declaration: Declaration, batches: Iterable[Batch]) -> str:
    """Writes a Raw file with float values; its keys count from 0 in each slot."""
    columns = []
    for batch in batches:
        keys = np.concatenate(
            [batch.sparse[s.name].keys.reshape(len(batch.label), -1) - first_keys(s) for s in declaration.inputs], 1
        )
        floats = np.concatenate([batch.label, batch.dense], 1).astype("<f4")
        columns.append(np.concatenate([floats.view("<u4"), keys.astype("<u4")], 1))
    path.write_bytes(np.concatenate(columns).tobytes())
    return str(path)


def write_parquet_files(folder: Path, declaration: Declaration, batches: Iterable[Batch], files: int) -> str:
    """Writes a Parquet data set with a list of keys for each slot, its batches dealt to ``files`` files in turn."""
    tables = [_table(declaration, batch) for batch in batches]
    dealt = [pa.concat_tables(tables[k::files]) for k in range(files)]
    labels = sum(label.dim for label in declaration.labels)
    places = list(range(dealt[0].num_columns))
    dense = labels + declaration.dense_dim
    groups = {"labels": places[:labels], "conts": places[labels:dense], "cats": places[dense:]}
    return str(write_parquet(folder, dealt, groups))


def _table(declaration: Declaration, batch: Batch) -> pa.Table:
    columns = {f"label{i}": c for i, c in enumerate(batch.label.astype("f4").T)}
    columns.update({f"dense{i}": c for i, c in enumerate(batch.dense.astype("f4").T)})
    for spec in declaration.inputs:
        bags = batch.sparse[spec.name]
        lists = np.split(bags.keys, bags.offsets[1:-1])
        columns.update({f"{spec.name}{s}": lists[s :: bags.slots] for s in range(bags.slots)})
    return pa.table({name: pa.array(list(column)) for name, column in columns.items()})


def first_keys(spec: SparseInput) -> Array:
    return np.cumsum(spec.slot_sizes) - spec.slot_sizes


def write_weights(
    folder: Path, declaration: Declaration, dense: Array, tables: dict[str, tuple[Array, Array]]
) -> tuple[str, list[str]]:
    """Model files with the given weights: the dense file and one folder for each embedding."""
    folder.mkdir(parents=True, exist_ok=True)
    dense.astype("<f4").tofile(folder / "dense.model")
    sparse = []
    for e in declaration.embeddings:
        keys, vectors = tables[e.name]
        target = folder / f"{e.name}.model"
        target.mkdir(exist_ok=True)
        keys.astype("<i8").tofile(target / "key")
        vectors.astype("<f4").tofile(target / "emb_vector")
        if e.type.startswith("Localized"):
            slots = np.searchsorted(first_keys(declaration.input_of(e)), keys, side="right") - 1
            slots.astype("<u8").tofile(target / "slot_id")
        sparse.append(str(target))
    return str(folder / "dense.model"), sparse


def load_weights(
    model: hugectr.Model, folder: Path, declaration: Declaration, dense: Array, tables: dict[str, tuple[Array, Array]]
) -> None:
    """Gives the model these weights, by way of files in ``folder``."""
    dense_file, sparse_files = write_weights(folder, declaration, dense, tables)
    model.load_dense_weights(dense_file)
    model.load_sparse_weights(sparse_files)


def read_table(folder: Path | str, dim: int) -> tuple[Array, Array]:
    """Keys and vectors of a saved embedding, in key order."""
    keys = np.fromfile(Path(folder) / "key", "<i8")
    vectors = np.fromfile(Path(folder) / "emb_vector", "<f4").reshape(-1, dim)
    order = np.argsort(keys)
    return keys[order], vectors[order]


def create_optimizer(o: Optimizer) -> Any:
    return hugectr.CreateOptimizer(
        optimizer_type=getattr(hugectr.Optimizer_t, o.kind),
        update_type=getattr(hugectr.Update_t, o.update),
        beta1=o.beta1,
        beta2=o.beta2,
        epsilon=o.epsilon,
        initial_accu_value=o.initial_accu_value,
        momentum_factor=o.momentum_factor,
        beta=o.beta if o.kind in ("Ftrl", "RMSProp") else None,
        lambda1=o.lambda1,
        lambda2=o.lambda2,
    )


def create_model(
    declaration: Declaration,
    optimizer: Optimizer,
    source: str,
    *,
    eval_source: str | None = None,
    batch_size: int = 32,
    ranks: int = 1,
    reader: dict[str, Any] | None = None,
    compile: bool = True,
    add_input: bool = True,
    **solver: Any,
) -> hugectr.Model:
    """A compiled model that reads ``source`` with one worker; ``reader`` and ``solver`` add keyword arguments."""
    solver = {"batchsize": batch_size, "batchsize_eval": batch_size, "vvgpu": [list(range(ranks))], "seed": 1, **solver}
    reader = {
        "data_reader_type": hugectr.DataReaderType_t.Norm,
        "check_type": hugectr.Check_t.Sum,
        "num_workers": 1,
        **(reader or {}),
    }
    model = hugectr.Model(
        hugectr.CreateSolver(**solver),
        hugectr.DataReaderParams(source=[source], eval_source=eval_source or source, **reader),
        create_optimizer(optimizer),
    )
    if add_input:
        model.add(_input(declaration))
    for e in declaration.embeddings:
        more: dict[str, Any] = {"optimizer": create_optimizer(e.optimizer)} if e.optimizer else {}
        if e.sized or e.type == ONE_HOT:
            more["slot_size_array"] = list(declaration.input_of(e).slot_sizes)
        model.add(
            hugectr.SparseEmbedding(
                embedding_type=getattr(hugectr.Embedding_t, e.type),
                workspace_size_per_gpu_in_mb=e.workspace_mb,
                embedding_vec_size=e.dim,
                combiner=e.combiner,
                sparse_embedding_name=e.name,
                bottom_name=e.bottom,
                **more,
            )
        )
    add_layers(model, declaration.nodes)
    if compile:
        model.compile()
    return model


def _input(declaration: Declaration) -> hugectr.Input:
    sparse = [hugectr.DataReaderSparseParam(s.name, s.nnz, s.fixed, len(s.slot_sizes)) for s in declaration.inputs]
    return hugectr.Input(
        label_dims=[label.dim for label in declaration.labels],
        label_names=[label.name for label in declaration.labels],
        label_weights=[label.weight for label in declaration.labels],
        dense_dim=declaration.dense_dim,
        dense_name="dense",
        data_reader_sparse_param_array=sparse,
    )


def add_layers(model: hugectr.Model, nodes: Iterable[Node]) -> None:
    for node in nodes:
        args = dict(node.args)
        if "regularizer_type" in args:
            args["regularizer_type"] = getattr(hugectr.Regularizer_t, args["regularizer_type"])
        model.add(hugectr.DenseLayer(getattr(hugectr.Layer_t, node.type), list(node.bottoms), list(node.tops), **args))


def train(model: hugectr.Model, steps: int, scheduled: bool = True) -> list[float]:
    """Losses of the next ``steps`` batches; the reader must be running."""
    schedule, losses = model.get_learning_rate_scheduler(), []
    for _ in range(steps):
        if scheduled:
            model.set_learning_rate(schedule.get_next())
        assert model.train()
        losses.append(model.get_current_loss())
    return losses


def evaluate(model: hugectr.Model, batches: int) -> dict[str, float]:
    for _ in range(batches):
        assert model.eval()
    return dict(model.get_eval_metrics())
