# SPDX-License-Identifier: Apache-2.0
"""fit() and the low-level calls: counts, log lines, snapshots, stops, freezing, sources."""

from __future__ import annotations

import re
from pathlib import Path

import hugectr
import numpy as np
import pytest
from harness import reference, training
from harness.reference_optimizers import Optimizer
from model.small_models import small
from model.tiny import tiny, tiny_batch, tiny_data

AUC, LOSS = hugectr.MetricsType.AUC, hugectr.MetricsType.AverageLoss
SGD = Optimizer("SGD")
NUMBER = r"[-+0-9.e]+"
LINE = {
    "loss": re.compile(rf"Iter: (\d+) Time\((\d+) iters\): {NUMBER}s Loss: ({NUMBER}) lr:({NUMBER})$", re.M),
    "auc": re.compile(rf"Evaluation, AUC: (-?nan|{NUMBER})$", re.M),
    "average loss": re.compile(rf"Evaluation, AverageLoss: ({NUMBER})$", re.M),
    "eval time": re.compile(rf"Eval Time for (\d+) iters: {NUMBER}s$", re.M),
    "epoch": re.compile(r"^-{35}Epoch (\d+)-{35}$", re.M),
}


def found(kind, text):
    return LINE[kind].findall(text)


def model_of(folder, *, batches=4, eval_batches=2, optimizer=SGD, **options):
    declaration = tiny()
    return training.create_model(
        declaration,
        optimizer,
        tiny_data(folder / "train", declaration, batches),
        eval_source=tiny_data(folder / "eval", declaration, eval_batches),
        batch_size=4,
        **options,
    )


def dense_weights(model, folder, name="probe"):
    model.save_params_to_files(str(folder / name))
    return np.fromfile(folder / f"{name}_dense_0.model", "<f4")


def test_iteration_mode_counts_and_lines(tmp_path, capfd):
    model = model_of(tmp_path, lr=0.25, max_eval_batches=3, metrics_spec={LOSS: 0.0, AUC: 1.0})
    model.fit(max_iter=200, display=20, eval_interval=100, snapshot=10000)
    out = capfd.readouterr().out
    lines = found("loss", out)
    assert [int(i) for i, *_ in lines] == list(range(20, 200, 20))  # not 200
    assert {(display, lr) for _, display, _, lr in lines} == {("20", "0.25")}
    assert len(found("auc", out)) == len(found("average loss", out)) == 1
    assert out.index("Evaluation, AUC") < out.index("Evaluation, AverageLoss")
    assert found("eval time", out) == ["3"]
    assert re.search(r"Finish 200 iterations with batchsize: 4 in \d+\.\d\ds\.$", out, re.M)
    assert not list(tmp_path.glob("*.model"))  # no final snapshot
    start = [
        "Use non-epoch mode with number of iterations: 200",
        "Training batchsize: 4, evaluation batchsize: 4",
        "Evaluation interval: 100, snapshot interval: 10000",
        "Dense network trainable: True",
        "Sparse embedding embedding trainable: True",
        "Use mixed precision: False, scaler: 1.000000, use cuda graph: ",
        "lr: 0.250000, warmup_steps: 1, end_lr: 0.000000",
        "decay_start: 0, decay_steps: 1, decay_power: 2.000000",
        f"Training source file: {tmp_path}/train/list.txt",
        f"Evaluation source file: {tmp_path}/eval/list.txt",
    ]
    places = [out.index(line) for line in start]
    assert places == sorted(places)


def test_two_ranks_say_so_once(tmp_path, capfd):
    for i in range(2):
        model_of(tmp_path / str(i), ranks=2)
    assert "".join(capfd.readouterr()).count("2 CPU ranks") <= 1


def test_epoch_mode_counts(tmp_path, capfd):
    """10 full batches, 3 epochs: 30 iterations and schedule steps; the end of an epoch counts as the next number."""
    model = model_of(tmp_path, batches=10, repeat_dataset=False, max_eval_batches=3, lr=1.0, warmup_steps=100)
    model.fit(num_epochs=3, display=5, eval_interval=10, snapshot=10, snapshot_prefix=str(tmp_path / "s"))
    out = capfd.readouterr().out
    assert [int(i) for i, *_ in found("loss", out)] == [5, 10, 15, 20, 25]
    assert [float(lr) for *_, lr in found("loss", out)] == pytest.approx([0.06, 0.11, 0.16, 0.21, 0.26])
    assert len(found("auc", out)) == 3
    assert found("epoch", out) == ["0", "1", "2"]
    assert "Use epoch mode with number of epochs: 3" in out
    assert re.search(r"Finish 3 epochs 30 global iterations with batchsize 4 in \d+\.\d\ds\.$", out, re.M)
    assert {p.name for p in tmp_path.glob("s_dense_*")} == {f"s_dense_{i}.model" for i in (10, 20, 30)}
    assert model.get_learning_rate_scheduler().get_next() == pytest.approx(0.31)


def with_reference(folder, last_batch, **solver):
    """A model in epoch mode with two batches of 8 samples and a smaller one, its reference and these batches."""
    declaration = small("dcn")
    rng = np.random.default_rng(6)
    batches = [reference.random_batch(declaration, size, rng) for size in (8, 8, last_batch)]
    dense, tables = reference.initial_weights(declaration, 1), reference.initial_tables(declaration, 2)
    source = training.write_norm(folder, declaration, batches)
    model = training.create_model(declaration, SGD, source, batch_size=8, repeat_dataset=False, **solver)
    training.load_weights(model, folder / "start", declaration, dense, tables)
    return model, reference.Model(declaration, SGD, dense, tables, 8), batches


def test_epochs_train_every_sample_and_drop_the_rest(tmp_path):
    """Two epochs of 2.5 batches equal four steps over the full batches."""
    model, expected, batches = with_reference(tmp_path, 4, lr=0.1)
    model.fit(num_epochs=2, eval_interval=0, display=0)
    for _ in range(2):
        for batch in batches[:2]:
            expected.step(batch, 0.1)
    np.testing.assert_allclose(dense_weights(model, tmp_path), expected.dense_vector(), atol=1e-6)


def test_snapshots_by_iteration(tmp_path):
    model_of(tmp_path).fit(max_iter=31, display=0, eval_interval=0, snapshot=10, snapshot_prefix=str(tmp_path / "s"))
    assert {p.name for p in tmp_path.glob("s_dense_*")} == {f"s_dense_{i}.model" for i in (10, 20, 30)}


def test_a_snapshot_comes_after_its_iteration(tmp_path):
    model = model_of(tmp_path)
    start = dense_weights(model, tmp_path)
    model.fit(max_iter=2, display=0, eval_interval=0, snapshot=1, snapshot_prefix=str(tmp_path / "s"))
    assert not (tmp_path / "s_dense_0.model").exists()
    saved = np.fromfile(tmp_path / "s_dense_1.model", "<f4")
    np.testing.assert_array_equal(saved, dense_weights(model, tmp_path))
    assert (saved != start).any()


def test_default_arguments_and_wrong_ones(tmp_path):
    with pytest.raises(RuntimeError, match="max_iter"):
        model_of(tmp_path).fit(max_iter=0)
    with pytest.raises(RuntimeError, match="num_epochs"):
        model_of(tmp_path / "e", repeat_dataset=False).fit(max_iter=10)
    with pytest.raises(RuntimeError, match="compile"):
        model_of(tmp_path / "c", compile=False).fit(max_iter=1)


def test_fit_continues(tmp_path):
    once, twice = model_of(tmp_path / "once", warmup_steps=50), model_of(tmp_path / "twice", warmup_steps=50)
    once.fit(max_iter=8, display=0, eval_interval=0)
    for _ in range(2):
        twice.fit(max_iter=4, display=0, eval_interval=0)  # a whole pass over the data, which restarts
    np.testing.assert_array_equal(dense_weights(once, tmp_path, "a"), dense_weights(twice, tmp_path, "b"))


def separable(folder, threshold, **options):
    declaration = tiny()
    batch = tiny_batch([[-2, 0], [-1, 0], [1, 0], [2, 0]], [0, 0, 1, 1])
    model = training.create_model(
        declaration,
        SGD,
        training.write_norm(folder / "data", declaration, [batch] * 5),
        batch_size=4,
        lr=0.5,
        max_eval_batches=1,
        metrics_spec={AUC: threshold},
        **options,
    )
    np.array([1, 0, 0], "<f4").tofile(folder / "dense")
    model.load_dense_weights(str(folder / "dense"))
    return model


def test_threshold_stops(tmp_path, capfd):
    history = separable(tmp_path, 0.9).fit(
        max_iter=100, display=3, eval_interval=4, snapshot=4, snapshot_prefix=str(tmp_path / "s")
    )
    assert (history.iterations, history.samples) == (5, 20)
    out = capfd.readouterr().out
    assert re.search(
        r"Hit target accuracy AUC 0\.900000 at 4 / 100 iterations with batchsize 4 in \d+\.\d\ds\. "
        r"Average speed \d+\.\d+ records/s\.$",
        out,
        re.M,
    )
    assert not found("eval time", out) and "Finish" not in out and not list(tmp_path.glob("s*"))
    assert [i for i, *_ in found("loss", out)] == ["3"]


def test_threshold_stops_an_epoch(tmp_path, capfd):
    separable(tmp_path, 0.9, repeat_dataset=False).fit(num_epochs=7, display=0, eval_interval=8)
    out = capfd.readouterr().out  # an epoch has 5 batches
    assert re.search(r"Hit target accuracy AUC 0\.900000 at 1 / 7 epochs 8 global iterations with batchsize 4 in ", out)


def test_a_threshold_of_one_never_stops(tmp_path, capfd):
    separable(tmp_path, 1.0).fit(max_iter=9, display=0, eval_interval=4)
    out = capfd.readouterr().out
    assert found("auc", out) == ["1", "1"] and "Finish 9 iterations" in out and "Hit target" not in out


@pytest.mark.parametrize("ranks", [1, 2])
def test_evaluation_uses_an_incomplete_batch_with_its_true_size(ranks, tmp_path):
    """The last batch has 2 of 8 samples (none for rank 1 of 2): metrics cover 18 samples."""
    model, expected, batches = with_reference(tmp_path, 2, ranks=ranks, metrics_spec={AUC: 1.0})
    reader = model.get_data_reader_eval()
    reader.set_source(str(tmp_path / "list.txt"))
    count = 0
    while model.eval():
        count += 1
        model.export_predictions(str(tmp_path / "predictions"), str(tmp_path / "labels"))
    assert count == 3
    model.export_predictions(str(tmp_path / "predictions"), str(tmp_path / "labels"))  # after the end: nothing
    predictions = np.concatenate([expected.forward(b, training=False)[1][:, 0] for b in batches])
    labels = np.concatenate([b.label[:, 0] for b in batches])
    np.testing.assert_allclose(np.loadtxt(tmp_path / "predictions"), predictions, rtol=1e-4)
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "labels"), labels)
    positive, negative = predictions[labels == 1][:, None], predictions[labels == 0]
    auc = (positive > negative).mean() + 0.5 * (positive == negative).mean()
    assert dict(model.get_eval_metrics())["AUC"] == pytest.approx(auc, abs=1e-12)


def test_evaluation_changes_nothing(tmp_path):
    """Unseen keys are not inserted, add zero vectors, and the training loss shown stays."""
    declaration = tiny()
    source = tiny_data(tmp_path / "train", declaration)
    other = training.write_norm(
        tmp_path / "eval", declaration, [tiny_batch([[1, 0], [-1, 0], [2, 0], [-2, 0]], [1, 0, 1, 0], np.array([1, 9]))]
    )
    model = training.create_model(declaration, SGD, source, eval_source=other, batch_size=4)
    model.start_data_reading()
    loss = training.train(model, 3)[-1]
    before = dense_weights(model, tmp_path)
    assert model.eval() and model.get_current_loss() == loss
    model.export_predictions(str(tmp_path / "p"), str(tmp_path / "l"))
    after = dense_weights(model, tmp_path, "after")
    np.testing.assert_array_equal(after, before)
    assert sorted(np.fromfile(tmp_path / "after0_sparse_0.model" / "key", "<i8")) == [7, 300]
    logits = np.array([1, -1, 2, -2]) * after[0] + after[2]
    np.testing.assert_allclose(np.loadtxt(tmp_path / "p"), 1 / (1 + np.exp(-logits)), rtol=1e-5)


def test_reading_must_have_started(tmp_path):
    model = model_of(tmp_path)
    for call in (model.train, model.eval):
        with pytest.raises(RuntimeError, match="start_data_reading"):
            call()


def test_low_level_epochs(tmp_path):
    model = model_of(tmp_path, batches=3, repeat_dataset=False)
    reader = model.get_data_reader_train()
    for _ in range(2):
        reader.set_source(str(tmp_path / "train" / "list.txt"))
        trained = 0
        assert reader.is_eof() is False
        while model.train() is True:
            trained += 1
        assert trained == 3 and reader.is_eof() is True and model.train() is False


def test_schedule_reset(tmp_path):
    model = model_of(tmp_path, lr=1.0, warmup_steps=4)
    schedule = model.get_learning_rate_scheduler()
    assert [schedule.get_next() for _ in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    model.reset_learning_rate_scheduler(0.5, warmup_steps=2)
    schedule = model.get_learning_rate_scheduler()
    assert [schedule.get_next() for _ in range(3)] == [0.25, 0.5, 0.5]
    with pytest.raises(RuntimeError, match="warmup_steps"):
        model.reset_learning_rate_scheduler(0.5, warmup_steps=0)


def test_without_set_learning_rate_the_base_rate_holds(tmp_path):
    """(text of the low-level interface) the schedule acts only through set_learning_rate()."""
    results = []
    for name, scheduled in (("a", True), ("b", False)):
        model = model_of(tmp_path / name, lr=0.1)
        model.start_data_reading()
        results.append(training.train(model, 6, scheduled))
    assert results[0] == results[1]


def table(model, folder, name="table"):
    model.save_params_to_files(str(folder / name))
    return training.read_table(folder / f"{name}0_sparse_0.model", 2)[1]


def test_freeze_dense(tmp_path, capfd):
    model = model_of(tmp_path, optimizer=Optimizer("MomentumSGD", momentum_factor=0.9), lr=0.1)
    model.fit(max_iter=3, display=0, eval_interval=0)
    model.freeze_dense()
    frozen, rows = dense_weights(model, tmp_path), table(model, tmp_path)
    model.fit(max_iter=3, display=0, eval_interval=0)
    assert "Dense network trainable: False" in capfd.readouterr().out
    np.testing.assert_array_equal(dense_weights(model, tmp_path), frozen)
    assert (table(model, tmp_path) != rows).all()
    model.unfreeze_dense()
    model.fit(max_iter=1, display=0, eval_interval=0)
    assert (dense_weights(model, tmp_path) != frozen).any()


@pytest.mark.parametrize("names", [(), ("embedding",)])
def test_freeze_embedding(names, tmp_path, capfd):
    """A frozen table keeps its rows even where Momentum still has velocity."""
    model = model_of(tmp_path, optimizer=Optimizer("MomentumSGD", "Global", momentum_factor=0.9), lr=0.1)
    model.fit(max_iter=3, display=0, eval_interval=0)
    model.freeze_embedding(*names)
    frozen, weights = table(model, tmp_path), dense_weights(model, tmp_path)
    model.fit(max_iter=3, display=0, eval_interval=0)
    assert "Sparse embedding embedding trainable: False" in capfd.readouterr().out
    np.testing.assert_array_equal(table(model, tmp_path), frozen)
    assert (dense_weights(model, tmp_path) != weights).any()
    model.unfreeze_embedding(*names)
    model.fit(max_iter=1, display=0, eval_interval=0)
    assert (table(model, tmp_path) != frozen).all()


def test_freeze_one_of_two(tmp_path):
    declaration = small("wdl")
    rng = np.random.default_rng(1)
    source = training.write_norm(tmp_path, declaration, [reference.random_batch(declaration, 16, rng)])
    model = training.create_model(declaration, SGD, source, batch_size=16, lr=0.1)

    def tables(name):
        model.save_params_to_files(str(tmp_path / name))
        return [
            training.read_table(tmp_path / f"{name}{i}_sparse_0.model", e.dim)[1]
            for i, e in enumerate(declaration.embeddings)
        ]

    model.fit(max_iter=1, display=0, eval_interval=0)
    before = tables("before")
    model.freeze_embedding("wide")
    model.fit(max_iter=1, display=0, eval_interval=0)
    after = tables("after")
    np.testing.assert_array_equal(after[0], before[0])
    assert (after[1] != before[1]).any()
    with pytest.raises(RuntimeError, match="deeep.*deep"):
        model.freeze_embedding("deeep")


def test_set_source(tmp_path, capfd):
    declaration = tiny()
    model = model_of(tmp_path, batches=2, repeat_dataset=False)
    other = tiny_data(tmp_path / "other", declaration, batches=5)
    model.set_source(other, other)
    model.fit(num_epochs=1, display=1, eval_interval=0)
    out = capfd.readouterr().out
    assert "Finish 1 epochs 5 global iterations" in out and f"Training source file: {other}" in out
    with pytest.raises(RuntimeError, match="repeat_dataset"):
        model_of(tmp_path / "iterations").set_source(other, other)


def test_overflow_is_reported_before_damage(tmp_path):
    """A batch whose new keys do not fit raises; the tables stay as they were and the model stays usable."""
    declaration = tiny()
    rows = 2**20 // 8
    size = 2**16
    rng = np.random.default_rng(1)

    def batch(first):
        wide = tiny_batch(rng.normal(size=(size, 2)).tolist(), [0, 1] * (size // 2))
        wide.sparse["data1"].keys = np.arange(first, first + 2 * size)
        return wide

    source = training.write_norm(tmp_path, declaration, [batch(0), batch(2 * size - 2)])
    model = training.create_model(declaration, SGD, source, batch_size=size)
    model.start_data_reading()
    training.train(model, 1)
    assert rows == 2 * size
    before = dense_weights(model, tmp_path)
    with pytest.raises(RuntimeError, match=rf"(?s)embedding.*{rows}.*workspace_size_per_gpu_in_mb"):
        model.train()
    np.testing.assert_array_equal(dense_weights(model, tmp_path), before)
    assert len(np.fromfile(tmp_path / "probe0_sparse_0.model" / "key", "<i8")) == rows
    training.train(model, 1)  # the first batch again


def test_no_limit_of_evaluation_batches_means_all_in_epoch_mode(tmp_path, capfd):
    model = model_of(
        tmp_path, batches=3, eval_batches=5, repeat_dataset=False, max_eval_batches=0, metrics_spec={LOSS: 0.0}
    )
    steps = []
    model._engine.fit(1, 0, 0, 2, 0, "", lambda progress: steps.append(progress["event"]), None, False)
    evaluated = training.evaluate(model, 5)  # the source was rewound, so five more are there
    assert found("average loss", capfd.readouterr().out) == [f"{evaluated['AverageLoss']:.6g}"]


def test_dropping_the_incomplete_evaluation_batch_on_request(tmp_path):
    declaration = tiny()
    rows = [[0.5, -1.0]] * 4
    batches = [tiny_batch(rows, [0, 1, 0, 1]), tiny_batch(rows[:2], [1, 1])]
    source = training.write_norm(tmp_path, declaration, batches)
    losses = {}
    for drop in (False, True):
        model = training.create_model(
            declaration, SGD, source, batch_size=4, repeat_dataset=False, seed=3, drop_incomplete_batch=drop,
            metrics_spec={LOSS: 0.0},
        )  # fmt: skip
        model.get_data_reader_eval().set_source(source)
        losses[drop] = training.evaluate(model, 2)["AverageLoss"]
        model.get_data_reader_eval().set_source(source)
        only_full = training.evaluate(model, 1)["AverageLoss"]
        assert (losses[drop] == only_full) is drop


def test_no_evaluation_is_empty(tmp_path, capfd):
    """max_eval_batches that ends exactly with the data: the next evaluation starts over instead of printing -nan."""
    model_of(tmp_path, batches=10, repeat_dataset=False, max_eval_batches=2).fit(num_epochs=3, eval_interval=10)
    values = found("auc", capfd.readouterr().out)
    assert len(values) == 3 and "nan" not in "".join(values)


def constant_model(folder, rows, **options):
    """lr is 0, so that all evaluations see the same weights; the evaluation data are `rows` different samples."""
    declaration = small("dcn")
    rng = np.random.default_rng(1)
    batches = [reference.random_batch(declaration, size, rng) for size in (4, rows)]
    sources = [training.write_norm(folder / str(i), declaration, [batch]) for i, batch in enumerate(batches)]
    return training.create_model(declaration, SGD, sources[0], eval_source=sources[1], lr=0.0, **options)


@pytest.mark.parametrize("limit, size", [(2, 10), (3, 20), (6, 7), (1, 42)])
@pytest.mark.parametrize("repeat", [True, False])
def test_each_evaluation_starts_at_the_beginning(repeat, limit, size, tmp_path, capfd):
    """42 samples, of which each evaluation takes the first ones."""
    model = constant_model(
        tmp_path, 42, batch_size=4, batchsize_eval=size, max_eval_batches=limit, repeat_dataset=repeat
    )
    for _ in range(2):
        model.fit(max_iter=7, num_epochs=7, display=0, eval_interval=2, snapshot=0)
        values = found("auc", capfd.readouterr().out)
        assert len(values) == 3 and set(values) == {values[0]} and "nan" not in values


def test_low_level_evaluation_goes_on(tmp_path):
    model = constant_model(tmp_path, 42, batch_size=4, batchsize_eval=21, max_eval_batches=1)
    model.start_data_reading()
    halves = [training.evaluate(model, 1)["AUC"] for _ in range(4)]
    assert halves[:2] == halves[2:] and halves[0] != halves[1]


def test_compile_lines(tmp_path, capfd):
    model = model_of(tmp_path, model_name="clicks", seed=77)
    out = capfd.readouterr().out
    lines = [
        "HugeCTR Version: ",
        "Model Init",
        "Initialize model: clicks",
        "Global seed is 77",
        "Model Compile",
        "Graph analysis to resolve tensor dependency",
        "max_vocabulary_size_per_gpu_=",
    ]
    places = [out.find(line) for line in lines]
    assert -1 not in places and places == sorted(places)
    assert "Add Slice layer" not in out
    model.summary()
    columns = r"Layer Type\s+Input Name\s+Output Name\s+Output Shape"
    assert re.search(rf"={{53}}Model Summary={{53}}\n(?s:.*){columns}", capfd.readouterr().out)


def test_a_further_fit_goes_on_in_the_data(tmp_path):
    quiet = {"display": 0, "eval_interval": 0, "snapshot": 0}
    losses = []
    for name, parts in (("at once", (6,)), ("in two", (3, 3))):
        model = model_of(tmp_path / name, batches=6, lr=0.1)
        for steps in parts:
            model.fit(max_iter=steps, **quiet)
        losses.append(model.get_current_loss())
    assert losses[0] == losses[1]


def test_fit_after_a_damaged_file_reads_it_again(tmp_path):
    model = model_of(tmp_path, batches=2)
    data = next((tmp_path / "train").glob("*.data"))
    content = data.read_bytes()
    data.write_bytes(content[:-3])
    with pytest.raises(hugectr.HugectrError, match="truncated"):
        model.fit(max_iter=10, display=0, eval_interval=0, snapshot=0)
    data.write_bytes(content)
    model.fit(max_iter=10, display=0, eval_interval=0, snapshot=0)


def test_less_than_a_batch_repeats_into_full_ones(tmp_path):
    source = tiny_data(tmp_path, tiny(), batches=1, size=3)
    model = training.create_model(tiny(), SGD, source, batch_size=4)
    model.fit(max_iter=2, display=1, eval_interval=0, snapshot=0)
    assert np.isfinite(model.get_current_loss())


def test_a_source_that_does_not_open_leaves_the_current_one(tmp_path):
    model = model_of(tmp_path)
    model.start_data_reading()
    with pytest.raises(hugectr.HugectrError, match="/no/list"):
        model.get_data_reader_train().set_source("/no/list")
    assert model.train()


def test_the_start_of_fit_shows_the_schedule_in_use(tmp_path, capfd):
    model = model_of(tmp_path, lr=0.25)
    model.reset_learning_rate_scheduler(0.5, 3)
    model.fit(max_iter=2, display=0, eval_interval=0, snapshot=0)
    assert "lr: 0.500000, warmup_steps: 3" in capfd.readouterr().out


def test_predictions_of_no_evaluation(tmp_path, capfd):
    model = model_of(tmp_path / "data")
    model.start_data_reading()
    files = [tmp_path / "predictions", tmp_path / "labels"]
    for evaluated in (False, True):
        if evaluated:
            model.eval()
        assert model.export_predictions(*files) is hugectr.Error_t.Success
        assert ("Nothing has been evaluated yet" in capfd.readouterr().out) is not evaluated
        assert [file.exists() for file in files] == [evaluated] * 2


@pytest.mark.parametrize("bad", ["train", "eval"])
def test_both_readers_start_or_none(bad, tmp_path):
    """Nothing has been taken from the good one, and a later start begins at its beginning."""
    good = tiny_data(tmp_path / "good", tiny())
    missing = tmp_path / "later" / "list.txt"
    sources = {"train": (str(missing), good), "eval": (good, str(missing))}[bad]
    made = training.create_model(tiny(), Optimizer("SGD"), sources[0], eval_source=sources[1], batch_size=4)
    for start in (made.start_data_reading, lambda: made.fit(max_iter=1, display=0, eval_interval=0, snapshot=0)):
        with pytest.raises(hugectr.FileError, match="later"):
            start()
        for step in (made.train, made.eval):
            with pytest.raises(hugectr.HugectrError, match="data reading has not started"):
                step()
    assert tiny_data(tmp_path / "later", tiny()) == str(missing)
    made.start_data_reading()
    assert made.train() and made.eval()


def test_readers_go_on_when_they_cannot_start_again(tmp_path):
    evaluated = tiny_data(tmp_path / "b", tiny())
    made = training.create_model(
        tiny(), Optimizer("SGD"), tiny_data(tmp_path / "a", tiny()), eval_source=evaluated, batch_size=4, lr=0.1
    )
    made.start_data_reading()
    losses = training.train(made, 8)
    again = training.create_model(
        tiny(), Optimizer("SGD"), tiny_data(tmp_path / "a", tiny()), eval_source=evaluated, batch_size=4, lr=0.1
    )
    again.start_data_reading()
    first = training.train(again, 3)
    Path(evaluated).unlink()
    with pytest.raises(hugectr.FileError):
        again.start_data_reading()
    assert first + training.train(again, 5) == losses
