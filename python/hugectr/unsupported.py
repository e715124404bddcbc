# SPDX-License-Identifier: Apache-2.0
"""Public names whose feature is not there yet: importing them works, using them raises UnsupportedError."""

from __future__ import annotations

from typing import Any

from hugectr.errors import UnsupportedError


def placeholder(module: str, name: str, feature: str) -> type:
    """A class that raises UnsupportedError, naming itself and the feature, when it is called."""

    def refuse(self: object, *args: Any, **kwargs: Any) -> None:
        raise UnsupportedError(f"{module}.{name}: {feature} is not supported yet")

    return type(name, (), {"__init__": refuse, "__doc__": f"Not supported yet: {feature}.", "__module__": module})


def placeholders(module: str, feature: str, names: str) -> dict[str, type]:
    """Placeholders by name; `names` is separated by spaces."""
    return {name: placeholder(module, name, feature) for name in names.split()}


TRAINING_CACHE = placeholders(
    "hugectr",
    "the embedding training cache",
    "EmbeddingTrainingCache EmbeddingTraingCache ModelOversubscriber ModelPrefetcher",
)
COLLECTION = placeholders(
    "hugectr",
    "the embedding collection",
    "EmbeddingCollection EmbeddingCollectionConfig EmbeddingTableConfig EmbeddingTablePlaceHolder "
    "EmbeddingCollectionPlaceHolder EmbeddingPlanner",
)
