# SPDX-License-Identifier: Apache-2.0
"""Bad models and bad calls get an error that names the thing as the user wrote it, and change nothing."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import hugectr
import pytest
from harness import training
from harness.declaration import Declaration, Embedding, SparseInput, node
from harness.reference_optimizers import Optimizer
from model.tiny import LOCALIZED, tiny, tiny_data

SGD = Optimizer("SGD")


def changed(**nodes: object) -> Declaration:
    """The tiny model with nodes replaced, by the name of their output; a tuple stands for several."""
    declaration, result = tiny(), []
    for n in declaration.nodes:
        new = nodes.pop(n.tops[0], n)
        result += new if isinstance(new, tuple) else [new]
    assert not nodes
    return replace(declaration, nodes=tuple(result))


def create(folder, declaration, **options):
    return training.create_model(declaration, SGD, tiny_data(folder, declaration), batch_size=4, **options)


BAD_GRAPHS = {
    "unknown bottom": (changed(fc=node("InnerProduct", "densee", "fc")), ["fc", "densee", "dense"]),
    "produced later": (changed(fc=node("Add", "dense wide", "fc")), ["fc", "wide"]),
    "cycle": (
        changed(fc=(node("Add", "dense b", "a"), node("ReLU", "a", "b"), node("InnerProduct", "b", "fc"))),
        ["a", "b"],
    ),
    "both bottom and top": (changed(fc=node("ReLU", "dense", "dense")), ["dense"]),
    "defined twice": (changed(fc=(node("InnerProduct", "dense", "fc"), node("InnerProduct", "dense", "fc"))), ["fc"]),
    "name of an input": (changed(fc=node("InnerProduct", "dense", "label")), ["label"]),
    "unused tensor": (changed(fc=(node("InnerProduct", "dense", "fc"), node("ReLU", "dense", "idle"))), ["idle"]),
    "shapes": (changed(fc=node("InnerProduct", "dense", "fc", num_output=3)), ["logit", "[4, 3]", "[4, 1]"]),
    "logit width": (changed(loss=node("BinaryCrossEntropyLoss", "flat label", "loss")), ["loss", "[4, 4]"]),
    "rank": (changed(fc=node("MultiCross", "embedding", "fc", num_layers=1)), ["fc", "[4, 2, 2]"]),
    "reshape": (changed(flat=node("Reshape", "embedding", "flat", leading_dim=3)), ["flat", "3", "[4, 2, 2]"]),
    "slice": (
        changed(fc=(node("Slice", "dense", "x", ranges=[(1, 3)]), node("InnerProduct", "x", "fc"))),
        ["x", "3", "[4, 2]"],
    ),
    "no outputs": (changed(fc=node("InnerProduct", "dense", "fc", num_output=0)), ["fc", "num_output", "0"]),
    "too many tops": (changed(fc=node("InnerProduct", "dense", "fc more")), ["fc", "2"]),
    "too few bottoms": (changed(logit=node("Add", "fc", "logit")), ["logit", "2", "1"]),
    "second loss of a label": (
        changed(
            loss=(
                node("BinaryCrossEntropyLoss", "logit label", "loss"),
                node("BinaryCrossEntropyLoss", "fc label", "loss2"),
            )
        ),
        ["label"],
    ),
    "loss without label": (changed(loss=node("BinaryCrossEntropyLoss", "logit fc", "loss")), ["loss", "fc"]),
    "label without loss": (changed(loss=node("ReLU", "logit", "end")), ["label"]),
    "dropout rate": (
        changed(fc=(node("Dropout", "dense", "x", dropout_rate=1.5), node("InnerProduct", "x", "fc"))),
        ["x", "dropout_rate", "1.5"],
    ),
    "batch norm factor": (
        changed(fc=(node("BatchNorm", "dense", "x", factor=3.0), node("InnerProduct", "x", "fc"))),
        ["x", "factor", "between 0 and 1", "3"],
    ),
    "penalty": (
        changed(loss=node("BinaryCrossEntropyLoss", "logit label", "loss", use_regularizer=True, lambda_=-1.0)),
        ["loss", "lambda", "at least 0", "-1"],
    ),
    "time step": (changed(flat=node("Reshape", "embedding", "flat", leading_dim=4, time_step=-1)), ["time_step"]),
    "no dense input": (replace(tiny(), dense_dim=0), ['"dense"', "dense_dim is 0"]),
    "combiner": (replace(tiny(), embeddings=(Embedding("embedding", "data1", 2, "max"),)), ["max", "sum", "mean"]),
    "vector size": (replace(tiny(), embeddings=(Embedding("embedding", "data1", 1025),)), ["embedding", "1025"]),
    "no workspace": (
        replace(tiny(), embeddings=(Embedding("embedding", "data1", 2, workspace_mb=0),)),
        ["embedding", "workspace_size_per_gpu_in_mb"],
    ),
    "sparse input": (replace(tiny(), embeddings=(Embedding("embedding", "data2", 2),)), ["data2", "data1"]),
    "embedding twice": (replace(tiny(), embeddings=(Embedding("embedding", "data1", 2),) * 2), ["embedding"]),
    "unused embedding": (replace(tiny(), embeddings=(*tiny().embeddings, Embedding("idle", "data1", 2))), ["idle"]),
    "sparse input twice": (
        replace(tiny(), inputs=(SparseInput("data1", (8, 293)), SparseInput("data1", (3,)))),
        ["data1"],
    ),
}


@pytest.mark.parametrize("case", BAD_GRAPHS)
def test_bad_graph(case, tmp_path):
    declaration, words = BAD_GRAPHS[case]
    source = tiny_data(tmp_path, tiny())
    with pytest.raises(RuntimeError) as error:
        training.create_model(declaration, SGD, source, batch_size=4)
    message = str(error.value)
    assert [w for w in words if w not in message] == [], message
    assert isinstance(error.value, (ValueError, KeyError))


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"batchsize": 6}, ["batchsize", "6", "4"]),
        ({"batchsize_eval": 6}, ["batchsize_eval", "6", "4"]),
        ({"batchsize": 0}, ["batchsize", "0"]),
        ({"vvgpu": [[0, 0]]}, ["vvgpu", "0"]),
        ({"vvgpu": []}, ["vvgpu"]),
        ({"lr": -1.0}, ["-1"]),
        ({"warmup_steps": 0}, ["warmup_steps", "0"]),
        ({"decay_steps": 0}, ["decay_steps", "0"]),
        ({"use_mixed_precision": True, "enable_tf32_compute": True, "scaler": 1024}, ["enable_tf32_compute"]),
        ({"use_mixed_precision": True}, ["scaler", "128", "1024"]),
    ],
)
def test_bad_solver(arguments, words, tmp_path):
    options = {"batchsize": 8, "batchsize_eval": 8, "vvgpu": [[0, 1, 2, 3]], **arguments}
    with pytest.raises(RuntimeError) as error:
        create(tmp_path, tiny(), **options)
    assert [w for w in words if w not in str(error.value)] == [], str(error.value)


def test_unknown_keywords_are_named():
    with pytest.raises(TypeError, match="num_outputt"):
        hugectr.DenseLayer(hugectr.Layer_t.InnerProduct, ["a"], ["b"], num_outputt=3)
    with pytest.raises(TypeError, match="learning_rate"):
        hugectr.CreateSolver(learning_rate=1)


def test_one_hot_needs_its_sizes_and_sgd(tmp_path):
    sizes = {"slot_size_array": [8, 293]}
    for arguments, optimizer, word in (
        (sizes, Optimizer("Adam"), "SGD"),
        ({}, SGD, "slot_size_array"),
        ({"slot_size_array": [8]}, SGD, "slot_size_array"),
    ):
        model = create(tmp_path, replace(tiny(), embeddings=(), nodes=()), compile=False)
        with pytest.raises(RuntimeError, match=f"(?s)embedding.*{word}"):
            model.add(
                hugectr.SparseEmbedding(
                    embedding_type=hugectr.Embedding_t.LocalizedSlotSparseEmbeddingOneHot,
                    embedding_vec_size=2,
                    combiner="sum",
                    sparse_embedding_name="embedding",
                    bottom_name="data1",
                    optimizer=training.create_optimizer(optimizer),
                    **arguments,
                )
            )
            for n in tiny().nodes:
                model.add(hugectr.DenseLayer(getattr(hugectr.Layer_t, n.type), list(n.bottoms), list(n.tops), **n.args))
            model.compile()


def test_calls_before_compile(tmp_path):
    model = create(tmp_path, tiny(), compile=False)
    for call in (
        lambda: model.load_dense_weights("x"),
        lambda: model.load_sparse_weights(["x"]),
        model.train,
        lambda: model.save_params_to_files(str(tmp_path / "out")),
    ):
        with pytest.raises(RuntimeError, match="compile"):
            call()


def test_sources_open_when_reading_starts(tmp_path):
    model = training.create_model(tiny(), SGD, str(tmp_path / "absent.txt"), batch_size=4)
    with pytest.raises(RuntimeError, match="absent.txt"):
        model.start_data_reading()
        model.train()


def test_weights_of_another_model(tmp_path):
    model, other = (
        create(tmp_path / "a", tiny()),
        create(tmp_path / "b", tiny(dense_nodes=(node("InnerProduct", "dense", "x", num_output=5),))),
    )
    other.save_params_to_files(str(tmp_path / "other"))
    with pytest.raises(RuntimeError, match=r"(?s)other_dense_0.model.*"):
        model.load_dense_weights(str(tmp_path / "other_dense_0.model"))
    wide = create(
        tmp_path / "c",
        replace(
            tiny(),
            embeddings=(Embedding("embedding", "data1", 4),),
            nodes=(tiny().nodes[0], node("Reshape", "embedding", "flat", leading_dim=8), *tiny().nodes[2:]),
        ),
    )
    wide.start_data_reading()
    training.train(wide, 1)
    wide.save_params_to_files(str(tmp_path / "wide"))
    with pytest.raises(RuntimeError, match="embedding_vec_size"):
        model.load_sparse_weights([str(tmp_path / "wide0_sparse_0.model")])


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    folder.chmod(0o500)
    yield
    folder.chmod(0o700)


@contextmanager
def directory_in_the_way(folder: Path) -> Iterator[None]:
    """Root, too, cannot replace a directory that holds something by a file."""
    (folder / "s_dense_0.model").unlink()
    (folder / "s_dense_0.model" / "full").mkdir(parents=True)
    yield


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Writing fails part of the way, as on a full disk: no file may grow beyond 100 kB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    "obstacle",
    [
        pytest.param(read_only, marks=pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")),
        directory_in_the_way,
        full_disk,
    ],
)
def test_a_failed_save_keeps_the_old_snapshot(obstacle, tmp_path):
    source = tiny_data(tmp_path / "data", tiny(LOCALIZED))
    model = training.create_model(tiny(LOCALIZED), Optimizer("Adam"), source, batch_size=4)
    folder = tmp_path / "out"
    folder.mkdir()
    model.save_params_to_files(str(folder / "s"))
    model.start_data_reading()
    training.train(model, 2)
    with obstacle(folder):
        before = files_in(folder)
        with pytest.raises(OSError, match="s_|s0_"):
            model.save_params_to_files(str(folder / "s"))
        assert files_in(folder) == before
    training.train(model, 1)


def files_in(folder: Path) -> dict[Path, bytes]:
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
