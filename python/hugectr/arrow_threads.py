# SPDX-License-Identifier: Apache-2.0
"""Arrow reads files on threads of its own, and waits for ever for those that the system does not start."""

from __future__ import annotations

import io
import os

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from hugectr import _core
from hugectr.errors import OutOfMemoryError

LIMIT = "the limit on threads is reached (ulimit -u, or the pids limit of a container)"

_NEEDED = 2  # one that reads and one that computes
_OURS = 64  # that may be started later: readers', and those that prepare data
_checked_process = 0


def require_arrow_threads(what: str) -> None:
    """Raises where Arrow cannot have its threads; where the limit is near, it gets along with the fewest from now on.

    Asked once a process, before other threads read files: Arrow keeps its threads.
    """
    global _checked_process
    if _checked_process == os.getpid():
        return
    wanted = pa.cpu_count() + pa.io_thread_count()
    found = _core.startable_threads(wanted + _OURS)
    if found < _NEEDED:
        raise OutOfMemoryError(
            f"cannot read {what}: Arrow needs {_NEEDED} threads to read files, the system starts {found}: {LIMIT}"
        )
    if found < wanted + _OURS:
        _core.log_warning(f"Arrow reads files with {_NEEDED} threads instead of {wanted}: {LIMIT}")
        _start_fewest()
    _checked_process = os.getpid()


def _start_fewest() -> None:
    """At once, so that threads started later cannot take their place."""
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    content = io.BytesIO()  # Arrow needs no thread to read a buffer of its own
    pq.write_table(pa.table({"any": [0]}), content)
    ds.ParquetFileFormat().make_fragment(pa.PythonFile(content, mode="r")).to_table(use_threads=False)
