# SPDX-License-Identifier: Apache-2.0
"""Every kind of state through save and load: the same files, the same predictions, the same next steps, bit for bit."""

from __future__ import annotations

from dataclasses import replace

import hugectr
import numpy as np
import pytest
from harness import reference, training
from harness.declaration import node
from harness.reference_optimizers import Optimizer
from model.test_resume import UPDATES
from model.tiny import DISTRIBUTED, LOCALIZED, tiny

BATCH, BATCHES, STEPS = 16, 3, 6
SCHEDULE = {"lr": 0.05, "warmup_steps": 4, "decay_start": 5, "decay_steps": 10, "end_lr": 0.001}
LAYERS = (
    node("BatchNorm", "dense", "normal", factor=0.7, eps=1e-5),
    node("MultiCross", "normal", "cross", num_layers=2),
    node("Dropout", "cross", "dropped", dropout_rate=0.3),
    node("BatchNorm", "dropped", "x", factor=0.9, eps=1e-3),
)


def files_of(model, folder):
    folder.mkdir()
    model.save_params_to_files(str(folder / "s"))
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def load(model, folder):
    model.load_dense_weights(str(folder / "s_dense_0.model"))
    model.load_dense_optimizer_states(str(folder / "s_opt_dense_0.model"))
    model.load_sparse_weights([str(folder / "s0_sparse_0.model")])
    model.load_sparse_optimizer_states([str(folder / "s0_opt_sparse_0.model")])


def predictions(model, folder):
    for _ in range(BATCHES):
        assert model.eval()
        model.export_predictions(str(folder / "predictions"), str(folder / "labels"))
    return (folder / "predictions").read_bytes(), model.get_eval_metrics()


def walk(folder, create):
    trained, loaded = create(), create()
    trained.start_data_reading()
    loaded.start_data_reading()
    training.train(trained, STEPS)
    saved = files_of(trained, folder / "trained")
    load(loaded, folder / "trained")
    assert files_of(loaded, folder / "loaded") == saved
    assert predictions(loaded, folder / "loaded") == predictions(trained, folder / "trained")
    assert training.train(loaded, BATCHES) == training.train(trained, BATCHES)
    assert files_of(loaded, folder / "later") == files_of(trained, folder / "latest")
    return saved


def data(folder, declaration, write, **options):
    rng = np.random.default_rng(11)
    batches = [reference.random_batch(declaration, BATCH, rng) for _ in range(BATCHES)]
    for batch in batches:
        batch.dense[:, 0] *= 1e-3  # small variances, whose digits matter
    return write(folder, declaration, batches, **options)


@pytest.mark.parametrize("mixed", [False, True], ids=["f32", "mixed"])
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("embedding", [DISTRIBUTED, LOCALIZED], ids=["distributed", "localized"])
@pytest.mark.parametrize("kind, update", UPDATES)
def test_hash_embeddings(kind, update, embedding, ranks, mixed, tmp_path):
    declaration = tiny(embedding, LAYERS)
    optimizer = Optimizer(kind, update, momentum_factor=0.8, initial_accu_value=0.1)
    source = data(tmp_path / "data", declaration, training.write_norm)
    precision = {"use_mixed_precision": True, "scaler": 1024} if mixed else {}
    saved = walk(
        tmp_path,
        lambda: training.create_model(
            declaration, optimizer, source, batch_size=BATCH, ranks=ranks, **SCHEDULE, **precision
        ),
    )
    steps = np.frombuffer(saved["s_opt_dense_0.model.step"], "<i8")
    assert steps.tolist() == [STEPS, STEPS, STEPS]
    assert len(saved["s0_sparse_0.model/key"]) > 8 * BATCH / 2


@pytest.mark.parametrize("ranks", [1, 2])
def test_one_hot_embeddings(ranks, tmp_path):
    declaration = tiny(training.ONE_HOT, LAYERS)
    rows = BATCH * BATCHES
    source = data(tmp_path / "data.bin", declaration, training.write_raw)
    reader = {
        "data_reader_type": hugectr.DataReaderType_t.Raw,
        "shuffle": False,  # every pass brings the same batches
        "num_samples": rows,
        "eval_num_samples": rows,
        "float_label_dense": True,
    }
    saved = walk(
        tmp_path,
        lambda: training.create_model(
            declaration, Optimizer("SGD"), source, batch_size=BATCH, ranks=ranks, reader=reader, **SCHEDULE
        ),
    )
    assert len(saved["s0_sparse_0.model/key"]) == 8 * (8 + 293)


def test_the_graph_file_gives_the_same_model(tmp_path):
    """Numbers in a graph file keep their bits: the optimizers of embeddings have theirs there."""
    declaration = tiny(DISTRIBUTED, LAYERS)
    source = data(tmp_path / "data", declaration, training.write_norm)
    first = training.create_model(declaration, Optimizer("Adam"), source, batch_size=BATCH, **SCHEDULE)
    first.graph_to_json(str(tmp_path / "graph.json"))
    second = training.create_model(
        replace(declaration, embeddings=(), nodes=()),
        Optimizer("Adam"),
        source,
        batch_size=BATCH,
        compile=False,
        add_input=False,
        **SCHEDULE,
    )
    second.construct_from_json(str(tmp_path / "graph.json"), True)
    second.compile()
    for model in (first, second):
        model.start_data_reading()
        training.train(model, STEPS)
    assert files_of(first, tmp_path / "first") == files_of(second, tmp_path / "second")
