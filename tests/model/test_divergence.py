# SPDX-License-Identifier: Apache-2.0
"""A loss or weight that is not finite ends training before a snapshot is replaced, and says since when and where."""

from __future__ import annotations

import re
from pathlib import Path

import hugectr
import numpy as np
import pytest
from harness import training
from harness.declaration import node
from harness.reference_optimizers import Optimizer
from model.tiny import tiny, tiny_batch

SGD = Optimizer("SGD")
QUIET = {"display": 0, "eval_interval": 0, "snapshot": 0}
LARGE = 3e38  # times a weight of 10 it is no float
RANKS = pytest.mark.parametrize("ranks", [1, 2])


def model_of(folder: Path, bad: int, ranks: int = 1, batches: int = 8, **options) -> hugectr.Model:
    """A model whose loss is not finite in batch `bad`, by a sample of the last rank."""
    rows = [[[1.0, 0], [-1, 0], [2, 0], [LARGE if i == bad else -2, 0]] for i in range(batches)]
    source = training.write_norm(folder / "data", tiny(), [tiny_batch(r, [0, 1, 0, 1]) for r in rows])
    model = training.create_model(tiny(), SGD, source, batch_size=4, ranks=ranks, **{"lr": 1e-3, **options})
    np.array([10, 0, 0], "<f4").tofile(folder / "dense")
    model.load_dense_weights(str(folder / "dense"))
    return model


def message(error) -> str:
    assert isinstance(error.value, hugectr.TrainingDivergedError)
    assert isinstance(error.value, (RuntimeError, ArithmeticError)) and not isinstance(error.value, ValueError)
    return str(error.value)


@RANKS
@pytest.mark.parametrize("options", [{}, {"display": 1}, {"display": 3}, {"eval_interval": 7}, {"snapshot": 6}])
def test_fit_says_since_when_and_where(options, ranks, tmp_path):
    model = model_of(tmp_path, 5, ranks)
    with pytest.raises(RuntimeError) as error:
        model.fit(max_iter=8, snapshot_prefix=str(tmp_path / "s"), **{**QUIET, **options})
    assert re.search(r'Train Runtime error: Loss cannot converge.* iteration 5, .*layer "fc"', message(error))
    assert not list(tmp_path.glob("s*"))


def test_a_further_fit_counts_its_own_iterations(tmp_path):
    model = model_of(tmp_path, 5)
    model.fit(max_iter=3, **QUIET)
    with pytest.raises(RuntimeError, match="iteration 2,"):
        model.fit(max_iter=5, **QUIET)


def test_an_epoch_counts_too(tmp_path):
    model = model_of(tmp_path, 5, repeat_dataset=False)
    with pytest.raises(RuntimeError, match="iteration 5,"):
        model.fit(num_epochs=2, **QUIET)


@RANKS
def test_snapshots_stay_as_they_were(ranks, tmp_path):
    model, prefix = model_of(tmp_path, 5, ranks), str(tmp_path / "s")
    with pytest.raises(hugectr.TrainingDivergedError):
        model.fit(max_iter=8, snapshot_prefix=prefix, **{**QUIET, "snapshot": 1})
    assert sorted(f.name for f in tmp_path.glob("s_dense_*")) == [f"s_dense_{i}.model" for i in range(1, 5)]
    before = {f: f.read_bytes() for f in tmp_path.rglob("s*") if f.is_file()}
    with pytest.raises(RuntimeError, match=r'training step 5, .*layer "fc"') as error:
        model.save_params_to_files(prefix, 4)
    message(error)
    assert {f: f.read_bytes() for f in tmp_path.rglob("s*") if f.is_file()} == before


def test_good_weights_make_the_model_usable_again(tmp_path):
    model, prefix = model_of(tmp_path, 1), str(tmp_path / "s")
    model.save_params_to_files(prefix)
    with pytest.raises(hugectr.TrainingDivergedError):
        model.fit(max_iter=2, **QUIET)
    with pytest.raises(hugectr.TrainingDivergedError):
        model.save_params_to_files(prefix)
    model.load_dense_weights(f"{prefix}_dense_0.model")
    model.load_sparse_weights([f"{prefix}0_sparse_0.model"])
    model.fit(max_iter=4, **QUIET)
    model.save_params_to_files(prefix, 1)
    assert np.isfinite(np.fromfile(f"{prefix}_dense_1.model", "<f4")).all()


def test_a_loop_of_ones_own_cannot_save(tmp_path):
    model = model_of(tmp_path, 1)
    model.start_data_reading()
    training.train(model, 1)
    model.save_params_to_files(str(tmp_path / "s"))
    assert not np.isfinite(training.train(model, 1)).all()
    with pytest.raises(hugectr.TrainingDivergedError, match="training step 1"):
        model.save_params_to_files(str(tmp_path / "s"))


def test_a_last_step_that_overflows_a_weight(tmp_path):
    """The loss is finite in every step; what it leaves behind is not."""
    model = model_of(tmp_path, -1, lr=LARGE)
    with pytest.raises(RuntimeError, match=r'after 1 iterations the weight of layer "fc" .* is not finite') as error:
        model.fit(max_iter=1, **QUIET)
    message(error)
    with pytest.raises(hugectr.TrainingDivergedError, match='nothing is saved: the weight of layer "fc"'):
        model.save_params_to_files(str(tmp_path / "s"))
    assert not list(tmp_path.glob("s*"))


@RANKS
def test_a_row_that_is_not_finite_is_not_saved(ranks, tmp_path):
    keys, vectors = np.array([7, 300]), np.array([[0, 1], [np.inf, 0]])
    _, sparse = training.write_weights(tmp_path / "w", tiny(), np.zeros(3), {"embedding": (keys, vectors)})
    model = model_of(tmp_path, -1, ranks)
    model.load_sparse_weights(sparse)
    with pytest.raises(hugectr.TrainingDivergedError, match='vector of key 300 in embedding "embedding"'):
        model.save_params_to_files(str(tmp_path / "s"))


def test_it_begins_in_an_embedding(tmp_path):
    """A row of which the data know nothing bad."""
    keys, vectors = np.array([7, 300]), np.array([[0, 1], [np.nan, 0]])
    _, sparse = training.write_weights(tmp_path / "w", tiny(), np.zeros(3), {"embedding": (keys, vectors)})
    model = model_of(tmp_path, -1)
    model.load_sparse_weights(sparse)
    with pytest.raises(hugectr.TrainingDivergedError, match='iteration 0, .*the output of embedding "embedding"'):
        model.fit(max_iter=8, **QUIET)


def test_it_looks_even_when_nothing_else_is_due(tmp_path):
    model = model_of(tmp_path, 5)
    steps = []
    with pytest.raises(hugectr.TrainingDivergedError):
        model._engine.fit(0, 100_000_000, 0, 0, 0, "", lambda progress: steps.append(progress["iteration"]))
    assert not steps or steps[-1] <= 1000


def test_running_statistics_are_looked_at(tmp_path):
    """A variance beyond floats: what training computes is finite, what an evaluation would compute is not."""
    declaration = tiny(dense_nodes=(node("BatchNorm", "dense", "x", factor=0.5),))
    rows = [[0.1 * LARGE, 1], [-0.1 * LARGE, 2], [0, 3], [1, 5]]
    source = training.write_norm(tmp_path / "data", declaration, [tiny_batch(rows, [0, 1, 0, 1])])
    model = training.create_model(declaration, SGD, source, batch_size=4, lr=0.0)
    with pytest.raises(hugectr.TrainingDivergedError, match=r'the running var of layer "x" \(BatchNorm\)'):
        model.fit(max_iter=2, **QUIET)


def test_an_optimizer_state_that_is_not_finite_is_not_saved(tmp_path):
    """The square of a gradient beyond floats; the loss and the weights are finite."""
    batch = tiny_batch([[1e25, 1], [1e25, 2], [0, 3], [1, 5]], [0, 1, 0, 1])
    source = training.write_norm(tmp_path / "data", tiny(), [batch])
    model = training.create_model(tiny(), Optimizer("AdaGrad", "Local"), source, batch_size=4, lr=0.0)
    model.start_data_reading()
    model.train()
    with pytest.raises(hugectr.TrainingDivergedError, match="an optimizer state of the dense weights is not finite"):
        model.save_params_to_files(str(tmp_path / "s"))
    assert not list(tmp_path.glob("s*"))
