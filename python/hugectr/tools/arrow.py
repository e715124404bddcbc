# SPDX-License-Identifier: Apache-2.0
"""Arrow columns as the plain values that mappings are made of: text, float64 and lists."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hugectr.errors import InvalidArgumentError
from hugectr.tools.kinds import NUMBER, all_canonical, describe, is_list, is_number, kind_of, to_text

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

CROSS_SEPARATOR = "\x1f"  # the ASCII unit separator: not part of any sane value
_PENDING = 1 << 18  # values that a Counter may hold twice


def distinct(values: pa.Array, column: str, kind: str) -> tuple[pa.Array, Ints]:
    """The spellings of the values as `kind`, and for each row the index of its own; the last is null (missing)."""
    dictionary, indices = _encoded(values)
    return pa.concat_arrays([spelled(dictionary, column, kind), pa.nulls(1, pa.string())]), indices


def spelled(values: pa.Array, column: str, kind: str) -> pa.Array:
    """The text of each value as `kind` spells it; null where it is missing or not a number."""
    stored = kind_of(values.type, column)
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), None, values)
    texts = to_text(values, column)
    is_canonical = kind == stored and (kind != NUMBER or pa.types.is_integer(values.type))
    return texts if is_canonical else all_canonical(texts, kind)


class Counter:
    """How often each value of a column occurs, over all arrays of it."""

    def __init__(self) -> None:
        self._parts: list[tuple[pa.Array, Ints]] = []
        self._limit = _PENDING  # values in all parts; beyond it they are merged, so that memory follows distinct ones

    def update(self, values: pa.Array) -> None:
        dictionary, indices = _encoded(values)
        self._parts.append((dictionary, np.bincount(indices, minlength=len(dictionary))[: len(dictionary)]))
        if sum(len(part) for part, _ in self._parts) > self._limit:
            self._parts = [self.result()]
            self._limit = _PENDING + 2 * len(self._parts[0][0])

    def result(self) -> tuple[pa.Array, Ints]:
        """The values and their counts, which are 0 for entries of a dictionary that no row has."""
        if not self._parts:
            return pa.array([], pa.string()), np.empty(0, np.int64)
        dictionary, indices = _encoded(pa.concat_arrays([part for part, _ in self._parts]))
        weights = np.concatenate([counts for _, counts in self._parts])
        counts = np.bincount(indices, weights, len(dictionary))[: len(dictionary)].astype(np.int64)
        return dictionary, counts


def _encoded(values: pa.Array) -> tuple[pa.Array, Ints]:
    """The distinct values, and for each row the index of its own; of missing ones, their number."""
    encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    indices = encoded.indices.cast(pa.int64()).fill_null(len(encoded.dictionary)).to_numpy(zero_copy_only=False)
    return encoded.dictionary, indices


def joined_text(batch: pa.RecordBatch, columns: Sequence[str], kinds: Sequence[str]) -> pa.Array:
    """The values of a column, or the text of several joined; null where one of them is missing."""
    if len(columns) == 1:
        return batch[columns[0]]
    parts = []
    for column in columns:
        if is_list(batch[column].type):
            raise InvalidArgumentError(f'column "{column}": a Cross combines single values, got lists')
    for column, kind in zip(columns, kinds):
        texts, indices = distinct(batch[column], column, kind)
        parts.append(texts.take(pa.array(indices)))
    return pc.binary_join_element_wise(*parts, CROSS_SEPARATOR)


def flatten_lists(values: pa.Array, max_length: int | None) -> tuple[pa.Array, Ints]:
    """The entries of all lists, each cut to `max_length`, and the list lengths. A missing list holds one null."""
    lengths = pc.list_value_length(values).cast(pa.int64()).fill_null(1).to_numpy(zero_copy_only=False)
    flat = values.flatten()
    missing = np.flatnonzero(pc.is_null(values).to_numpy(zero_copy_only=False))
    starts = np.cumsum(lengths) - lengths
    if len(missing):
        take = np.insert(np.arange(len(flat)), starts[missing] - np.arange(len(missing)), -1)
        flat = flat.take(pa.array(take, mask=take < 0))
    if max_length is not None and len(lengths) and lengths.max() > max_length:
        keep = np.arange(len(flat)) - np.repeat(starts, lengths) < max_length
        flat = flat.filter(pa.array(keep))
        lengths = np.minimum(lengths, max_length)
    return flat, lengths


def to_float(values: pa.Array, column: str) -> Floats:
    """Numbers and truth values as float64, missing ones as NaN. Integers beyond 2^53 are rounded."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    kind = values.type
    if pa.types.is_boolean(kind):
        values = values.cast(pa.uint8())
    elif not (is_number(kind) or pa.types.is_null(kind)):
        example = next((value for value in values.to_pylist() if value is not None), None)
        raise InvalidArgumentError(
            f'column "{column}": expected numbers, got {describe(kind)}, for example {example!r}'
        )
    return np.asarray(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
