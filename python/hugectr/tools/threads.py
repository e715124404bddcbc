# SPDX-License-Identifier: Apache-2.0
"""Columns side by side: Arrow and NumPy let other threads run meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import pyarrow as pa

from hugectr import _core
from hugectr.errors import OutOfMemoryError

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """The result for each item. Of several errors, that of the first item is raised.

    The calling thread works too, so that it goes on with fewer threads where the system has no more.
    """
    todo = list(enumerate(items))
    total = len(todo)
    results: dict[int, Result] = {}
    errors: dict[int, BaseException] = {}
    todo.reverse()

    def work() -> None:
        while todo and not errors:
            try:
                index, item = todo.pop()
            except IndexError:  # another thread was faster
                return
            try:
                results[index] = function(item)
            except BaseException as error:
                errors[index] = error

    helpers = _started(work, min(total, pa.cpu_count()) - 1)
    try:
        work()
        for helper in helpers:
            helper.join()
    finally:
        todo.clear()  # an interrupt leaves the rest undone
    if errors:
        raise errors[min(errors)]
    return [results[index] for index in range(total)]


def fit_arrow_to_limits() -> None:
    """Lets Arrow use as many threads as the system still starts: with fewer than it counts on, it waits for ever.

    Raises:
        OutOfMemoryError: There are not even the two that it needs.
    """
    wanted = pa.cpu_count() + pa.io_thread_count()
    release = threading.Event()
    helpers = _started(release.wait, wanted)
    release.set()
    for helper in helpers:
        helper.join()
    if len(helpers) == wanted:
        return
    time.sleep(0.2)  # the system's threads end a moment after Python's
    if len(helpers) < 2:
        raise OutOfMemoryError(
            f"to_parquet(): the system starts {len(helpers)} more threads, and Arrow needs two: the limit on threads "
            "is reached (ulimit -u, or the pids or memory limit of a container)"
        )
    _core.log_warning(f"the limit on threads is reached: data preparation uses {len(helpers)} instead of {wanted}")
    pa.set_cpu_count(len(helpers) // 2)
    pa.set_io_thread_count(len(helpers) - len(helpers) // 2)


def _started(work: Callable[[], Any], count: int) -> list[threading.Thread]:
    """Up to `count` threads that do `work`: as many as the system starts."""
    helpers: list[threading.Thread] = []
    for _ in range(count):
        helper = threading.Thread(target=work)
        try:
            helper.start()
        except RuntimeError:
            break
        helpers.append(helper)
    return helpers
