# SPDX-License-Identifier: Apache-2.0
"""How a user says what becomes of a column of a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union

import numpy as np

from hugectr.arguments import Double, checked
from hugectr.errors import InvalidArgumentError, NotFoundError

MAX_BINS = 1 << 20
SCALES = ("none", "standard", "minmax", "log")


@dataclass(frozen=True)
class Numeric:
    """A number that is fed to the network as it is or scaled.

    `scale` is one of "none", "standard" ((x - mean) / deviation), "minmax" (to [0, 1]) and "log" (ln(1 + x)); mean,
    deviation and range are those of the data that the mappings are learned from. `missing` is the value that stands
    in for a missing one: a number, "mean", or None to reject missing values.
    """

    column: str
    scale: str = "none"
    missing: float | str | None = None

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise NotFoundError(f'column "{self.column}": unknown scale "{self.scale}". Known: {", ".join(SCALES)}')
        _check_names("Numeric", [self.column])
        is_number = isinstance(self.missing, (int, float, np.number)) and is_finite(self.missing)
        if not is_number and self.missing not in ("mean", None):
            raise InvalidArgumentError(
                f'column "{self.column}": missing must be a finite number, "mean" or None, got {self.missing!r}'
            )

    @property
    def name(self) -> str:
        return self.column


@dataclass(frozen=True)
class Categorical:
    """A category of any type, or a list of them (multi-hot).

    Values seen fewer than `min_frequency` times share the id of unknown values. Lists are cut after `max_length`
    entries; without it, a list longer than any in the data that the mappings are learned from is an error.
    """

    column: str
    min_frequency: int = 1
    max_length: int | None = None

    def __post_init__(self) -> None:
        _check_names("Categorical", [self.column])
        _require_positive(self.column, "min_frequency", self.min_frequency)
        if self.max_length is not None:
            _require_positive(self.column, "max_length", self.max_length)

    @property
    def name(self) -> str:
        return self.column

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)


@dataclass(frozen=True)
class Cross:
    """The combination of several categories as one category; missing when one of them is."""

    columns: tuple[str, ...]
    min_frequency: int = 1
    max_length: None = None

    def __init__(self, *columns: str, min_frequency: int = 1) -> None:
        if len(columns) < 2:
            raise InvalidArgumentError(f"Cross needs at least two columns, got {len(columns)}")
        _check_names("Cross", columns)
        _require_positive("_x_".join(columns), "min_frequency", min_frequency)
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "min_frequency", min_frequency)

    @property
    def name(self) -> str:
        return "_x_".join(self.columns)


@dataclass(frozen=True)
class Bins:
    """A number turned into a category: the index of its quantile among `count` equally filled ones."""

    column: str
    count: int = 32

    def __post_init__(self) -> None:
        _check_names("Bins", [self.column])
        _require_positive(self.column, "count", self.count)
        if not 2 <= self.count <= MAX_BINS:
            raise InvalidArgumentError(
                f'column "{self.column}": Bins needs a count of 2 to {MAX_BINS}, got {self.count}'
            )

    @property
    def name(self) -> str:
        return f"{self.column}_bin"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)


@dataclass(frozen=True)
class Threshold:
    """Label rule: 1 where the value is at least `value`, else 0."""

    value: float

    def __post_init__(self) -> None:
        checked("Threshold", "value", Double, self.value)


CategoricalColumn = Union[Categorical, Cross, Bins]
CategoricalSpec = Union[str, CategoricalColumn]
Categoricals = Union[CategoricalSpec, Sequence[CategoricalSpec]]
# None: a number as it is; a value: 1 where equal, else 0; a dict: value -> label, anything else is an error.
LabelRule = Union[None, str, bool, int, float, Threshold, Mapping[Union[str, bool, int, float], float]]
Labels = Union[str, Sequence[str], Mapping[str, LabelRule]]
Numerics = Union[str, Numeric, Sequence[Union[str, Numeric]], Mapping[str, str]]


def label_rules(labels: Labels) -> dict[str, LabelRule]:
    if isinstance(labels, Mapping):
        _items("labels", list(labels), str)
        return dict(labels)
    return dict.fromkeys(_items("labels", labels, str))


def numeric_specs(numeric: Numerics) -> list[Numeric]:
    if isinstance(numeric, Mapping):
        _items("numeric", list(numeric), str)
        return [Numeric(column, scale) for column, scale in numeric.items()]
    return [Numeric(item) if isinstance(item, str) else item for item in _items("numeric", numeric, str, Numeric)]


def categorical_specs(categorical: Categoricals, min_frequency: int) -> list[CategoricalColumn]:
    items = _items("categorical", categorical, str, Categorical, Cross, Bins)
    return [Categorical(item, min_frequency) if isinstance(item, str) else item for item in items]


def _items(what: str, given: Any, *kinds: type) -> list[Any]:
    """The items of a sequence, or the single one that was given without."""
    items = [given] if isinstance(given, kinds) else given
    expected = ", ".join("column names" if kind is str else f"{kind.__name__}(...)" for kind in kinds)
    if not isinstance(items, Sequence):
        raise InvalidArgumentError(f"{what}: expected a list of {expected}, got {given!r}")
    for item in items:
        if not isinstance(item, kinds):
            raise InvalidArgumentError(f"{what}: expected {expected}, got {item!r}")
    _check_names("to_parquet", [item for item in items if isinstance(item, str)], what)
    return list(items)


def is_finite(number: Any) -> bool:
    """Whether a number is one that a float can hold."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _check_names(function: str, names: Sequence[str], argument: str = "column") -> None:
    for name in names:
        checked(function, argument, str, name)


def _require_positive(column: str, what: str, value: int) -> None:
    if not isinstance(value, (int, np.integer)) or value >= 2**63:
        raise InvalidArgumentError(f'column "{column}": {what} must be a whole number of 64 bits, got {value!r:.60}')
    if value < 1:
        raise InvalidArgumentError(f'column "{column}": {what} must be at least 1, got {value}')
