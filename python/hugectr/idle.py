# SPDX-License-Identifier: Apache-2.0
"""Options that are taken and change nothing where they were given: the log says so, once."""

from __future__ import annotations

from collections.abc import Iterable

from hugectr import _core
from hugectr.arguments import Record


def warn(where: str, names: Iterable[str], why: str) -> None:
    """One line about options, if there are any; `why` ends it."""
    listed = ", ".join(names)
    if listed:
        _core.warn_once(f"{where}: {listed} {'have' if ', ' in listed else 'has'} no effect {why}")


def warn_changed(where: str, record: Record, names: Iterable[str], why: str) -> None:
    """The same about those of the record's arguments that were given and are not what they would be anyway."""
    warn(where, [name for name in names if name in record._changed], why)
