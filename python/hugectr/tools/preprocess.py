# SPDX-License-Identifier: Apache-2.0
"""Criteo's text to numbers, as the preprocessing script of the original has them."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv

from hugectr.arguments import LocalPath, checked
from hugectr.arrow_threads import require_arrow_threads
from hugectr.errors import FileError
from hugectr.files import PathLike, replace_file, require_regular

INTEGERS = [f"I{i}" for i in range(1, 14)]
CATEGORIES = [f"C{i}" for i in range(1, 27)]
CROSSES = [("C1", "C2"), ("C3", "C4")]
MISSING_INTEGER, MISSING_CATEGORY = str(-(2**31)), "80000000"
LEAST_COUNT = 6  # values that occur less often count as missing
_BLOCK_BYTES = 16 << 20
_COMPACT_ROWS = 1 << 20


def preprocess(source: PathLike, target: PathLike, normalize_dense: bool = True, feature_cross: bool = True) -> int:
    """Turns Criteo's text into labels, dense values and ids; ``criteo2hugectr`` and ``criteo2raw`` read the result.

    The text is read two or three times, in blocks. Values that occur less than six times in their column, and empty
    fields, are the column's missing value. The target appears as a whole or not at all.

    Args:
        source: A line a sample, 40 fields between tabs: label, 13 integers, 26 categories. No header.
        target: A line a sample: label, 13 dense values, on request two crossed ids (C1 with C2, C3 with C4), 26 ids,
            between blanks. Ids start at 1 and go on from column to column, the crossed ones last.
        normalize_dense: Dense values as their rank within the column, scaled to [0, 1]; otherwise the rank, from 1.
        feature_cross: Whether there are crossed ids.

    Returns:
        The number of ids, which is also the largest of them.

    Raises:
        FileError: The text cannot be read or has a line of another form.
    """
    path = checked("preprocess", "source", LocalPath, source)
    out = checked("preprocess", "target", LocalPath, target)
    columns = _Columns(path)
    pairs = _pairs(path, columns) if checked("preprocess", "feature_cross", bool, feature_cross) else []
    scale = checked("preprocess", "normalize_dense", bool, normalize_dense)
    encoder = _Encoder(columns, pairs, scale)
    replace_file(out, (encoder.lines(block) for block in _blocks(path)))
    return encoder.ids


def _blocks(path: str) -> Iterator[pa.RecordBatch]:
    """The text as columns of strings; empty fields are null."""
    require_regular(path)
    require_arrow_threads(f'"{path}"')
    names = ["label", *INTEGERS, *CATEGORIES]
    try:
        with csv.open_csv(
            os.fsencode(path) if not path.isascii() else path,
            read_options=csv.ReadOptions(column_names=names, block_size=_BLOCK_BYTES, use_threads=True),
            parse_options=csv.ParseOptions(delimiter="\t", quote_char=False),
            convert_options=csv.ConvertOptions(
                column_types={name: pa.string() for name in names}, strings_can_be_null=True, null_values=[""]
            ),
        ) as reader:
            yield from reader
    except (OSError, pa.ArrowException) as error:
        raise FileError(f'cannot read "{path}" as Criteo text of 40 fields: {error}') from error


class _Counts:
    """How often each value of a column occurs."""

    def __init__(self) -> None:
        self._parts: list[pa.Table] = []
        self._rows = 0

    def add(self, values: pa.Array) -> None:
        counted = values.value_counts()
        self._parts.append(pa.table({"value": counted.field(0), "count": counted.field(1)}))
        self._rows += len(counted)
        if self._rows > _COMPACT_ROWS:
            self._parts = [self._total()]
            self._rows = 2 * len(self._parts[0])

    def frequent(self) -> pa.Array:
        """Values that occur often enough; then a null where there are others."""
        total = self._total()
        is_kept = pc.and_(pc.greater_equal(total["count"], LEAST_COUNT), pc.is_valid(total["value"]))
        kept = total["value"].filter(is_kept).combine_chunks()
        return kept if pc.all(is_kept).as_py() else pa.concat_arrays([kept, pa.nulls(1, pa.string())])

    def _total(self) -> pa.Table:
        total = pa.concat_tables(self._parts).group_by("value").aggregate([("count", "sum")])
        return total.rename_columns(["value", "count"])


class _Columns:
    """The codes of all columns: positions in a list of their values."""

    def __init__(self, path: str) -> None:
        counts = {name: _Counts() for name in ("label", *INTEGERS, *CATEGORIES)}
        for block in _blocks(path):
            for name, counter in counts.items():
                counter.add(block.column(name))
        self.values: dict[str, pa.Array] = {}
        for name, counter in counts.items():
            try:
                self.values[name] = _ordered(name, counter)
            except (pa.ArrowException, IndexError) as error:
                what = "no samples" if isinstance(error, IndexError) else str(error)
                raise FileError(f'"{path}", column {name}: {what}') from error

    def codes(self, name: str, column: pa.Array) -> NDArray[np.int64]:
        """Where each value stands in the list; values that are not in it stand for the missing one."""
        values = self.values[name]
        missing = MISSING_CATEGORY if name in CATEGORIES else MISSING_INTEGER
        found = pc.index_in(column, value_set=values)
        if found.null_count:
            found = pc.fill_null(found, pc.index(values, missing))
        codes: NDArray[np.int64] = found.to_numpy(zero_copy_only=False).astype(np.int64)
        return codes


def _ordered(name: str, counter: _Counts) -> pa.Array:
    values = counter.frequent() if name != "label" else counter._total()["value"].combine_chunks()
    if name in CATEGORIES:
        return values.fill_null(MISSING_CATEGORY).unique().sort()
    numbers = values.fill_null(MISSING_INTEGER).cast(pa.int64())
    return values.fill_null(MISSING_INTEGER).take(pc.sort_indices(numbers)).unique()


def _pairs(path: str, columns: _Columns) -> list[NDArray[np.int64]]:
    """For each cross, the pairs that occur, as one number each, ascending."""
    found: list[list[NDArray[np.int64]]] = [[] for _ in CROSSES]
    for block in _blocks(path):
        for i, cross in enumerate(CROSSES):
            found[i] = [np.unique(np.concatenate([*found[i], _cross(columns, cross, block)]))]
    return [pairs[0] for pairs in found]


def _cross(columns: _Columns, cross: tuple[str, str], block: pa.RecordBatch) -> NDArray[np.int64]:
    first, second = (columns.codes(name, block.column(name)) for name in cross)
    return first * len(columns.values[cross[1]]) + second


class _Encoder:
    """Writes blocks as lines."""

    def __init__(self, columns: _Columns, pairs: list[NDArray[np.int64]], normalize: bool) -> None:
        self._columns, self._pairs, self._normalize = columns, pairs, normalize
        self._first: dict[str, int] = {}  # id of each column's code 0
        self.ids = 0
        for name in CATEGORIES:
            self._first[name] = self.ids + 1
            self.ids += len(columns.values[name])
        self._first_pair: list[int] = []
        for known in pairs:
            self._first_pair.append(self.ids + 1)
            self.ids += len(known)

    def lines(self, block: pa.RecordBatch) -> bytes:
        columns = self._columns
        out = [pa.array(columns.codes("label", block.column("label")))]
        out += [pa.array(self._dense(name, block.column(name))) for name in INTEGERS]
        for cross, known, first in zip(CROSSES, self._pairs, self._first_pair):
            out.append(pa.array(np.searchsorted(known, _cross(columns, cross, block)) + first))
        out += [pa.array(columns.codes(name, block.column(name)) + self._first[name]) for name in CATEGORIES]
        text = io.BytesIO()
        table = pa.table(out, names=[str(i) for i in range(len(out))])
        csv.write_csv(table, text, csv.WriteOptions(include_header=False, delimiter=" "))
        return text.getvalue()

    def _dense(self, name: str, column: pa.Array) -> NDArray[np.float64] | NDArray[np.int64]:
        codes, size = self._columns.codes(name, column), len(self._columns.values[name])
        return codes / max(size - 1, 1) if self._normalize else codes + 1
