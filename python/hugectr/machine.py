# SPDX-License-Identifier: Apache-2.0
"""Whether this processor can run the build. Imported before the native core, which may not even load elsewhere."""

from __future__ import annotations

from hugectr import build


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
