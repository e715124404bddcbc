# SPDX-License-Identifier: Apache-2.0
"""Parquet files as Arrow C streams, for the native reader."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from hugectr import _core
from hugectr.arrow_threads import require_arrow_threads
from hugectr.errors import FileError, InvalidArgumentError

_BATCH_ROWS = 65536
_SHOWN_NAMES = 100


class _DataFile(io.RawIOBase):
    """What Arrow reads a file through that the system does not know."""

    def __init__(self, file: _core.DataFile) -> None:
        self._file, self._at = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        self._at = origin + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        content = self._file.read_at(self._at, self._file.size if size < 0 else size)
        self._at += len(content)
        return content


def open_stream(file: _core.DataFile, columns: Sequence[tuple[int, str]]) -> pa.RecordBatchReader:
    """Stream some columns of a Parquet file in row order.

    Args:
        file: The file.
        columns: Position in the file's schema (-1: unknown) and name of each column; the name decides, the position
            where the name is empty. The stream has the columns in this order.

    Returns:
        An object with ``__arrow_c_stream__``. Pulling record batches from that stream runs without the interpreter
        where the file is local.

    Raises:
        FileError: The file is no Parquet file.
        OutOfMemoryError: The system starts no threads for Arrow.
        InvalidArgumentError: The file lacks a name, it has it twice, or a position is out of range.
    """
    path = os.fspath(file)
    shown = os.fsencode(path).decode(errors="backslashreplace")
    require_arrow_threads(f'"{shown}"')
    try:
        # Arrow takes only bytes for a name that is not UTF-8.
        source = pa.OSFile(os.fsencode(path)) if file.is_local else pa.PythonFile(_DataFile(file), mode="r")
        fragment = ds.ParquetFileFormat().make_fragment(source)
        names = fragment.physical_schema.names
    except (OSError, pa.ArrowException) as error:
        raise FileError(f'cannot read "{shown}" as Parquet: {error}') from error
    wanted: dict[str, pc.Expression] = {}
    for index, name in columns:
        found = _find(shown, names, index, name)
        if found in wanted:
            raise InvalidArgumentError(f'"{shown}": _metadata.json uses column "{found}" twice')
        wanted[found] = pc.field(found)
    return fragment.scanner(columns=wanted, batch_size=_BATCH_ROWS, use_threads=False).to_reader()


def _find(path: str, names: Sequence[str], index: int, name: str) -> str:
    """The name of the column."""
    if index >= len(names):
        raise InvalidArgumentError(
            f'"{path}": column index {index} of _metadata.json is out of range, the file has {len(names)} columns'
        )
    name = name or names[index]
    if name not in names:
        more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
        has = ", ".join(f'"{n}"' for n in names[:_SHOWN_NAMES]) + more
        raise InvalidArgumentError(f'"{path}" has no column "{name}", which _metadata.json names; it has {has}')
    if names.count(name) > 1:
        raise InvalidArgumentError(f'"{path}": more than one column is called "{name}"')
    return name
