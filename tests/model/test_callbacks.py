# SPDX-License-Identifier: Apache-2.0
"""What fit() tells callbacks, when they end it, and the history it returns."""

from __future__ import annotations

import hugectr
import numpy as np
import pytest
from harness import training
from harness.reference_optimizers import Optimizer
from model.tiny import tiny, tiny_data

AUC, LOSS = hugectr.MetricsType.AUC, hugectr.MetricsType.AverageLoss


def model_of(folder, *, batches=4, **options):
    declaration = tiny()
    return training.create_model(
        declaration,
        Optimizer("SGD"),
        tiny_data(folder / "train", declaration, batches),
        eval_source=tiny_data(folder / "eval", declaration, 2),
        batch_size=4,
        **{"max_eval_batches": 2, "metrics_spec": {AUC: 1.0, LOSS: 0.0}, **options},
    )


class Diary(hugectr.TrainingCallback):
    """Writes down what it is told; answers from `stops`, by method and iteration."""

    def __init__(self, **stops):
        self.lines, self.stops = [], stops

    def _note(self, what, iteration=None, *more):
        self.lines.append((what, iteration, *more))
        return self.stops.get(what) == iteration

    def on_training_start(self):
        self._note("start")

    def on_iteration_end(self, current_iter):
        return self._note("iteration", current_iter)

    def on_eval_start(self, current_iter):
        return self._note("eval", current_iter)

    def on_eval_end(self, current_iter, eval_results):
        assert list(eval_results) == ["AUC", "AverageLoss"]
        return self._note("results", current_iter)

    def on_snapshot(self, current_iter):
        self._note("snapshot", current_iter)

    def on_training_end(self, current_iter):
        self._note("end", current_iter)


FIT = {"max_iter": 7, "display": 2, "eval_interval": 3, "snapshot": 0}


def test_events_in_their_order(tmp_path):
    diary = Diary()
    model_of(tmp_path).fit(**{**FIT, "snapshot": 6}, snapshot_prefix=tmp_path / "s", callbacks=[diary])
    evaluations = {3: [("eval", 3), ("results", 3)], 6: [("eval", 6), ("results", 6), ("snapshot", 6)]}
    expected = [("start", None)]
    for iteration in range(7):  # that follows so many others
        expected += [*evaluations.get(iteration, []), ("iteration", iteration + 1)]
    assert diary.lines == [*expected, ("end", 7)]


@pytest.mark.parametrize(
    "stops, iterations, last_evaluation", [({"iteration": 2}, 2, None), ({"eval": 3}, 4, 3), ({"results": 6}, 7, 6)]
)
@pytest.mark.parametrize("of_solver", [False, True])
def test_a_callback_ends_the_training(tmp_path, stops, iterations, last_evaluation, of_solver, capfd):
    """After the iteration that evaluations of its number belong to."""
    diary = Diary(**stops)
    model = model_of(tmp_path, **({"training_callbacks": [diary]} if of_solver else {}))
    history = model.fit(**{**FIT, "max_iter": 20}, callbacks=[] if of_solver else [diary])
    assert diary.lines[-1] == ("end", iterations) and history.iterations == iterations
    assert max((i for what, i in diary.lines if what == "results"), default=None) == last_evaluation
    out = capfd.readouterr().out
    assert f"Finish {iterations} iterations with batchsize: 4" in out
    assert f"fit() was asked to stop at iteration {list(stops.values())[0]}" in out
    model.fit(max_iter=2, display=0, eval_interval=0, snapshot=0)  # the model goes on


def test_epochs_end_where_a_callback_says(tmp_path):
    diary = Diary(iteration=5)
    history = model_of(tmp_path, repeat_dataset=False).fit(num_epochs=3, **{**FIT, "max_iter": 2000}, callbacks=[diary])
    assert (history.iterations, history.epochs) == (5, 1)
    assert diary.lines[-1] == ("end", 5)


def test_the_history(tmp_path, capfd):
    model = model_of(tmp_path, batches=5, repeat_dataset=False)
    history = model.fit(num_epochs=2, **{**FIT, "max_iter": 2000})
    assert (history.iterations, history.epochs, history.samples, history.dropped_samples) == (10, 2, 40, 0)
    out = capfd.readouterr().out
    assert [f"Loss: {loss:.6g} " in out for _, loss in history.loss] == [True] * 4
    assert [i for i, _ in history.loss] == [2, 4, 6, 8]
    assert [i for i, _ in history.evaluations] == [3, 6, 9]
    assert [f"Evaluation, AUC: {auc:.6g}\n" in out for auc in history.metric()] == [True] * 3
    rows = history.rows()
    assert [row["iteration"] for row in rows] == [2, 3, 4, 6, 8, 9]
    assert set(rows[3]) == {"iteration", "loss", "AUC", "AverageLoss"}
    assert repr(history).startswith("History(10 iterations, 40 samples, ")
    with pytest.raises(ValueError, match='no metric "NDCG"; known: AUC, AverageLoss'):
        history.metric("NDCG")


def test_the_history_counts_what_was_dropped(tmp_path):
    declaration = tiny()
    source = tiny_data(tmp_path / "train", declaration, batches=5, size=6)  # 30 samples, batches of 4
    model = training.create_model(declaration, Optimizer("SGD"), source, batch_size=4, repeat_dataset=False)
    history = model.fit(num_epochs=2, display=0, eval_interval=0, snapshot=0)
    assert (history.iterations, history.samples, history.dropped_samples) == (14, 56, 4)


class Scores(hugectr.TrainingCallback):
    """Puts other numbers in place of the results of the callbacks that it holds."""

    def __init__(self, values, callback, metric="AUC"):
        self.values, self.callback, self.metric = list(values), callback, metric

    def on_training_start(self):
        self.callback.model = self.model
        self.callback.on_training_start()

    def on_eval_end(self, current_iter, eval_results):
        return self.callback.on_eval_end(current_iter, {self.metric: self.values.pop(0)})

    def on_training_end(self, current_iter):
        self.callback.on_training_end(current_iter)


EVERY = {"max_iter": 12, "display": 0, "eval_interval": 1, "snapshot": 0}


@pytest.mark.parametrize(
    "metric, values, arguments, evaluations, best",
    [
        ("AUC", [0.5, 0.6, 0.6, 0.59, 0.7], {"patience": 2}, 4, 0.6),
        ("AUC", [0.5, 0.6, 0.55, 0.65, 0.64, 0.63], {"patience": 2}, 6, 0.65),
        ("AUC", [0.5, 0.55, 0.58, 0.9], {"patience": 2, "min_delta": 0.1}, 3, 0.5),
        ("AverageLoss", [0.7, 0.6, 0.61, 0.5], {"patience": 1, "metric": "AverageLoss"}, 3, 0.6),
        ("AUC", [float("nan"), 0.5, 0.4], {"patience": 2}, 6, 1e9),
    ],
)
def test_early_stopping(tmp_path, metric, values, arguments, evaluations, best):
    stopping = hugectr.EarlyStopping(**arguments)
    for _ in range(2):  # a further fit begins anew
        scores = Scores(values + [1e9 if metric == "AUC" else -1e9] * 20, stopping, metric)
        history = model_of(tmp_path).fit(**EVERY, callbacks=[scores])
        assert len(history.evaluations) == evaluations
        assert stopping.best == best


def weights(folder, name):
    return np.fromfile(folder / f"{name}_dense_0.model", "<f4")


@pytest.mark.parametrize("restore", [True, False])
def test_the_best_checkpoint(tmp_path, restore):
    best = hugectr.BestCheckpoint(tmp_path / "best", restore=restore)
    model = model_of(tmp_path)
    seen = {}

    class Saver(hugectr.TrainingCallback):
        def on_eval_end(self, current_iter, eval_results):
            self.model.save_params_to_files(tmp_path / f"at{current_iter}")
            seen[current_iter] = weights(tmp_path, f"at{current_iter}")

    values = [0.5, 0.6, 0.8, 0.7, 0.8, 0.3, 0.2, 0.1, 0.1, 0.1, 0.1]
    model.fit(**EVERY, callbacks=[Saver(), Scores(values, best)])
    assert (best.best, best.best_iteration) == (0.8, 3)
    np.testing.assert_array_equal(weights(tmp_path, "best"), seen[3])
    model.save_params_to_files(tmp_path / "after")
    assert (weights(tmp_path, "after") == seen[3]).all() == restore
    states = [(tmp_path / f"{name}_opt_sparse_0.model").read_bytes() for name in ("best0", "after0")]
    assert (states[0] == states[1]) == restore or not any(states)


def test_params_load_by_their_prefix(tmp_path):
    model = model_of(tmp_path)
    model.fit(max_iter=3, display=0, eval_interval=0, snapshot=0)
    model.save_params_to_files(tmp_path / "a", 3)
    other = model_of(tmp_path, seed=99)
    other.load_params_from_files(tmp_path / "a", 3)
    other.save_params_to_files(tmp_path / "b", 3)
    for kind in ("_dense_3.model", "0_sparse_3.model/emb_vector", "0_sparse_3.model/key", "_opt_dense_3.model"):
        assert (tmp_path / f"a{kind}").read_bytes() == (tmp_path / f"b{kind}").read_bytes()
    with pytest.raises(hugectr.HugectrError, match="none_dense_0.model"):
        other.load_params_from_files(tmp_path / "none")


def test_an_exception_in_a_callback_ends_fit_and_leaves_the_model(tmp_path):
    class Broken(hugectr.TrainingCallback):
        def on_iteration_end(self, current_iter):
            raise KeyError(current_iter)

    model = model_of(tmp_path)
    with pytest.raises(KeyError, match="1"):
        model.fit(**FIT, callbacks=[Broken()])
    assert model.fit(**FIT).iterations == 7


def test_what_is_refused(tmp_path):
    model = model_of(tmp_path)
    with pytest.raises(ValueError, match="callbacks must be of class TrainingCallback, got <function"):
        model.fit(callbacks=[lambda: None])
    with pytest.raises(ValueError, match='no metric "NDCG"; evaluations give AUC, AverageLoss'):
        model.fit(**FIT, callbacks=[hugectr.EarlyStopping("NDCG")])
    for arguments, name in (({"patience": 0}, "patience"), ({"min_delta": -1.0}, "min_delta")):
        with pytest.raises(ValueError, match=name):
            hugectr.EarlyStopping(**arguments)
    with pytest.raises(ValueError, match="prefix is empty"):
        hugectr.BestCheckpoint("")
