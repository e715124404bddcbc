# SPDX-License-Identifier: Apache-2.0
"""Objects that a training loop of one's own works with; a Model hands them out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from hugectr import _core
from hugectr.arguments import FilePath, converted

if TYPE_CHECKING:
    from hugectr._core import Engine


class LearningRateScheduler:
    """A learning-rate schedule: linear warm-up, constant rate, polynomial decay.

    A Model hands its own out; one that is made by itself, as in releases 2.3 and 3.0, drives nothing but the loop that
    asks it.

    Args:
        base_lr: The rate after the warm-up.
        warmup_steps, decay_start, decay_steps, decay_power, end_lr: As in :func:`hugectr.CreateSolver`.

    Raises:
        InvalidArgumentError: A value is out of range.
    """

    _next: Callable[[], float]
    _lr = 0.0
    _step = 0

    @converted()
    def __init__(
        self,
        base_lr: float,
        warmup_steps: int = 1,
        decay_start: int = 0,
        decay_steps: int = 1,
        decay_power: float = 2.0,
        end_lr: float = 0.0,
    ) -> None:
        schedule = _core.LearningRateSchedule(base_lr, warmup_steps, decay_start, decay_steps, decay_power, end_lr)
        self._next = schedule.get_next

    @classmethod
    def _of(cls, engine: Callable[[], Engine]) -> LearningRateScheduler:
        scheduler = cls.__new__(cls)
        scheduler._next = lambda: engine().next_learning_rate()
        return scheduler

    def get_next(self) -> float:
        """Advances the schedule by one step and returns the rate of that step."""
        self._lr = float(self._next())
        self._step += 1
        return self._lr

    def get_lr(self) -> float:
        """The rate that :meth:`get_next` returned last; 0 before its first call."""
        return self._lr

    def get_step(self) -> int:
        """How often :meth:`get_next` was called on this object."""
        return self._step


class IDataReader:
    """The training or evaluation reader of a model."""

    def __init__(self, engine: Callable[[], Engine], is_training: bool) -> None:
        self._engine = engine
        self._is_training = is_training

    @converted()
    def set_source(self, file_name: FilePath = "") -> None:
        """Starts reading a data set from its beginning.

        Args:
            file_name: File list (Norm, Parquet) or data file (Raw); empty means the current one again.

        Raises:
            FileError: The file is missing or damaged.
        """
        self._engine().reader_start(self._is_training, file_name)

    @converted()
    def set_file_list_source(self, file_list: FilePath = "") -> None:
        """The same as :meth:`set_source`, under its name in release 2.3."""
        self.set_source(file_list)

    def is_eof(self) -> bool:
        """Whether the last batch of the current source has been taken."""
        return bool(self._engine().reader_at_end(self._is_training))

    def is_started(self) -> bool:
        """Whether reading has started."""
        return bool(self._engine().reader_started(self._is_training))

    def read_a_batch_to_device(self) -> int:
        """Takes the next batch, which nothing is done with, and returns its number of samples; 0 at the end."""
        return int(self._engine().reader_skip(self._is_training))

    read_a_batch_to_device_delay_release = read_a_batch_to_device

    def ready_to_collect(self) -> None:
        """Of no effect: a batch stays as it is until it was used."""


class DataReader32(IDataReader):
    """Reader of a model with 32-bit keys."""


class DataReader64(IDataReader):
    """Reader of a model with 64-bit keys (``i64_input_key=True``)."""
