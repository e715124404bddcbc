# SPDX-License-Identifier: Apache-2.0
"""A run resumed from a snapshot follows the run that was never stopped."""

from __future__ import annotations

import numpy as np
import pytest
from harness import reference, training
from harness.reference_optimizers import Optimizer
from model.small_models import small
from model.test_ranks import with_dropout
from model.tiny import tiny, tiny_batch, tiny_data

BATCH, STEPS, STOP = 32, 20, 9
UPDATES = [
    ("SGD", "Local"),
    ("AdaGrad", "Local"),
    ("MomentumSGD", "Global"),
    ("Nesterov", "Global"),
    ("Adam", "Local"),
    ("Adam", "Global"),
    ("Adam", "LazyGlobal"),
    ("Ftrl", "Local"),
    ("RMSProp", "Local"),
    ("RMSProp", "Global"),
]


def start(declaration, optimizer, source, ranks):
    return training.create_model(declaration, optimizer, source, batch_size=BATCH, ranks=ranks, lr=0.01)


def load(model, prefix, embeddings, step):
    model.load_dense_weights(f"{prefix}_dense_{step}.model")
    model.load_dense_optimizer_states(f"{prefix}_opt_dense_{step}.model")
    model.load_sparse_weights([f"{prefix}{i}_sparse_{step}.model" for i in range(embeddings)])
    model.load_sparse_optimizer_states([f"{prefix}{i}_opt_sparse_{step}.model" for i in range(embeddings)])


def stopped_and_resumed(folder, declaration, optimizer, ranks_before, ranks_after):
    rng = np.random.default_rng(8)
    batches = [reference.random_batch(declaration, BATCH, rng) for _ in range(STEPS)]
    whole = training.write_norm(folder / "all", declaration, batches)
    never_stopped = start(declaration, optimizer, whole, ranks_before)
    never_stopped.start_data_reading()
    losses = training.train(never_stopped, STOP)
    prefix = str(folder / "snapshot")
    never_stopped.save_params_to_files(prefix, STOP)
    losses += training.train(never_stopped, STEPS - STOP)

    rest = training.write_norm(folder / "rest", declaration, batches[STOP:])
    resumed = start(declaration, optimizer, rest, ranks_after)
    load(resumed, prefix, len(declaration.embeddings), STOP)
    resumed.start_data_reading()
    return losses[STOP:], training.train(resumed, STEPS - STOP)


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("kind, update", UPDATES)
def test_resume(kind, update, ranks, tmp_path):
    declaration = small("wdl", nnz=2, fixed=False)
    optimizer = Optimizer(kind, update, momentum_factor=0.8, initial_accu_value=0.1)
    expected, got = stopped_and_resumed(tmp_path, declaration, optimizer, ranks, ranks)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("before, after", [(1, 2), (2, 1), (2, 4)])
@pytest.mark.parametrize("embedding_type", ["DistributedSlotSparseEmbeddingHash", "LocalizedSlotSparseEmbeddingHash"])
def test_resume_with_another_number_of_ranks(embedding_type, before, after, tmp_path):
    declaration = small("dcn", embedding_type=embedding_type)
    expected, got = stopped_and_resumed(tmp_path, declaration, Optimizer("Adam", "Global"), before, after)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_states_leave_rows_alone_that_came_after_the_load(tmp_path):
    old, new = np.array([7, 300]), np.array([6, 300])
    sources = [
        training.write_norm(tmp_path / name, tiny(), [tiny_batch([[1, 2]] * 4, [1, 0, 0, 1], keys)])
        for name, keys in [("old", old), ("new", new)]
    ]
    models = [training.create_model(tiny(), Optimizer("AdaGrad"), source, batch_size=4) for source in sources]
    states = []
    for name, model in zip("ab", models):
        if name == "b":
            model.load_sparse_weights([str(tmp_path / "a0_sparse_0.model")])
        model.start_data_reading()
        training.train(model, 1)
        if name == "b":
            model.load_sparse_optimizer_states([str(tmp_path / "a0_opt_sparse_0.model")])
        model.save_params_to_files(str(tmp_path / name))
        dim = tiny().embeddings[0].dim
        states.append(np.fromfile(tmp_path / f"{name}0_opt_sparse_0.model", "<f4").reshape(-1, dim))
    np.testing.assert_array_equal(states[1][:2], states[0][:2])
    assert not states[0][2].any() and states[1][2].all()


def test_the_schedule_continues(tmp_path):
    schedule = {"lr": 0.1, "warmup_steps": 5, "decay_start": 7, "decay_steps": 10, "end_lr": 0.001}
    source = tiny_data(tmp_path / "data", tiny(), 1)
    models = [training.create_model(tiny(), Optimizer("SGD"), source, batch_size=4, **schedule) for _ in range(2)]
    quiet = {"display": 0, "eval_interval": 0}
    models[0].fit(max_iter=13, snapshot=6, snapshot_prefix=str(tmp_path / "s"), **quiet)
    load(models[1], tmp_path / "s", 1, 6)
    models[1].fit(max_iter=6, snapshot=0, **quiet)  # iteration 6 was trained before its snapshot
    assert models[1].get_current_loss() == models[0].get_current_loss()


def test_dropout_masks_continue(tmp_path):
    expected, got = stopped_and_resumed(tmp_path, with_dropout(small("dcn")), Optimizer("Adam"), 1, 1)
    np.testing.assert_array_equal(got, expected)


def test_training_states_matter(tmp_path):
    """Without the optimizer states the losses differ, so the tests above see them."""
    declaration = small("dcn")
    rng = np.random.default_rng(8)
    source = training.write_norm(tmp_path, declaration, [reference.random_batch(declaration, BATCH, rng)])
    model = start(declaration, Optimizer("Adam"), source, 1)
    model.start_data_reading()
    training.train(model, 5)
    prefix = str(tmp_path / "snapshot")
    model.save_params_to_files(prefix, 5)
    losses = []
    for states in (True, False):
        resumed = start(declaration, Optimizer("Adam"), source, 1)
        load(resumed, prefix, 1, 5)
        if not states:
            resumed = start(declaration, Optimizer("Adam"), source, 1)
            resumed.load_dense_weights(f"{prefix}_dense_5.model")
            resumed.load_sparse_weights([f"{prefix}0_sparse_5.model"])
        resumed.start_data_reading()
        losses.append(training.train(resumed, 3))
    assert losses[0][0] == losses[1][0] and losses[0][1] != losses[1][1]
