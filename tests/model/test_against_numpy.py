# SPDX-License-Identifier: Apache-2.0
"""Training follows the float64 NumPy re-implementation, from the same weights and batches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from harness import reference, training
from harness.declaration import Declaration, Embedding, SparseInput, node
from harness.reference_optimizers import Optimizer, learning_rate
from model.small_models import MODELS, small

BATCH, STEPS = 32, 20
OPTIMIZERS = {
    "SGD": (Optimizer("SGD"), 0.1),
    "MomentumSGD": (Optimizer("MomentumSGD", momentum_factor=0.8), 0.03),
    "Nesterov": (Optimizer("Nesterov", momentum_factor=0.8), 0.03),
    "AdaGrad": (Optimizer("AdaGrad", initial_accu_value=0.01), 0.03),
    "Adam": (Optimizer("Adam"), 0.005),
    "Ftrl": (Optimizer("Ftrl", beta=1.0, lambda1=0.001, lambda2=0.01), 0.05),
    "RMSProp": (Optimizer("RMSProp", epsilon=1e-2), 0.005),
}
UPDATES = [(kind, update) for kind in OPTIMIZERS for update in ("Local", "Global")] + [("Adam", "LazyGlobal")]
MULTI_HOT = {"nnz": 3, "fixed": False}
LOCALIZED = "LocalizedSlotSparseEmbeddingHash"


def compare(folder, declaration, optimizer, lr, *, ranks=1, loss_tolerance=1e-6, weight_tolerance=2e-6, **schedule):
    rng = np.random.default_rng(5)
    batches = [reference.random_batch(declaration, BATCH, rng) for _ in range(STEPS)]
    dense, tables = reference.initial_weights(declaration, 6), reference.initial_tables(declaration, 7)
    source = training.write_norm(folder, declaration, batches)
    model = training.create_model(declaration, optimizer, source, batch_size=BATCH, ranks=ranks, lr=lr, **schedule)
    training.load_weights(model, folder / "start", declaration, dense, tables)
    model.start_data_reading()
    losses = training.train(model, STEPS)

    expected = reference.Model(declaration, optimizer, dense, tables, BATCH)
    rates = [learning_rate(n, lr, **schedule) for n in range(1, STEPS + 1)]
    np.testing.assert_allclose(losses, [expected.step(b, r) for b, r in zip(batches, rates)], rtol=loss_tolerance)

    model.save_params_to_files(str(folder / "end"), STEPS)
    got = np.fromfile(folder / f"end_dense_{STEPS}.model", "<f4")
    np.testing.assert_allclose(got, expected.dense_vector(), atol=weight_tolerance)
    for i, table in enumerate(expected.tables):
        keys, vectors = training.read_table(folder / f"end{i}_sparse_{STEPS}.model", table.spec.dim)
        np.testing.assert_array_equal(keys, table.keys)
        np.testing.assert_allclose(vectors, table.vectors, atol=weight_tolerance)


@pytest.mark.parametrize("kind, update", UPDATES)
@pytest.mark.parametrize("name", MODELS)
def test_every_optimizer(name, kind, update, tmp_path):
    optimizer, lr = OPTIMIZERS[kind]
    compare(tmp_path, small(name, **MULTI_HOT), replace(optimizer, update=update), lr)


@pytest.mark.parametrize("embedding_type", ["DistributedSlotSparseEmbeddingHash", LOCALIZED])
@pytest.mark.parametrize("combiner", ["sum", "mean"])
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("name", MODELS)
def test_every_placement(name, ranks, combiner, embedding_type, tmp_path):
    declaration = small(name, combiner=combiner, embedding_type=embedding_type, **MULTI_HOT)
    compare(tmp_path, declaration, Optimizer("Adam", "LazyGlobal"), 0.005, ranks=ranks)


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("kind", ["L1", "L2"])
@pytest.mark.parametrize("name", MODELS)
def test_regularizer(name, kind, ranks, tmp_path):
    declaration = small(name, use_regularizer=True, regularizer_type=kind, **{"lambda": 0.02})
    compare(tmp_path, declaration, Optimizer("SGD"), 0.05, ranks=ranks)


def test_schedule(tmp_path):
    schedule = {"warmup_steps": 5, "decay_start": 9, "decay_steps": 8, "decay_power": 2.0, "end_lr": 0.01}
    compare(tmp_path, small("dcn"), Optimizer("MomentumSGD", momentum_factor=0.5), 0.1, **schedule)


def test_embedding_with_its_own_optimizer(tmp_path):
    declaration = small("wdl")
    own = replace(declaration.embeddings[1], optimizer=Optimizer("AdaGrad", "Local", initial_accu_value=0.1))
    compare(tmp_path, replace(declaration, embeddings=(declaration.embeddings[0], own)), Optimizer("Adam"), 0.005)


def test_many_embeddings(tmp_path):
    """More than one launch of a GPU serves."""
    tables = [Embedding(f"e{i}", "data1", 1 + i % 4) for i in range(70)]
    flat = [node("Reshape", e.name, f"flat_{e.name}", leading_dim=3 * e.dim) for e in tables]
    nodes = (
        *flat,
        node("Concat", " ".join(n.tops[0] for n in flat), "all"),
        node("InnerProduct", "all", "fc", num_output=4),
        node("ReduceSum", "fc", "logit", axis=1),
        node("BinaryCrossEntropyLoss", "logit label", "loss"),
    )
    inputs = (SparseInput("data1", (9, 5, 7), 2, False),)
    compare(tmp_path, Declaration("many", 0, inputs, tuple(tables), nodes), Optimizer("SGD"), 0.05)
