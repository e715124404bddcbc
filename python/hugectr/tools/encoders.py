# SPDX-License-Identifier: Apache-2.0
"""What was learned about a column, and how it turns a batch into what the reader trains on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Optional, Union

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hugectr.arguments import Double
from hugectr.errors import InvalidArgumentError
from hugectr.tools.arrow import CROSS_SEPARATOR, Bools, Floats, distinct, flatten_lists, joined_text, to_float
from hugectr.tools.kinds import TEXT, canonical, common_kind, is_list, kind_of

UNKNOWN, MISSING, FIRST = 0, 1, 2  # ids of a category; known values start at FIRST


@dataclass(frozen=True)
class LabelEncoder:
    """A label as float32. Exactly one of `values`, `positive`, `threshold` is set, or none: a number as it is.

    `kind` is that of the text in `values` or `positive`.
    """

    name: str
    values: Optional[dict[str, Double]] = field(default=None, repr=False)
    positive: Optional[str] = None
    threshold: Optional[Double] = None
    kind: str = TEXT

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
                lambda row: f'label "{self.name}": expected a finite number, got {column[row].as_py()}',
            )
            if self.threshold is not None:
                values = (values >= self.threshold).astype(np.float64)
            return _to_float32(values, f'label "{self.name}"', first_row)
        kind = common_kind(self.kind, kind_of(column.type, self.name))
        spellings, indices = distinct(column, self.name, kind)
        texts = spellings.to_pylist()
        rule, other = (self.values, np.nan) if self.positive is None else ({self.positive: 1.0}, 0.0)
        label_of = {canonical(text, kind): label for text, label in (rule or {}).items()}
        labels = np.array([np.nan if text is None else label_of.get(text, other) for text in texts])
        expected = "a value" if self.values is None else "one of " + ", ".join(map(repr, self.values))
        _reject(
            np.isnan(labels)[indices],
            first_row,
            lambda row: f'label "{self.name}": expected {expected}, got {texts[indices[row]]!r}',
        )
        return pa.array(labels[indices], pa.float32())


@dataclass(frozen=True)
class NumericEncoder:
    """(f(x) - offset) * factor with f = ln(1 + x) if `log`, else x."""

    name: str
    offset: Double = 0.0
    factor: Double = 1.0
    log: bool = False
    missing: Optional[Double] = None

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
        return _to_float32((values - self.offset) * self.factor, f'column "{self.name}"', first_row)


@dataclass(frozen=True)
class Vocabulary:
    """Categories by their canonical text, of one kind for each of the columns.

    `nnz` is the longest list; `is_list` and `cut` hold for multi-hot columns.
    """

    name: str
    columns: Sequence[str]
    ids: dict[str, int] = field(repr=False)
    nnz: int = 1
    is_list: bool = False
    cut: bool = False  # lists longer than nnz are cut, not rejected
    kinds: Sequence[str] = ()
    _lookups: dict[tuple[str, ...], tuple[pa.Array, pa.Array]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.columns))
        object.__setattr__(self, "kinds", tuple(self.kinds) or (TEXT,) * len(self.columns))
        object.__setattr__(self, "_lookups", {})

    @property
    def slot_size(self) -> int:
        return FIRST + len(self.ids)

    def encode(self, batch: pa.RecordBatch, first_row: int) -> pa.Array:
        stored = [kind_of(batch[column].type, column) for column in self.columns]
        kinds = tuple(common_kind(*pair) for pair in zip(self.kinds, stored))
        values = joined_text(batch, self.columns, kinds)
        if self.is_list and pa.types.is_null(values.type):
            values = values.cast(pa.list_(pa.null()))
        if is_list(values.type) != self.is_list:
            made_of, got = ("lists", "single values") if self.is_list else ("single values", "lists")
            raise InvalidArgumentError(f'column "{self.name}": the mapping was made of {made_of}, got {got}')
        if not self.is_list:
            return self._ids(values, kinds)
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
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), self._ids(flat, kinds))

    def _ids(self, values: pa.Array, kinds: tuple[str, ...]) -> pa.Array:
        known, known_ids = self._lookup(kinds)
        texts, indices = distinct(values, self.name, kinds[0] if len(kinds) == 1 else TEXT)
        ids = known_ids.take(pc.index_in(texts, known)).fill_null(UNKNOWN)
        return pc.if_else(pc.is_null(texts), MISSING, ids).take(pa.array(indices))

    def _lookup(self, kinds: tuple[str, ...]) -> tuple[pa.Array, pa.Array]:
        """Texts as `kinds` spell them and their ids; of values that become equal, the most frequent one comes first."""
        if kinds not in self._lookups:
            texts = list(self.ids)
            if kinds != self.kinds:
                parts = (text.split(CROSS_SEPARATOR) if len(kinds) > 1 else [text] for text in texts)
                texts = [CROSS_SEPARATOR.join(map(canonical, part, kinds)) for part in parts]
            self._lookups[kinds] = pa.array(texts, pa.string()), pa.array(self.ids.values(), pa.int64())
        return self._lookups[kinds]


@dataclass(frozen=True)
class Binning:
    """The index of a number among sorted boundaries: boundaries[i - 1] <= x < boundaries[i]."""

    name: str
    column: str
    boundaries: Sequence[Double] = field(repr=False)
    nnz: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "boundaries", tuple(self.boundaries))

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


def _to_float32(values: Floats, what: str, first_row: int) -> pa.Array:
    _reject(
        np.abs(values) > np.finfo(np.float32).max,
        first_row,
        lambda row: f"{what}: {float(values[row])} is too large for a 32-bit float",
    )
    return pa.array(values, pa.float32())
