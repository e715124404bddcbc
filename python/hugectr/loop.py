# SPDX-License-Identifier: Apache-2.0
"""Objects that a training loop of one's own works with; a Model hands them out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from hugectr.arguments import FilePath, converted
from hugectr.errors import UnsupportedError

if TYPE_CHECKING:
    from hugectr._core import Engine


class LearningRateScheduler:
    """The learning-rate schedule of a model: linear warm-up, constant rate, polynomial decay."""

    _engine: Callable[[], Engine]
    _lr = 0.0
    _step = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise UnsupportedError(
            "LearningRateScheduler(): making one directly belongs to the Session interface of releases 2.3 and 3.0, "
            "which is not supported yet; take the model's from Model.get_learning_rate_scheduler()"
        )

    @classmethod
    def _of(cls, engine: Callable[[], Engine]) -> LearningRateScheduler:
        scheduler = cls.__new__(cls)
        scheduler._engine = engine
        return scheduler

    def get_next(self) -> float:
        """Advances the schedule by one step and returns the rate of that step."""
        self._lr = float(self._engine().next_learning_rate())
        self._step += 1
        return self._lr

    def get_lr(self) -> float:
        """The rate that :meth:`get_next` returned last; 0 before its first call."""
        return self._lr

    def get_step(self) -> int:
        """How often :meth:`get_next` was called on this object."""
        return self._step


class DataReader:
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


class DataReader32(DataReader):
    """Reader of a model with 32-bit keys."""


class DataReader64(DataReader):
    """Reader of a model with 64-bit keys (``i64_input_key=True``)."""
