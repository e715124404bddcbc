# SPDX-License-Identifier: Apache-2.0
"""Log lines of the core go to Python's sys.stdout and sys.stderr, so that notebooks and tests see them."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Callable, Optional

from hugectr import _core

Writer = Callable[[bool, str], None]


def write_line(is_error: bool, line: str) -> None:
    """Writes one log line to the stream that sys has for it now."""
    stream = sys.stderr if is_error else sys.stdout
    if stream is not None and not getattr(stream, "closed", False):  # a program's own may have no more than write()
        stream.write(line + "\n")
        getattr(stream, "flush", lambda: None)()


_writer: Writer = write_line


def _sink(is_error: bool, line: str) -> None:
    _writer(is_error, line)


@contextmanager
def redirected(writer: Optional[Writer]) -> Iterator[None]:
    """Sends log lines to `writer` meanwhile; None changes nothing."""
    global _writer
    previous = _writer
    _writer = writer or previous
    try:
        yield
    finally:
        _writer = previous


def install() -> None:
    """Takes over the core's log lines until the interpreter exits."""
    _core.set_log_sink(_sink)
    atexit.register(_core.set_log_sink, None)
