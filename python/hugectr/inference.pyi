# SPDX-License-Identifier: Apache-2.0
# Written by tools/make_stubs.py: what the package takes, in types.
# ruff: noqa

from typing import Any

from hugectr.enums import OrderedEnum

class InferType(OrderedEnum):
    Triton = ...
    Other = ...

class InferenceParams:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

class InferenceModel:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

class InferenceSession:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

class CreateInferenceSession:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

class CreateParameterServer:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

class CreateEmbeddingCache:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

class EmbeddingCache:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

class ParameterServer:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

class ParameterServerConfig:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

class HPS:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

class VolatileDatabaseParams:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

class PersistentDatabaseParams:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

class UpdateSourceParams:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

class CPUMemoryDatabaseParams:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

class DistributedDatabaseParams:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

