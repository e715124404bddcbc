# SPDX-License-Identifier: Apache-2.0
"""Columns side by side: Arrow and NumPy let other threads run meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pyarrow as pa

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """The result for each item. Of several errors, that of the first item is raised."""
    with ThreadPoolExecutor(pa.cpu_count()) as pool:
        return list(pool.map(function, items))
