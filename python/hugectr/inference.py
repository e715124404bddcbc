# SPDX-License-Identifier: Apache-2.0
"""Inference. The names can be imported; using them raises UnsupportedError until inference is there."""

from __future__ import annotations

from enum import auto

from hugectr.enums import OrderedEnum
from hugectr.unsupported import placeholders


class InferType(OrderedEnum):
    """Who asks for predictions; no public call takes it."""

    Triton = auto()
    Other = auto()


globals().update(
    placeholders(
        "hugectr.inference",
        "inference",
        "InferenceParams InferenceModel InferenceSession CreateInferenceSession CreateParameterServer "
        "CreateEmbeddingCache EmbeddingCache ParameterServer ParameterServerConfig HPS VolatileDatabaseParams "
        "PersistentDatabaseParams UpdateSourceParams CPUMemoryDatabaseParams DistributedDatabaseParams",
    )
)
