# SPDX-License-Identifier: Apache-2.0
"""Declarations that shipped scripts make and their data do not keep: they train, with the right values."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Optional

import hugectr
import numpy as np
import pytest
from hugectr import launch, spec
from hugectr.errors import InvalidArgumentError, OutOfMemoryError, UnsupportedError

from compat import small_data

BATCH = 32
HASH = hugectr.Embedding_t.DistributedSlotSparseEmbeddingHash
ONE_HOT = hugectr.Embedding_t.LocalizedSlotSparseEmbeddingOneHot
HYBRID = hugectr.Embedding_t.HybridSparseEmbedding


def build(
    reader: hugectr.DataReaderParams, sparse: Any, kind: Any = HASH, *, optimizer: Any = None, width: int = 4,
    workspace: int = 1, sizes: Any = (), solver: Optional[dict[str, Any]] = None,
    input: Optional[dict[str, Any]] = None, **embedding: Any,
) -> hugectr.Model:  # fmt: skip
    model = hugectr.Model(
        hugectr.CreateSolver(
            seed=5, batchsize=BATCH, batchsize_eval=BATCH, max_eval_batches=2, lr=0.1, **(solver or {})
        ),
        reader,
        optimizer or hugectr.CreateOptimizer(hugectr.Optimizer_t.SGD, hugectr.Update_t.Local),
    )
    model.add(hugectr.Input(1, "label", small_data.DENSE, "dense", [sparse], **(input or {})))
    values = dict(embedding_type=kind, workspace_size_per_gpu_in_mb=workspace, embedding_vec_size=width, combiner="sum",
                  sparse_embedding_name="e", bottom_name="k", slot_size_array=sizes)  # fmt: skip
    model.add(hugectr.SparseEmbedding(**{**values, **embedding}))
    layer, kind_of = hugectr.DenseLayer, hugectr.Layer_t
    model.add(layer(kind_of.Reshape, ["e"], ["flat"], leading_dim=width * sparse.slot_num))
    model.add(layer(kind_of.Concat, ["flat", "dense"], ["all"]))
    model.add(layer(kind_of.InnerProduct, ["all"], ["fc"], num_output=1))
    model.add(layer(kind_of.BinaryCrossEntropyLoss, ["fc", "label"], ["loss"]))
    model.compile()
    return model


def norm_reader(folder: Path, slots: list[Any]) -> hugectr.DataReaderParams:
    return hugectr.DataReaderParams(
        hugectr.Norm, small_data.norm(folder, slots), eval_source=small_data.norm(folder, slots, "test", 64),
        check_type=hugectr.Check_t.Sum, num_workers=1)  # fmt: skip


def raw_reader(folder: Path, sizes: list[int], **more: Any) -> hugectr.DataReaderParams:
    return hugectr.DataReaderParams(
        hugectr.Raw, small_data.raw(folder, sizes), eval_source=small_data.raw(folder, sizes, "test", 64),
        check_type=hugectr.Check_t.Non, slot_size_array=sizes, **more)  # fmt: skip


def losses(model: hugectr.Model, steps: int = 8) -> list[float]:
    model.start_data_reading()
    return [model.train() and model.get_current_loss() for _ in range(steps)]


def few(i: int) -> list[int]:
    return [i % 9, i % 7 + 20][: 1 + i % 2]


def test_fixed_length_is_a_hint(tmp_path: Path) -> None:
    """Wide & Deep of 3.1 declares 30 keys of fixed length where its data have two."""
    reader = norm_reader(tmp_path, [few])
    fixed = losses(build(reader, hugectr.DataReaderSparseParam("k", 30, True, 1)))
    assert fixed == losses(build(reader, hugectr.DataReaderSparseParam("k", 2, False, 1)))
    assert len(set(fixed)) == len(fixed)


@pytest.mark.parametrize("slots", [[lambda i: [i % 9, i % 7 + 20], lambda i: []], [lambda i: [], lambda i: few(i)]])
def test_an_integer_bounds_a_sample(tmp_path: Path, slots: list[Callable[[int], list[int]]]) -> None:
    reader = norm_reader(tmp_path, slots)
    average = losses(build(reader, hugectr.DataReaderSparseParam("k", 1, False, 2)))
    assert average == losses(build(reader, hugectr.DataReaderSparseParam("k", [2, 2], False, 2)))
    older = hugectr.DataReaderSparseParam(hugectr.DataReaderSparse_t.Distributed, 2, 1, 2)  # type: ignore[arg-type]
    assert average == losses(build(reader, older, input={"sparse_names": ["k"]}))


def test_more_keys_than_that_are_an_error(tmp_path: Path) -> None:
    reader = norm_reader(tmp_path, [lambda i: [1, 2], lambda i: [3] * (i // 40 % 2)])
    text = '"k": 3 keys found in the slots up to 1, at most 2 declared for all of a sample'
    with pytest.raises(InvalidArgumentError, match=f'train.data", sample 40.*{text}'):
        losses(build(reader, hugectr.DataReaderSparseParam("k", 1, False, 2)))
    reader = norm_reader(tmp_path / "list", [lambda i: [1, 2], lambda i: []])
    with pytest.raises(InvalidArgumentError, match='sample 0.*slot 0 of "k": 2 keys found, at most 1 declared'):
        losses(build(reader, hugectr.DataReaderSparseParam("k", [1, 1], False, 2)))


SIZES = [5, 40, 3, 11]


@pytest.mark.parametrize("nnz, fixed", [(2, False), (30, True)])
def test_one_hot_takes_what_comes(tmp_path: Path, nnz: int, fixed: bool) -> None:
    """The DLRM samples declare two keys a slot of a Raw set, which has one."""
    reader = raw_reader(tmp_path, SIZES)
    declared = build(reader, hugectr.DataReaderSparseParam("k", nnz, fixed, 4), ONE_HOT, sizes=SIZES)
    exact = build(reader, hugectr.DataReaderSparseParam("k", 1, True, 4), ONE_HOT, sizes=SIZES)
    assert losses(declared) == losses(exact)


def test_one_hot_graph_files_of_2_3(tmp_path: Path) -> None:
    graph = {"layers": [
        {"type": "Data", "label": {"top": "label", "label_dim": 1}, "dense": {"top": "dense", "dense_dim": 3},
         "sparse": [{"top": "k", "type": "LocalizedSlot", "max_feature_num_per_sample": 4, "slot_num": 4}]},
        {"type": "LocalizedSlotSparseEmbeddingOneHot", "bottom": "k", "top": "e",
         "sparse_embedding_hparam": {"slot_size_array": SIZES, "embedding_vec_size": 4, "combiner": 0}},
        {"type": "Reshape", "bottom": "e", "top": "flat", "leading_dim": 16},
        {"type": "Concat", "bottom": ["flat", "dense"], "top": "all"},
        {"type": "InnerProduct", "bottom": "all", "top": "fc", "fc_param": {"num_output": 1}},
        {"type": "BinaryCrossEntropyLoss", "bottom": ["fc", "label"], "top": "loss"}]}  # fmt: skip
    (tmp_path / "graph.json").write_text(json.dumps(graph))
    reader = raw_reader(tmp_path, SIZES)
    sgd = hugectr.CreateOptimizer(hugectr.Optimizer_t.SGD, hugectr.Update_t.Local)
    model = hugectr.Model(
        hugectr.CreateSolver(seed=5, batchsize=BATCH, batchsize_eval=BATCH, lr=0.1), reader, sgd)  # fmt: skip
    model.construct_from_json(str(tmp_path / "graph.json"), True)
    model.compile()
    exact = build(reader, hugectr.DataReaderSparseParam("k", 1, True, 4), ONE_HOT, sizes=SIZES)
    assert losses(model) == losses(exact)


def test_hybrid_embedding_is_a_one_hot_embedding(tmp_path: Path) -> None:
    """Whatever it says about links between devices; its graph file keeps what it says."""
    reader = raw_reader(tmp_path, SIZES)
    sparse = hugectr.DataReaderSparseParam("k", 1, True, 4)
    types = (hugectr.CommunicationType.IB_NVLink_Hier, hugectr.HybridEmbeddingType.Distributed)
    param = hugectr.HybridEmbeddingParam(3, -1, 0.01, 1.3e11, 2.6e11, 1.0, *types)
    hybrid = build(reader, sparse, HYBRID, sizes=SIZES, hybrid_embedding_param=param)
    expected = losses(build(reader, sparse, ONE_HOT, sizes=SIZES))
    assert losses(hybrid) == expected
    path = str(tmp_path / "hybrid.json")
    hybrid.graph_to_json(path)
    entry = json.loads(Path(path).read_text())["layers"][1]
    assert entry["type"] == "HybridSparseEmbedding"
    hparam = entry["sparse_embedding_hparam"]
    assert hparam["communication_type"] == "IB_NVLink_Hierarchical" and hparam["max_num_frequent_categories"] == 3
    copy = hugectr.Model(
        hugectr.CreateSolver(seed=5, batchsize=BATCH, batchsize_eval=BATCH, lr=0.1), reader, hugectr.CreateOptimizer()
    )
    copy.construct_from_json(path, False)
    written = json.loads(copy._graph.text())["embeddings"][0]["hybrid_embedding_param"]
    assert written["communication_type"] == "IB_NVLink_Hier" and written["max_all_to_all_bandwidth"] == 2.6e11
    with pytest.raises(InvalidArgumentError, match="a one-hot embedding needs SGD"):
        build(reader, sparse, HYBRID, sizes=SIZES, optimizer=hugectr.CreateOptimizer())


def test_rows_of_a_workspace_of_any_release(tmp_path: Path) -> None:
    """1 MiB of vectors of 16 with Adam: 16,384 rows for 3.1 to 3.4, 5,461 for later ones; their states are saved."""
    slots = [lambda i: list(range(40 * i, 40 * i + 40))]
    adam = hugectr.CreateOptimizer(update_type=hugectr.Update_t.Local)
    parts = dict(sparse=hugectr.DataReaderSparseParam("k", 40, False, 1), width=16, optimizer=adam)
    model = build(norm_reader(tmp_path, slots), **parts)
    trained = losses(model)  # 8 batches of 32 samples: 10,240 keys
    prefix = str(tmp_path / "m")
    model.save_params_to_files(prefix, 8)
    states = tmp_path / "m0_opt_sparse_8.model"
    assert len((tmp_path / "m0_sparse_8.model/key").read_bytes()) == 8 * 10240
    assert states.stat().st_size == 2 * 16384 * 16 * 4
    assert json.loads(Path(f"{states}.json").read_text())["rows_of_a_rank"] == 16384
    expected = losses(model)
    for described in (True, False):  # releases until 3.4 saved as many, without a description
        copy = build(norm_reader(tmp_path, slots), **parts)
        if not described:
            for path in tmp_path.glob("m*_opt_*.json"):
                path.unlink()
        copy.load_params_from_files(prefix, 8)
        assert losses(copy) == expected != trained
    full = [lambda i: list(range(80 * i, 80 * i + 80))]
    text = r"uses 15360 rows and gets 2560 new keys, but can hold 16384 rows; workspace_size_per_gpu_in_mb=2 would"
    with pytest.raises(OutOfMemoryError, match=text):
        losses(build(norm_reader(tmp_path / "full", full), **{**parts, "sparse": hugectr.DataReaderSparseParam(
            "k", 80, False, 1)}))  # fmt: skip


def test_rows_instead_of_megabytes(tmp_path: Path) -> None:
    """SparseEmbedding of 3.0, by keywords and by position."""
    reader = norm_reader(tmp_path, [few])
    sparse = hugectr.DataReaderSparseParam("k", 2, False, 1)
    expected = losses(build(reader, sparse))
    assert expected == losses(build(reader, sparse, workspace=0, max_vocabulary_size_per_gpu=100, combiner=0))
    layers = [
        hugectr.SparseEmbedding(HASH, 100, 4, 1, "e", "k"),  # type: ignore[arg-type]
        hugectr.SparseEmbedding(HASH, max_vocabulary_size_per_gpu=100, embedding_vec_size=4, combiner=1,  # type: ignore[arg-type]
                                sparse_embedding_name="e", bottom_name="k"),
    ]  # fmt: skip
    for layer in layers:
        assert (layer.combiner, layer.max_vocabulary_size_per_gpu, layer.workspace_size_per_gpu_in_mb) == (
            "mean", 100, 0)  # fmt: skip


def test_several_rows_of_vvgpu_without_a_launcher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in launch._SIZES:
        monkeypatch.delenv(name, raising=False)
    reader = norm_reader(tmp_path, [few])
    sparse = hugectr.DataReaderSparseParam("k", 2, False, 1)
    nodes = losses(build(reader, sparse, solver={"vvgpu": [[0, 1], [0, 1]]}))
    assert nodes == losses(build(reader, sparse, solver={"vvgpu": [[0, 1, 2, 3]]}))
    for name in launch._SIZES:
        monkeypatch.setenv(name, "2")
        assert launch.processes() == 2
        with pytest.raises(UnsupportedError, match="2 processes were started together"):
            spec.solver_spec(hugectr.CreateSolver(vvgpu=[[0], [1]]))
        monkeypatch.delenv(name)
    assert launch.processes() == 1


MPI = """
import sys, types
mpi4py = types.ModuleType("mpi4py")  # stands for the package, which is not needed
mpi4py.MPI = types.ModuleType("mpi4py.MPI")
sys.modules.update({"mpi4py": mpi4py, "mpi4py.MPI": mpi4py.MPI})
"""


@pytest.mark.parametrize("first", ["import hugectr\nfrom mpi4py import MPI", "from mpi4py import MPI\nimport hugectr"])
def test_mpi4py_before_and_after(first: str) -> None:
    script = f"{MPI}{first}\nhugectr.Model(hugectr.CreateSolver(), hugectr.DataReaderParams(hugectr.Norm, 'a', " \
             "eval_source='b', check_type=hugectr.Check_t.Sum), hugectr.CreateOptimizer())"  # fmt: skip
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_values_of_a_hash_table_do_not_depend_on_the_declaration(tmp_path: Path) -> None:
    """What was declared is a bound: the trained tables are equal byte for byte."""
    reader = norm_reader(tmp_path, [few])
    tables = []
    for i, sparse in enumerate([hugectr.DataReaderSparseParam("k", nnz, fixed, 1) for nnz, fixed in
                                ((2, False), (30, True), ([7], False))]):  # fmt: skip
        model = build(reader, sparse)
        losses(model)
        model.save_params_to_files(str(tmp_path / f"m{i}"))
        tables.append(np.fromfile(tmp_path / f"m{i}0_sparse_0.model/emb_vector", "<f4"))
    assert len(tables[0]) == 16 * 4
    assert all(np.array_equal(tables[0], table) for table in tables)
