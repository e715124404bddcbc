# SPDX-License-Identifier: Apache-2.0
"""The same seed gives the same bits: losses, metrics and every checkpoint file."""

from __future__ import annotations

import numpy as np
import pytest
from harness import reference, training
from harness.reference_optimizers import Optimizer
from model.small_models import small
from model.test_ranks import with_dropout

BATCH, STEPS = 64, 20


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    declaration = with_dropout(small("wdl", nnz=3, fixed=False))
    rng = np.random.default_rng(4)
    batches = [reference.random_batch(declaration, BATCH, rng) for _ in range(STEPS)]
    return declaration, training.write_norm(tmp_path_factory.mktemp("data"), declaration, batches, files=4)


def run(folder, source, seed=11, ranks=1, **solver):
    declaration, file_list = source
    model = training.create_model(
        declaration,
        Optimizer("Adam", "LazyGlobal"),
        file_list,
        batch_size=BATCH,
        ranks=ranks,
        lr=0.01,
        seed=seed,
        reader={"num_workers": 3},
        **solver,
    )
    model.start_data_reading()
    losses = training.train(model, STEPS)
    metrics = training.evaluate(model, 4)
    folder.mkdir()
    model.save_params_to_files(str(folder / "model"), STEPS)
    return losses, metrics, {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("ranks", [1, 2])
def test_same_seed_same_bits(source, ranks, tmp_path):
    first, second = (run(tmp_path / str(i), source, ranks=ranks) for i in range(2))
    assert first[0] == second[0]
    assert first[1] == second[1]
    assert first[2].keys() == second[2].keys() and len(first[2]) >= 8
    assert [name for name in first[2] if first[2][name] != second[2][name]] == []


def test_another_seed_is_another_run(source, tmp_path):
    assert run(tmp_path / "a", source, seed=11)[0] != run(tmp_path / "b", source, seed=12)[0]


def test_seed_zero_draws_one(source, tmp_path):
    assert run(tmp_path / "a", source, seed=0)[0] != run(tmp_path / "b", source, seed=0)[0]


def test_thread_count_moves_rounding_only(source, tmp_path, monkeypatch):
    losses = []
    for threads in ("1", "2"):
        monkeypatch.setenv("HUGECTR_NUM_THREADS", threads)
        losses.append(run(tmp_path / threads, source)[0])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-6)


def test_recorded_steps_are_those_run_one_by_one(source, tmp_path):
    assert run(tmp_path / "a", source) == run(tmp_path / "b", source, use_cuda_graph=False)
