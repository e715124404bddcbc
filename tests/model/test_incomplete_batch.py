# SPDX-License-Identifier: Apache-2.0
"""The batch that the end of the data leaves incomplete: dropped, or trained on as a mean over its samples."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import hugectr
import numpy as np
import pyarrow as pa
import pytest
from harness import readers, reference, training
from harness.declaration import Declaration, node
from harness.reference_optimizers import Optimizer
from model.small_models import MODELS, small
from model.test_ranks import with_dropout
from model.tiny import tiny, tiny_data

BATCH = 8
QUIET = {"display": 0, "eval_interval": 0, "snapshot": 0}
KEEP = {"drop_incomplete_batch": False}


def with_batch_norm(declaration: Declaration) -> Declaration:
    """A BatchNorm before the first ReLU."""
    first = next(i for i, n in enumerate(declaration.nodes) if n.type == "ReLU")
    relu = declaration.nodes[first]
    norm = node("BatchNorm", relu.bottoms[0], "normal", factor=0.5, eps=1e-3)
    nodes = (*declaration.nodes[:first], norm, replace(relu, bottoms=("normal",)), *declaration.nodes[first + 1 :])
    return replace(declaration, nodes=nodes)


def batches_of(declaration: Declaration, *sizes: int) -> list[reference.Batch]:
    rng = np.random.default_rng(6)
    return [reference.random_batch(declaration, size, rng) for size in sizes]


def started(folder: Path, declaration: Declaration, optimizer: Optimizer, source: str, ranks: int = 1, **options):
    """A model in epoch mode that keeps incomplete batches, with weights of its own, and its reference."""
    options.setdefault("reader", KEEP)
    dense, tables = reference.initial_weights(declaration, 1), reference.initial_tables(declaration, 2)
    model = training.create_model(
        declaration, optimizer, source, batch_size=BATCH, ranks=ranks, repeat_dataset=False, lr=0.1, **options
    )
    training.load_weights(model, folder / f"start{ranks}", declaration, dense, tables)
    return model, reference.Model(declaration, optimizer, dense, tables, BATCH)


def train_epoch(model: hugectr.Model, source: str) -> list[float]:
    model.get_data_reader_train().set_source(source)
    losses = []
    while model.train():
        losses.append(model.get_current_loss())
    return losses


def saved(model: hugectr.Model, folder: Path, declaration: Declaration) -> tuple[np.ndarray, list[np.ndarray]]:
    model.save_params_to_files(str(folder / "end"))
    tables = [
        training.read_table(folder / f"end{i}_sparse_0.model", e.dim)[1] for i, e in enumerate(declaration.embeddings)
    ]
    return np.fromfile(folder / "end_dense_0.model", "<f4"), tables


@pytest.mark.parametrize("optimizer", [Optimizer("SGD"), Optimizer("Adam", "Global"), Optimizer("Adam", "LazyGlobal")])
@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("name", MODELS)
def test_it_equals_the_reference_over_its_samples(name, ranks, optimizer, tmp_path):
    """The last batch has 3 of 8 samples: of four ranks one has a row and two have none."""
    declaration = small(name, nnz=3, fixed=False, combiner="mean")
    batches = batches_of(declaration, 8, 8, 3, 8)
    source = training.write_norm(tmp_path, declaration, batches[:3])
    model, expected = started(tmp_path, declaration, optimizer, source, ranks)
    losses = train_epoch(model, source)
    np.testing.assert_allclose(losses, [expected.step(batch, 0.1) for batch in batches[:3]], rtol=2e-6)
    dense, tables = saved(model, tmp_path, declaration)
    tolerance = 2e-6 if optimizer.kind == "SGD" else 2e-4  # Adam divides by the root of tiny sums
    np.testing.assert_allclose(dense, expected.dense_vector(), atol=tolerance)
    for got, table in zip(tables, expected.tables):
        np.testing.assert_allclose(got, table.vectors, atol=tolerance)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_batch_norm_takes_the_statistics_of_the_samples_that_are_there(size, tmp_path):
    declaration = with_batch_norm(small("dcn"))
    batches = batches_of(declaration, 8, size)
    source = training.write_norm(tmp_path, declaration, batches)
    model, expected = started(tmp_path, declaration, Optimizer("SGD"), source)
    losses = train_epoch(model, source)
    np.testing.assert_allclose(losses, [expected.step(batch, 0.1) for batch in batches], rtol=1e-5)
    dense, _ = saved(model, tmp_path, declaration)
    np.testing.assert_allclose(dense, expected.dense_vector(), atol=1e-5)
    norm = next(layer for layer in expected.layers if hasattr(layer, "var"))
    evaluated = expected.forward(batches[0], training=False)[1][:, 0]
    model.get_data_reader_eval().set_source(source)
    assert model.eval() and np.isfinite(norm.var).all()
    model.export_predictions(tmp_path / "predictions", tmp_path / "labels")
    np.testing.assert_allclose(np.loadtxt(tmp_path / "predictions"), evaluated, atol=1e-5)


def test_a_rank_without_samples_leaves_its_statistics(tmp_path):
    """Two ranks, one sample: rank 0 saves what it has seen; the loss and all weights stay finite."""
    declaration = with_batch_norm(small("dlrm"))
    source = training.write_norm(tmp_path, declaration, batches_of(declaration, 8, 1))
    model, _ = started(tmp_path, declaration, Optimizer("Adam"), source, ranks=2)
    assert np.isfinite(train_epoch(model, source) + train_epoch(model, source)).all()
    saved(model, tmp_path, declaration)


@pytest.mark.parametrize("make", [with_dropout, with_batch_norm])
def test_it_trains_like_a_batch_of_its_size(make, tmp_path):
    """The same weights as a model whose batch size is the number of samples that are there."""
    declaration = make(small("deepfm"))
    source = training.write_norm(tmp_path, declaration, batches_of(declaration, 5))
    ends = []
    for batch_size in (BATCH, 5):
        model = training.create_model(
            declaration, Optimizer("SGD"), source, batch_size=batch_size, repeat_dataset=False, lr=0.1, reader=KEEP
        )
        for _ in range(3):
            losses = train_epoch(model, source)
            assert len(losses) == 1
        ends.append((losses, *saved(model, tmp_path, declaration)))
    np.testing.assert_allclose(ends[0][0], ends[1][0], rtol=1e-6)
    np.testing.assert_allclose(ends[0][1], ends[1][1], atol=1e-6)
    np.testing.assert_allclose(ends[0][2][0], ends[1][2][0], atol=1e-6)


def test_dropout_on_ranks_with_few_samples(tmp_path):
    declaration = with_dropout(small("dcn"))
    source = training.write_norm(tmp_path, declaration, batches_of(declaration, 8, 8, 3))
    losses = [
        train_epoch(started(tmp_path, declaration, Optimizer("SGD"), source, ranks)[0], source) for ranks in (1, 2, 4)
    ]
    np.testing.assert_allclose(losses[1:], [losses[0]] * 2, rtol=1e-6)


def write_parquet(folder: Path, declaration: Declaration, batches: list[reference.Batch]) -> str:
    """Labels, dense values and one key a slot, counted from 0 in each slot."""
    label, dense = (np.concatenate([getattr(b, part) for b in batches]) for part in ("label", "dense"))
    spec = declaration.inputs[0]
    keys = np.concatenate([b.sparse[spec.name].keys.reshape(len(b.label), -1) for b in batches])
    values = [label[:, 0], *dense.T, *(keys - training.first_keys(spec)).T]
    table = pa.table({f"c{i}": np.ascontiguousarray(column) for i, column in enumerate(values)})
    ends = 1 + dense.shape[1], len(values)
    groups = {"labels": [0], "conts": range(1, ends[0]), "cats": range(*ends)}
    return str(readers.write_parquet(folder, [table], groups))


def data_of(format: str, folder: Path, declaration: Declaration, batches: list[reference.Batch]):
    """The source and its reader's options."""
    kind, sizes = hugectr.DataReaderType_t, list(declaration.inputs[0].slot_sizes)
    if format == "norm":
        return training.write_norm(folder, declaration, batches), {}
    if format == "raw":
        source = training.write_raw(folder / "data.bin", declaration, batches)
        return source, {"data_reader_type": kind.Raw, "float_label_dense": True, "slot_size_array": sizes}
    source = write_parquet(folder / "data", declaration, batches)
    return source, {"data_reader_type": kind.Parquet, "slot_size_array": sizes}


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("format", ["norm", "raw", "parquet"])
def test_every_format(format, ranks, tmp_path):
    declaration = small("dcn")
    batches = batches_of(declaration, *((3,) if format == "raw" else (8, 3)))  # Raw may shuffle its batches
    source, reader = data_of(format, tmp_path, declaration, batches)
    model, expected = started(
        tmp_path, declaration, Optimizer("SGD"), source, ranks,
        reader={**reader, **KEEP}, i64_input_key=format == "parquet",
    )  # fmt: skip
    model.fit(num_epochs=2, **QUIET)
    for batch in batches * 2:
        loss = expected.step(batch, 0.1)
    assert model.get_current_loss() == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose(saved(model, tmp_path, declaration)[0], expected.dense_vector(), atol=2e-6)


def finish_line(out: str) -> int:
    return int(re.search(r"Finish \d+ epochs (\d+) global iterations", out)[1])


def test_fit_counts_what_trained_and_says_what_it_dropped(tmp_path, capfd):
    """Two epochs of two full batches and three samples: four iterations, each with a loss of its own."""
    declaration = small("dcn")
    source = training.write_norm(tmp_path, declaration, batches_of(declaration, 8, 8, 3))
    model, expected = started(tmp_path, declaration, Optimizer("SGD"), source, reader={})
    model.fit(num_epochs=2, display=1, eval_interval=0, snapshot=0)
    out = capfd.readouterr().out
    assert finish_line(out) == 4
    assert re.findall(r"Epoch (\d): (\d+) samples were not trained on", out) == [("0", "3"), ("1", "3")]
    shown = re.findall(r"Iter: (\d+) .*Loss: ([\d.]+)", out)
    assert [int(i) for i, _ in shown] == [1, 2, 3] and len({loss for _, loss in shown}) == 3


@pytest.mark.parametrize("place", ["reader", "solver"])
def test_fit_counts_an_incomplete_batch_that_it_trains_on(place, tmp_path, capfd):
    declaration = small("dcn")
    source = training.write_norm(tmp_path, declaration, batches_of(declaration, 8, 8, 3))
    options = {"reader": KEEP} if place == "reader" else {"reader": {}, **KEEP}
    model, _ = started(tmp_path, declaration, Optimizer("SGD"), source, **options)
    model.fit(num_epochs=2, **QUIET)
    out = capfd.readouterr().out
    assert finish_line(out) == 6 and "not trained on" not in out


def test_a_dropped_batch_is_a_call_that_trains_nothing(tmp_path, capfd):
    declaration = tiny()
    source = training.write_norm(tmp_path, declaration, batches_of(declaration, 4, 2))
    model = training.create_model(declaration, Optimizer("SGD"), source, batch_size=4, repeat_dataset=False)
    model.get_data_reader_train().set_source(source)
    assert model.train()
    loss = model.get_current_loss()
    model.save_params_to_files(str(tmp_path / "before"))
    assert model.train() and model.get_current_loss() == loss
    assert "train drop incomplete batch. batchsize:2" in capfd.readouterr().out
    assert not model.train()
    model.save_params_to_files(str(tmp_path / "after"))
    assert (tmp_path / "before_dense_0.model").read_bytes() == (tmp_path / "after_dense_0.model").read_bytes()


def test_less_than_a_batch_is_an_error(tmp_path):
    source = tiny_data(tmp_path, tiny(), batches=1, size=3)
    model = training.create_model(tiny(), Optimizer("SGD"), source, batch_size=4, repeat_dataset=False)
    assert np.isnan(model.get_current_loss())
    for options in ({}, QUIET, {**QUIET, "display": 1}):
        with pytest.raises(ValueError, match=r"list.txt.*no full batch of 4.*drop_incomplete_batch=False.* 3 "):
            model.fit(num_epochs=1, **options)
    assert np.isnan(model.get_current_loss())


def test_less_than_a_batch_can_be_evaluated(tmp_path, capfd):
    """A fit that shows no loss and evaluates goes on."""
    source = tiny_data(tmp_path, tiny(), batches=1, size=3)
    model = training.create_model(tiny(), Optimizer("SGD"), source, batch_size=4, repeat_dataset=False)
    model.fit(num_epochs=2, display=0, eval_interval=1, snapshot=0)
    out = capfd.readouterr().out
    assert out.count("Evaluation, AUC: ") == out.count("nothing was trained") == 2 and finish_line(out) == 0


def test_the_switch_of_reader_and_solver_must_agree(tmp_path):
    source = tiny_data(tmp_path, tiny())
    with pytest.raises(ValueError, match="drop_incomplete_batch is False .* True"):
        training.create_model(tiny(), Optimizer("SGD"), source, reader=KEEP, drop_incomplete_batch=True)
