# SPDX-License-Identifier: Apache-2.0
"""Columns side by side: Arrow and NumPy let other threads run meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

import pyarrow as pa

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


def _started(work: Callable[[], None], count: int) -> list[threading.Thread]:
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
