# SPDX-License-Identifier: Apache-2.0
"""What was learned about a column, and how it turns a batch into what the reader trains on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Union

import numpy as np
import pyarrow as pa

from hugectr.errors import InvalidArgumentError
from hugectr.tools.arrow import Bools, Ints, distinct, flatten_lists, is_list, joined_text, to_float

UNKNOWN, MISSING, FIRST = 0, 1, 2  # ids of a category; known values start at FIRST


@dataclass(frozen=True)
class LabelEncoder:
    """A label as float32. Exactly one of `values`, `positive`, `threshold` is set, or none: a number as it is."""

    name: str
    values: Mapping[str, float] | None = None
    positive: str | None = None
    threshold: float | None = None

    @property
    def is_text(self) -> bool:
        return self.values is not None or self.positive is not None

    def encode(self, batch: pa.RecordBatch, first_row: int) -> pa.Array:
        column = batch[self.name]
        if not self.is_text:
            values = to_float(column, self.name)
            _reject(
                ~np.isfinite(values),
                first_row,
                lambda row: f'label "{self.name}": expected a finite number, got {values[row]}',
            )
            return pa.array(values if self.threshold is None else values >= self.threshold).cast(pa.float32())
        texts, indices = distinct(column, self.name)
        labels = np.array([self._label(text) for text in texts])
        expected = "a value" if self.values is None else "one of " + ", ".join(map(repr, self.values))
        _reject(
            np.isnan(labels)[indices],
            first_row,
            lambda row: f'label "{self.name}": expected {expected}, got {texts[indices[row]]!r}',
        )
        return pa.array(labels[indices], pa.float32())

    def _label(self, text: str | None) -> float:
        if text is None:
            return float("nan")
        return float(text == self.positive) if self.values is None else self.values.get(text, float("nan"))


@dataclass(frozen=True)
class NumericEncoder:
    """(f(x) - offset) * factor with f = ln(1 + x) if `log`, else x."""

    name: str
    offset: float = 0.0
    factor: float = 1.0
    log: bool = False
    missing: float | None = None

    def encode(self, batch: pa.RecordBatch, first_row: int) -> pa.Array:
        values = to_float(batch[self.name], self.name)
        if self.missing is None:
            _reject(
                np.isnan(values),
                first_row,
                lambda row: (
                    f'column "{self.name}": a value is missing; say what stands in for it with '
                    f'Numeric("{self.name}", missing=...)'
                ),
            )
        else:
            values = np.where(np.isnan(values), self.missing, values)
        _reject(
            np.isinf(values),
            first_row,
            lambda row: f'column "{self.name}": expected a finite number, got {values[row]}',
        )
        if self.log:
            _reject(
                values <= -1,
                first_row,
                lambda row: f'column "{self.name}": scale "log" needs values above -1, got {values[row]}',
            )
            values = np.log1p(values)
        return pa.array((values - self.offset) * self.factor, pa.float32())


@dataclass(frozen=True)
class Vocabulary:
    """Categories by their text. `nnz` is the longest list; `is_list` and `cut` hold for multi-hot columns."""

    name: str
    columns: tuple[str, ...]
    ids: Mapping[str, int]
    nnz: int = 1
    is_list: bool = False
    cut: bool = False  # lists longer than nnz are cut, not rejected
    _lookup: Mapping[str | None, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_lookup", {**self.ids, None: MISSING})

    @property
    def slot_size(self) -> int:
        return FIRST + len(self.ids)

    def encode(self, batch: pa.RecordBatch, first_row: int) -> pa.Array:
        values = joined_text(batch, self.columns)
        if is_list(values.type) != self.is_list:
            made_of = "lists" if self.is_list else "single values"
            raise InvalidArgumentError(f'column "{self.name}": the mapping was made of {made_of}, got {values.type}')
        if not self.is_list:
            return pa.array(self._ids(values))
        flat, lengths = flatten_lists(values, self.nnz if self.cut else None)
        _reject(
            lengths > self.nnz,
            first_row,
            lambda row: (
                f'column "{self.name}": expected lists of at most {self.nnz} entries, got {lengths[row]}; '
                f'Categorical("{self.name}", max_length=...) cuts longer ones'
            ),
        )
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(self._ids(flat)))

    def _ids(self, values: pa.Array) -> Ints:
        texts, indices = distinct(values, self.name)
        ids = np.array([self._lookup.get(text, UNKNOWN) for text in texts], np.int64)
        return np.asarray(ids[indices])


@dataclass(frozen=True)
class Binning:
    """The index of a number among sorted boundaries: boundaries[i - 1] <= x < boundaries[i]."""

    name: str
    column: str
    boundaries: tuple[float, ...]
    nnz: int = 1

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def slot_size(self) -> int:
        return FIRST + len(self.boundaries) + 1

    def encode(self, batch: pa.RecordBatch, first_row: int) -> pa.Array:
        values = to_float(batch[self.column], self.column)
        ids = FIRST + np.searchsorted(np.asarray(self.boundaries), values, side="right")
        return pa.array(np.where(np.isnan(values), MISSING, ids), pa.int64())


CategoricalEncoder = Union[Vocabulary, Binning]


def _reject(bad: Bools, first_row: int, describe: Callable[[int], str]) -> None:
    """Raises for the first marked row, counted from the start of the source."""
    if bad.any():
        row = int(np.argmax(bad))
        raise InvalidArgumentError(f"{describe(row)} (row {first_row + row})")
