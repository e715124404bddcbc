# SPDX-License-Identifier: Apache-2.0
"""The four models in sizes that train in milliseconds."""

from __future__ import annotations

from typing import Any

from harness.declaration import Declaration, SparseInput, dcn, deepfm, dlrm, wide_and_deep

SLOTS = (40, 7, 23, 11)


def small(name: str, **changes: Any) -> Declaration:
    """``name`` is "wdl", "deepfm", "dcn" or "dlrm"; multi-hot inputs and the mean combiner through ``changes``."""
    if name == "wdl":
        return wide_and_deep(SLOTS, SparseInput("wide_data", (30, 20), 2, False), 6, 5, hidden=(16, 8), **changes)
    if name == "deepfm":
        return deepfm(SLOTS, 4, 5, hidden=(12, 8), **changes)
    if name == "dcn":
        return dcn(SLOTS, 6, 5, cross=3, hidden=(16, 8), **changes)
    return dlrm(SLOTS, 8, 5, bottom=(12,), top=(16, 8), **changes)


MODELS = ("wdl", "deepfm", "dcn", "dlrm")
