# SPDX-License-Identifier: Apache-2.0
"""Parquet files as Arrow C streams, for the native reader."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from hugectr.errors import FileError, InvalidArgumentError
from hugectr.files import require_regular

_BATCH_ROWS = 65536


def open_stream(path: str, columns: Sequence[int]) -> pa.RecordBatchReader:
    """Stream some columns of a Parquet file in row order.

    Args:
        path: The file.
        columns: Positions of the columns in the file's schema; the stream has them in this order.

    Returns:
        An object with ``__arrow_c_stream__``. Pulling record batches from that stream runs without the interpreter.

    Raises:
        FileError: The file is missing, no regular file or not a Parquet file.
        InvalidArgumentError: A position is out of range, or its column's name is not unique.
    """
    require_regular(path)
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise FileError(f'cannot read "{path}" as Parquet: {error}') from error
    names = schema.names
    for column in columns:
        if not 0 <= column < len(names):
            raise InvalidArgumentError(
                f'"{path}": column index {column} of _metadata.json is out of range, the file has {len(names)} columns'
            )
        if names.count(names[column]) > 1:
            raise InvalidArgumentError(f'"{path}": more than one column is called "{names[column]}"')
    wanted = {names[column]: _numbers(schema.field(column)) for column in columns}
    scanner = ds.dataset(path, format="parquet").scanner(columns=wanted, batch_size=_BATCH_ROWS, use_threads=False)
    return scanner.to_reader()


def _numbers(field: pa.Field) -> pc.Expression:
    """The column; truth values as 0 and 1."""
    column = pc.field(field.name)
    return column.cast(pa.uint8()) if pa.types.is_boolean(field.type) else column
