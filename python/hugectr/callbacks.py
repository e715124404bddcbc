# SPDX-License-Identifier: Apache-2.0
"""What ``Model.fit`` tells about itself: its history, and callbacks that may end it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional

from hugectr import _core
from hugectr.arguments import FilePath, converted
from hugectr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from hugectr.model import Model

_SMALLER_IS_BETTER = ("AverageLoss", "SMAPE")


class TrainingCallback:
    """Told by :meth:`hugectr.Model.fit` how it goes on; a subclass overrides what it needs.

    Methods that return True end the training after the current iteration. An exception ends it, too, and leaves the
    model usable. A callback may call the model.

    Attributes:
        model: The model that is being trained.
    """

    model: Model

    def on_training_start(self) -> Any:
        """Before the first batch."""

    def on_iteration_end(self, current_iter: int) -> Any:
        """After each batch that was trained on, with their number. True ends the training."""

    def on_eval_start(self, current_iter: int) -> Any:
        """Before an evaluation. True ends the training after it."""

    def on_eval_end(self, current_iter: int, eval_results: dict[str, float]) -> Any:
        """After an evaluation, with its metrics by name. True ends the training."""

    def on_snapshot(self, current_iter: int) -> Any:
        """After a snapshot was written."""

    def on_training_end(self, current_iter: int) -> Any:
        """After the last batch."""


def require_callbacks(argument: str, callbacks: Sequence[Any]) -> None:
    """Raises unless all are of the class."""
    for callback in callbacks:
        if not isinstance(callback, TrainingCallback):
            raise InvalidArgumentError(f"{argument} must be of class TrainingCallback, got {callback!r:.60}")


class _Best:
    """Follows a metric."""

    def __init__(self, owner: str, metric: str, min_delta: float) -> None:
        self._owner, self.metric = owner, metric
        if not min_delta >= 0:
            raise InvalidArgumentError(f"{owner}(): min_delta must not be negative, got {min_delta}")
        self._sign = -1.0 if metric.split(":")[0] in _SMALLER_IS_BETTER else 1.0
        self._min_delta = min_delta
        self.value = math.nan

    def improved(self, results: dict[str, float]) -> bool:
        """Whether these results are the best so far."""
        if self.metric not in results:
            raise InvalidArgumentError(
                f'{self._owner}(): no metric "{self.metric}"; evaluations give {", ".join(results)}'
            )
        value = results[self.metric]
        if math.isnan(value) or self._sign * (value - self.value) <= self._min_delta:
            return False
        self.value = value
        return True


class EarlyStopping(TrainingCallback):
    """Ends the training when a metric has not become better for some evaluations in a row.

    Args:
        metric: Its name as evaluations report it; of AverageLoss and SMAPE smaller is better, of others larger.
        patience: How many evaluations in a row may be no better than the best before them.
        min_delta: What counts as better: more than so much.

    Attributes:
        best: The metric's best value; NaN before the first evaluation.

    Raises:
        InvalidArgumentError: An argument is out of range; in ``fit``, evaluations have no such metric.
    """

    @converted()
    def __init__(self, metric: str = "AUC", patience: int = 3, min_delta: float = 0.0) -> None:
        if patience < 1:
            raise InvalidArgumentError(f"EarlyStopping(): patience must be positive, got {patience}")
        self._patience, self._since = patience, 0
        self._arguments = (metric, min_delta)
        self._best = _Best("EarlyStopping", metric, min_delta)

    @property
    def best(self) -> float:
        return self._best.value

    def on_training_start(self) -> None:
        self._since, self._best = 0, _Best("EarlyStopping", *self._arguments)

    def on_eval_end(self, current_iter: int, eval_results: dict[str, float]) -> bool:
        self._since = 0 if self._best.improved(eval_results) else self._since + 1
        if self._since < self._patience:
            return False
        _core.log_info(f"{self._best.metric} has not become better than {self.best:.6g} for {self._since} evaluations")
        return True


class BestCheckpoint(TrainingCallback):
    """Saves the model whenever a metric is better than ever before, and restores the best one at the end.

    Args:
        prefix: Start of the file names, as of :meth:`hugectr.Model.save_params_to_files`, with number 0. The files
            of an earlier best are replaced.
        metric: As of :class:`EarlyStopping`.
        min_delta: As of :class:`EarlyStopping`.
        restore: Whether the model has the best weights when ``fit`` returns, instead of the last ones.

    Attributes:
        best: The metric's best value; NaN before the first evaluation.
        best_iteration: When it was reached; None before.

    Raises:
        InvalidArgumentError: An argument is out of range; in ``fit``, evaluations have no such metric.
    """

    @converted()
    def __init__(self, prefix: FilePath, metric: str = "AUC", min_delta: float = 0.0, restore: bool = True) -> None:
        if not prefix:
            raise InvalidArgumentError("BestCheckpoint(): prefix is empty")
        self._prefix, self._restore = prefix, restore
        self._arguments = (metric, min_delta)
        self._best = _Best("BestCheckpoint", metric, min_delta)
        self.best_iteration: Optional[int] = None

    @property
    def best(self) -> float:
        return self._best.value

    def on_training_start(self) -> None:
        self.best_iteration, self._best = None, _Best("BestCheckpoint", *self._arguments)

    def on_eval_end(self, current_iter: int, eval_results: dict[str, float]) -> bool:
        if self._best.improved(eval_results):
            self.model.save_params_to_files(self._prefix, 0)
            self.best_iteration = current_iter
        return False

    def on_training_end(self, current_iter: int) -> None:
        if self._restore and self.best_iteration not in (None, current_iter):
            self.model.load_params_from_files(self._prefix, 0)
            _core.log_info(
                f"The model is the one of iteration {self.best_iteration}, with {self._best.metric} {self.best:.6g}"
            )


class History:
    """What a :meth:`hugectr.Model.fit` did.

    Attributes:
        loss: (iteration, loss) of each time that the loss was displayed.
        evaluations: (iteration, metrics by name) of each evaluation.
        iterations: Batches trained on.
        epochs: Epochs completed; 0 in iteration mode.
        samples: Samples trained on.
        dropped_samples: Samples of incomplete batches that were not trained on.
        seconds: How long it took.
    """

    def __init__(self) -> None:
        self.loss: list[tuple[int, float]] = []
        self.evaluations: list[tuple[int, dict[str, float]]] = []
        self.iterations = self.epochs = self.samples = self.dropped_samples = 0
        self.seconds = 0.0

    def metric(self, name: str = "AUC") -> list[float]:
        """A metric over all evaluations."""
        known = {key for _, metrics in self.evaluations for key in metrics}
        if self.evaluations and name not in known:
            raise InvalidArgumentError(f'History.metric(): no metric "{name}"; known: {", ".join(sorted(known))}')
        return [metrics[name] for _, metrics in self.evaluations]

    def rows(self) -> list[dict[str, float]]:
        """All of it as rows with an iteration and what is known of it, ascending; for ``pandas.DataFrame``."""
        rows: dict[int, dict[str, float]] = {}
        for iteration, loss in self.loss:
            rows.setdefault(iteration, {"iteration": iteration})["loss"] = loss
        for iteration, metrics in self.evaluations:
            rows.setdefault(iteration, {"iteration": iteration}).update(metrics)
        return [rows[iteration] for iteration in sorted(rows)]

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {value:.6g}" for name, value in (self.evaluations or [(0, {})])[-1][1].items())
        return (
            f"History({self.iterations} iterations, {self.samples} samples, {self.seconds:.2f} s{last and f'; {last}'})"
        )


class Observer:
    """Hands the events of a training to a history and to callbacks."""

    def __init__(self, model: Model, callbacks: Sequence[TrainingCallback], epoch_mode: bool) -> None:
        self.history = History()
        self._callbacks, self._epoch_mode = callbacks, epoch_mode
        for callback in callbacks:
            callback.model = model
        self.each_iteration = any(
            type(callback).on_iteration_end is not TrainingCallback.on_iteration_end for callback in callbacks
        )

    def __call__(self, event: dict[str, Any]) -> bool:
        """Takes an event of the core; returns whether the training is to end."""
        self._note(event)
        iteration = event["iteration"]
        name, arguments = {
            "started": ("on_training_start", ()),
            "iteration": ("on_iteration_end", (iteration,)),
            "evaluation_starts": ("on_eval_start", (iteration,)),
            "evaluated": ("on_eval_end", (iteration, dict(event["metrics"]))),
            "snapshot": ("on_snapshot", (iteration,)),
            "finished": ("on_training_end", (iteration,)),
        }.get(event["event"], ("", ()))
        answers = [getattr(callback, name)(*arguments) for callback in self._callbacks if name]
        return any(answer is True for answer in answers)

    def _note(self, event: dict[str, Any]) -> None:
        history = self.history
        if event["event"] == "display":
            history.loss.append((event["iteration"], event["loss"]))
        elif event["event"] == "evaluated":
            history.evaluations.append((event["iteration"], dict(event["metrics"])))
        history.iterations, history.seconds = event["iteration"], event["seconds"]
        history.samples, history.dropped_samples = event["trained_rows"], event["dropped_rows"]
        history.epochs = event["epoch"] if self._epoch_mode else 0
