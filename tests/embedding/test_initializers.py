# SPDX-License-Identifier: Apache-2.0
"""Rows of keys that training meets for the first time: their distribution, for every type and number of ranks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import hugectr
import numpy as np
import pytest
from harness import reference, training
from harness.declaration import Declaration, Embedding, SparseInput, node
from harness.reference_optimizers import Optimizer
from hugectr import Initializer, Initializer_t

DISTRIBUTED, LOCALIZED = "DistributedSlotSparseEmbeddingHash", "LocalizedSlotSparseEmbeddingHash"
SIZES, DIM, BATCH = (1500, 700), 6, 2000
KEYS, TRUNCATED = sum(SIZES), 0.87962566103423978
GIVEN = [  # initializer, shape of the distribution, bound or standard deviation
    (Initializer_t.Default, "uniform", 0.05),
    (Initializer_t.Uniform, "uniform", 0.05),
    (Initializer(Initializer_t.Uniform, 0.002), "uniform", 0.002),
    (Initializer(Initializer_t.Normal, 1e-4), "normal", 1e-4),
    (Initializer(Initializer_t.Constant, -0.25), "constant", -0.25),
    (Initializer_t.Zero, "constant", 0.0),
]
XAVIER = [
    (Initializer_t.XavierUniform, "uniform", np.sqrt(6 / (KEYS + DIM))),
    (Initializer_t.XavierNorm, "normal", np.sqrt(2 / (KEYS + DIM)) / TRUNCATED),
]


def declaration(kind: str, sized: bool = False) -> Declaration:
    return Declaration(
        "rows",
        1,
        (SparseInput("data1", SIZES),),
        (Embedding("e", "data1", DIM, type=kind, sized=sized),),
        (
            node("Reshape", "e", "flat", leading_dim=2 * DIM),
            node("Concat", "flat dense", "all"),
            node("InnerProduct", "all", "logit", num_output=1),
            node("BinaryCrossEntropyLoss", "logit label", "loss"),
        ),
    )


def build(folder: Path, made: Declaration, initializer, ranks: int = 1) -> hugectr.Model:
    rng = np.random.default_rng(3)
    source = training.write_norm(folder, made, [reference.random_batch(made, BATCH, rng) for _ in range(2)])
    model = training.create_model(
        replace(made, embeddings=(), nodes=()), Optimizer("SGD"), source, batch_size=BATCH, lr=0.0, ranks=ranks,
        compile=False,
    )  # fmt: skip
    (e,) = made.embeddings
    sizes = list(SIZES) if e.sized or e.type == training.ONE_HOT else []
    model.add(
        hugectr.SparseEmbedding(
            getattr(hugectr.Embedding_t, e.type), 1, DIM, "sum", "e", "data1", sizes, initializer=initializer
        )
    )
    training.add_layers(model, made.nodes)
    model.compile()
    return model


def rows(folder: Path, model: hugectr.Model, steps: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Keys and vectors once both batches have been trained on, at a learning rate of 0."""
    model.start_data_reading()
    training.train(model, steps)
    model.save_params_to_files(str(folder / "trained"))
    return training.read_table(folder / "trained0_sparse_0.model", DIM)


def check(values: np.ndarray, kind: str, a: float) -> None:
    values, a = values.ravel().astype(np.float64), np.float64(np.float32(a))
    n = values.size
    if kind == "constant":
        assert (values == a).all()
        return
    deviation, fourth = (a / np.sqrt(3), 1.8) if kind == "uniform" else (a, 3.0)
    assert abs(values.mean()) < 5 * deviation / np.sqrt(n)
    assert abs(values.var() / deviation**2 - 1) < 5 * np.sqrt((fourth - 1) / n)
    if kind == "uniform":
        assert a * (1 - 20 / n) < np.abs(values).max() <= a
    else:
        assert (np.abs(values) < a).mean() == pytest.approx(0.6827, abs=3 / np.sqrt(n))


@pytest.mark.parametrize(("initializer", "kind", "a"), GIVEN)
@pytest.mark.parametrize("type", [DISTRIBUTED, LOCALIZED])
def test_hashed_rows(type, initializer, kind, a, tmp_path):
    keys, vectors = rows(tmp_path, build(tmp_path, declaration(type), initializer))
    assert len(keys) > 0.8 * KEYS
    check(vectors, kind, a)
    again, same = rows(tmp_path, build(tmp_path, declaration(type), initializer, ranks=2))
    np.testing.assert_array_equal(again, keys)
    np.testing.assert_array_equal(same, vectors)


@pytest.mark.parametrize(("initializer", "kind", "a"), [*GIVEN[2:], *XAVIER])
def test_one_hot_rows(initializer, kind, a, tmp_path):
    check(rows(tmp_path, build(tmp_path, declaration(training.ONE_HOT), initializer), 0)[1], kind, a)


@pytest.mark.parametrize(("initializer", "kind", "a"), XAVIER)
def test_xavier_of_hashed_rows(initializer, kind, a, tmp_path):
    check(rows(tmp_path, build(tmp_path, declaration(LOCALIZED, sized=True), initializer))[1], kind, a)
    for type in (DISTRIBUTED, LOCALIZED):
        with pytest.raises(
            ValueError, match=rf'embedding "e": initializer {initializer.name} needs the slot_size_array'
        ):
            build(tmp_path, declaration(type), initializer)


@pytest.mark.parametrize("type", [DISTRIBUTED, LOCALIZED, training.ONE_HOT])
def test_keys_are_positions(type, tmp_path):
    steps = 0 if type == training.ONE_HOT else 2  # it has all keys from the start
    keys, vectors = rows(tmp_path, build(tmp_path, declaration(type), Initializer_t.Sinusoidal), steps)
    column = np.arange(DIM)
    angle = keys[:, None] / 10000.0 ** (column // 2 * 2 / DIM)
    np.testing.assert_allclose(vectors, np.where(column % 2 == 0, np.sin(angle), np.cos(angle)), rtol=0, atol=1e-6)


def test_a_graph_file_keeps_them(tmp_path):
    model = build(tmp_path, declaration(DISTRIBUTED), Initializer(Initializer_t.Normal, 1e-4))
    model.graph_to_json(tmp_path / "graph.json")
    entry = json.loads((tmp_path / "graph.json").read_text())["layers"][1]
    assert entry["sparse_embedding_hparam"]["initializer"] == "Normal(0.0001)"
    again = training.create_model(
        Declaration("rows", 1, (), (), ()), Optimizer("SGD"), str(tmp_path / "list.txt"), batch_size=BATCH, lr=0.0,
        compile=False, add_input=False,
    )  # fmt: skip
    again.construct_from_json(tmp_path / "graph.json", True)
    again.compile()
    expected = rows(tmp_path, model)[1]
    np.testing.assert_array_equal(rows(tmp_path, again)[1], expected)
