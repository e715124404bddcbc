# SPDX-License-Identifier: Apache-2.0
"""The live progress line of ``Model.fit``."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable, Optional

from hugectr import log

Progress = Callable[[dict[str, Any]], None]


def wanted() -> bool:
    """Whether a progress line is shown: on a terminal, unless ``HUGECTR_PROGRESS`` is 0 or 1."""
    choice = os.environ.get("HUGECTR_PROGRESS", "")
    return choice == "1" or (choice != "0" and sys.stderr is not None and sys.stderr.isatty())


@contextmanager
def line(batch_size: int) -> Iterator[Optional[Progress]]:
    """Shows rate, loss and time left of a training run on stderr; log lines that arrive meanwhile stay above it.

    Args:
        batch_size: Samples per iteration.

    Yields:
        The callback that moves the line, or None if no line is wanted. It takes a dictionary with ``iteration``,
        ``total`` (iterations; 0 while unknown) and, if known, ``loss``.
    """
    if not wanted():
        yield None
        return
    from tqdm.auto import tqdm

    with tqdm(unit=" samples", unit_scale=True, dynamic_ncols=True, leave=False) as bar:

        def update(state: dict[str, Any]) -> None:
            bar.total = state["total"] * batch_size or None
            if math.isfinite(state.get("loss", math.nan)):
                bar.set_postfix_str(f"loss {state['loss']:.5f}", refresh=False)
            bar.update(state["iteration"] * batch_size - bar.n)

        def write(is_error: bool, text: str) -> None:
            bar.write(text, file=sys.stderr if is_error else sys.stdout)

        with log.redirected(write):
            yield update
