# SPDX-License-Identifier: Apache-2.0
"""Work that is killed: at the n-th line of the package's code, or at any moment."""

import os
import signal
import sys
import types
from collections.abc import Callable
from typing import Any

from hugectr.tools import to_parquet, write_norm

CODE = ("hugectr/tools/publish.py", "hugectr/files.py")


def data_set(folder: Any, version: int) -> None:
    """All labels are the version; rows, files and the name of the dense column vary with it."""
    rows = 3 + version % 4
    dense = "xz"[version % 2]
    table = {"y": [version] * rows, dense: [0.5] * rows, "c": [f"{version}"] * rows}
    to_parquet(table, folder / "set", labels="y", numeric=[dense], categorical=["c"], rows_per_file=2)


def norm_file(folder: Any, version: int) -> None:
    """All labels are the version."""
    rows = 3 + version % 4
    write_norm(folder / "file", [version] * rows, None, [[[version]] * rows])


def kill_at(line: int, work: Callable[[Any, int], None], folder: Any, version: int) -> None:
    """Ends the process before the line-th line that `work` runs in CODE; returns if it has fewer."""
    seen = 0

    def count(frame: types.FrameType, event: str, _: Any) -> Any:
        nonlocal seen
        if not frame.f_code.co_filename.endswith(CODE):
            return None
        seen += event == "line"
        if seen > line:
            os.kill(os.getpid(), signal.SIGKILL)
        return count

    sys.settrace(count)
    work(folder, version)


def for_ever(work: Callable[[Any, int], None], folder: Any, version: int, done: Any) -> None:
    while True:
        work(folder, version)
        done.send(version)
        version += 1
