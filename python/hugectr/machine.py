# SPDX-License-Identifier: Apache-2.0
"""What has to hold before the native core is loaded. Imported first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hugectr import build


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Ctrl-C meanwhile comes at the end: a native module that it meets while loading ends the process."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    received: list[tuple[Any, ...]] = []
    signal.signal(signal.SIGINT, lambda *arguments: received.append(arguments))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if received:
            handler(*received[0])


def _flags() -> set[str]:
    """What the processor can do, as Linux says; empty where it does not."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            line = next((line for line in file if line.startswith("flags")), "")
    except OSError:
        return set()
    return set(line.partition(":")[2].split())


def _check() -> None:
    available = _flags()
    missing = [flag for flag in build.PROCESSOR_FLAGS if flag not in available]
    if available and missing:
        raise ImportError(
            f"this build of hugectr is for {build.ARCHITECTURE} processors, and this one lacks {', '.join(missing)}: "
            "build it from source with HUGECTR_ARCH=x86-64 or what fits",
            name="hugectr",
        )


_check()
