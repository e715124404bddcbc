# SPDX-License-Identifier: Apache-2.0
"""Anything tabular as a re-readable stream of equally sized Arrow record batches."""

from __future__ import annotations

import difflib
import itertools
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.dataset
import pyarrow.fs
import pyarrow.interchange
import pyarrow.ipc

from hugectr.arguments import LocalPath, checked
from hugectr.arrow_threads import LIMIT, require_arrow_threads
from hugectr.errors import FileError, InvalidArgumentError, NotFoundError, OutOfMemoryError
from hugectr.files import require_regular
from hugectr.tools.publish import listed

PARQUET_SUFFIXES = (".parquet", ".pq")
BATCH_ROWS = 65536  # the usual size of a batch: all but the last have it, however the source was chunked


class Source:
    """Columns of a table that can be read several times, batch by batch."""

    def __init__(self, read: Callable[[], Iterable[pa.RecordBatch]]) -> None:
        self._read = read

    def batches(self, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Batches of that many rows, so that results do not depend on the chunks of the source."""
        pending: list[pa.RecordBatch] = []
        rows = 0
        with _reading("the source"):
            for batch in map(_plain, self._read()):
                pending.append(batch)
                rows += batch.num_rows
                while rows >= batch_rows:
                    table = pa.Table.from_batches(pending)
                    yield _one_batch(table.slice(0, batch_rows))
                    pending = table.slice(batch_rows).to_batches()
                    rows -= batch_rows
        if rows:
            yield _one_batch(pa.Table.from_batches(pending))


@contextmanager
def open_source(source: Any, wanted: Mapping[str, pa.DataType], *, read_twice: bool) -> Iterator[Source]:
    """Opens the wanted columns of a frame, table, stream or file.

    The types are for CSV files, which have none: text keeps "007" apart from "7".
    """
    columns = list(wanted)
    selection: Any = columns
    if isinstance(source, (str, bytes, os.PathLike)):
        source = _open_file(Path(checked("to_parquet", "source", LocalPath, source)), wanted)
        if isinstance(source.format, pa.dataset.CsvFileFormat):
            selection = {name: _csv_field(name, kind) for name, kind in wanted.items()}
    if isinstance(source, pa.dataset.Dataset):
        _require_columns(source.schema.names, columns)
        require_arrow_threads("the source")
        yield Source(lambda: source.to_batches(columns=selection, batch_size=BATCH_ROWS))
    elif (table := _as_table(source, columns)) is not None:
        yield Source(table.to_batches)
    else:
        with tempfile.TemporaryDirectory(prefix="hugectr_") as folder:
            stream = _as_stream(source)
            _require_columns(stream.schema.names, columns)
            selected = (_plain(batch.select(columns)) for batch in stream)
            yield _spool(selected, Path(folder) / "spool.arrow") if read_twice else Source(lambda: selected)


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Arrow's errors, for example about text in a numeric column of a CSV file, as ours."""
    try:
        yield
    except (pa.ArrowException, UnicodeError, OverflowError) as error:
        if "launch worker thread" in str(error):
            raise OutOfMemoryError(f"cannot read {what}: {LIMIT}") from error
        raise InvalidArgumentError(f"cannot read {what}: {error}") from None


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Run-length encoded columns and views of lists cannot be computed with."""
    return pa.RecordBatch.from_arrays([_plain_column(column) for column in batch.columns], names=batch.schema.names)


def _plain_column(column: pa.Array) -> pa.Array:
    if pa.types.is_run_end_encoded(column.type):
        return pc.run_end_decode(column)
    return _lists(column) if str(column.type).startswith(("list_view", "large_list_view")) else column


def _lists(views: pa.Array) -> pa.Array:
    """Views of lists as lists. (Arrow's own conversion goes wrong where the array is a slice.)"""
    missing = pc.is_null(views).to_numpy(zero_copy_only=False)
    begins = np.asarray(views.offsets.to_numpy(), np.int64)
    sizes = np.where(missing, 0, views.sizes.to_numpy())
    ends = np.cumsum(sizes)
    places = np.arange(ends[-1] if len(ends) else 0) + np.repeat(begins - (ends - sizes), sizes)
    offsets = pa.array(np.concatenate([[0], ends]), pa.int64())
    return pa.LargeListArray.from_arrays(offsets, views.values.take(pa.array(places)), mask=pa.array(missing))


def _csv_field(name: str, kind: pa.DataType) -> pc.Expression:
    """A column of a CSV file. Text is missing where the field is empty: "NA" and "null" are values like others."""
    field = pc.field(name)
    return pc.if_else(field == "", pa.scalar(None, kind), field) if kind == pa.string() else field


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    return table.combine_chunks().to_batches()[0]


def _require_columns(present: Sequence[str], wanted: Sequence[str]) -> None:
    for name in wanted:
        count = present.count(name)
        if count == 0:
            near = difflib.get_close_matches(name, present, n=1)
            hint = f'; did you mean "{near[0]}"?' if near else "."
            raise NotFoundError(f'unknown column "{name}"{hint} Known: {", ".join(present)}')
        if count > 1:
            raise InvalidArgumentError(f'{count} columns are named "{name}"')


class _FileName:
    """The name of a local file for pyarrow, which would take text for UTF-8, for the address of another file system if
    it has a colon, and for a home folder if it begins with "~"."""

    def __init__(self, path: Path) -> None:
        self._bytes = os.fsencode(os.path.join(".", path))

    def __fspath__(self) -> bytes:
        return self._bytes


def _open_file(path: Path, types: Mapping[str, pa.DataType]) -> pa.dataset.Dataset:
    if not os.path.exists(path):
        raise FileError(f'"{path}" does not exist')
    suffix = path.name[: -len(".gz")] if path.name.endswith(".gz") else path.name
    if suffix.endswith((".csv", ".tsv")):
        file_format: Any = pa.dataset.CsvFileFormat(
            parse_options=pa.csv.ParseOptions(delimiter="\t" if suffix.endswith(".tsv") else ","),
            convert_options=pa.csv.ConvertOptions(column_types=dict(types), strings_can_be_null=False),
        )
    elif os.path.isdir(path) or suffix.endswith(PARQUET_SUFFIXES):
        file_format = pa.dataset.ParquetFileFormat()
    else:
        raise InvalidArgumentError(
            f'"{path}": expected a .csv, .tsv or .parquet file or a folder of Parquet files; '
            "open anything else with pyarrow.dataset.dataset() and pass that"
        )
    files = _parquet_files(path) if os.path.isdir(path) else [path]
    for file in files:
        require_regular(file)
    names = [_FileName(file) for file in files]
    local = pa.fs.LocalFileSystem()
    require_arrow_threads(f'"{path}"')
    with _reading(f'"{path}"'):
        schema = file_format.inspect(names[0], local)
        fragments = [file_format.make_fragment(name, local) for name in names]
        return pa.dataset.FileSystemDataset(fragments, schema, file_format, local)


def _parquet_files(folder: Path) -> list[Path]:
    """Those of the data set there, or all in the folder and below; names that begin with "." or "_" are not data."""
    parts = [folder / name for name in listed(folder)]
    if parts and all(part.exists() for part in parts):
        return parts
    found = sorted(file for file in folder.rglob("*") if file.name.endswith(PARQUET_SUFFIXES))
    files = [file for file in found if not re.search(r"(^|/)[._]", file.relative_to(folder).as_posix())]
    if not files:
        raise FileError(f'"{folder}" holds no Parquet files')
    return files


def _as_table(source: Any, columns: Sequence[str]) -> pa.Table | None:
    """The columns of in-memory data; None for a stream that may be readable only once."""
    module = type(source).__module__.partition(".")[0]
    if module == "pandas" and hasattr(source, "columns"):
        return _from_pandas(source, columns)
    if isinstance(source, dict):
        source = _from_dict(source, columns)
    if isinstance(source, pa.RecordBatch) or (module == "polars" and hasattr(source, "__arrow_c_stream__")):
        with _reading("the columns"):
            source = pa.table(source)
    elif hasattr(source, "__dataframe__") and not hasattr(source, "__arrow_c_stream__"):
        source = pa.interchange.from_dataframe(source)
    if not isinstance(source, pa.Table):
        return None
    _require_columns(source.schema.names, columns)
    return source.select(list(columns))


def _from_dict(source: dict[Any, Any], columns: Sequence[str]) -> pa.Table:
    """Names that are numbers are found by their text, as those of a frame."""
    if not all(isinstance(name, str) for name in source):
        source = {str(name): values for name, values in source.items()}
    _require_columns(list(source), columns)
    arrays = {}
    for name in filter(set(columns).__contains__, source):
        with _reading(f'column "{name}"'):
            arrays[name] = _array(source[name])
    with _reading("the columns"):
        return pa.table(arrays)


def _array(values: Any) -> pa.Array | pa.ChunkedArray:
    """Also of whole numbers from 2^63, which pyarrow takes for signed ones."""
    try:
        return pa.table({"": values})[0]
    except OverflowError:
        return _unsigned(values)


def _unsigned(values: Any) -> pa.Array:
    for kind in (pa.uint64(), pa.list_(pa.uint64())):
        with suppress(OverflowError, pa.ArrowException):
            return pa.array(values, kind)
    raise OverflowError("it has whole numbers beyond 64 bits, or such from 2^63 beside negative ones")


def _from_pandas(frame: Any, columns: Sequence[str]) -> pa.Table:
    """Only the columns in use: others may hold what Arrow cannot. Names that are numbers are found by their text."""
    names = [str(name) for name in frame.columns]
    _require_columns(names, columns)
    arrays = []
    for name in columns:
        series = frame.iloc[:, names.index(name)]
        if hasattr(series, "sparse"):
            series = series.sparse.to_dense()
        with _reading(f'column "{name}"'):  # it may mix types
            arrays.append(_pandas_array(series))
    return pa.table(arrays, names=list(columns))


def _pandas_array(series: Any) -> pa.Array | pa.ChunkedArray:
    try:
        return pa.Array.from_pandas(series)
    except OverflowError:  # see _array
        return _unsigned(series)


def _as_stream(source: Any) -> pa.RecordBatchReader:
    if isinstance(source, pa.RecordBatchReader):
        return source
    if hasattr(source, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(source)
    if type(source).__name__ == "LazyFrame":
        raise InvalidArgumentError("cannot read a LazyFrame: pass what its collect() returns")
    raise InvalidArgumentError(
        f"cannot read a {type(source).__module__}.{type(source).__qualname__}: expected a pandas or Polars frame, a "
        "pyarrow Table, Dataset or RecordBatchReader, any object with __arrow_c_stream__ or __dataframe__, a dict of "
        "columns, or the path of a CSV or Parquet file"
    )


def _spool(batches: Iterator[pa.RecordBatch], path: Path) -> Source:
    """Copies a stream that can be read only once to a temporary file, batch by batch."""
    first = next(batches, None)
    if first is None:
        return Source(lambda: [])
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, first.schema) as writer:
        for batch in itertools.chain([first], batches):
            writer.write_batch(batch)

    def read() -> Iterator[pa.RecordBatch]:
        with pa.OSFile(str(path), "rb") as file, pa.ipc.open_stream(file) as reader:
            yield from reader

    return Source(read)
