# SPDX-License-Identifier: Apache-2.0
"""Releases 3.1 and 3.2: the embedding training cache under its first name, the model oversubscriber."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Callable

from hugectr.arguments import FilePath, converted
from hugectr.enums import TrainPSType_t
from hugectr.errors import InvalidArgumentError
from hugectr.training_cache import CreateETC, EmbeddingTrainingCacheParams

ModelOversubscriberParams = EmbeddingTrainingCacheParams
_OF_3_2_1 = ("ps_types", "sparse_models", "local_paths", "hmem_cache_configs", "hcache_configs")


def _or_of_3_2_1(of_3_1: Callable[..., EmbeddingTrainingCacheParams]) -> Callable[..., EmbeddingTrainingCacheParams]:
    @functools.wraps(of_3_1)
    def create(*args: Any, **kwargs: Any) -> EmbeddingTrainingCacheParams:
        if (args and isinstance(args[0], (list, tuple))) or any(name in kwargs for name in _OF_3_2_1):
            return CreateETC(*args, **kwargs)
        return of_3_1(*args, **kwargs)

    return create


@_or_of_3_2_1
@converted()
def CreateMOS(
    train_from_scratch: bool,
    use_host_memory_ps: bool = True,
    trained_sparse_models: Sequence[FilePath] = (),
    dest_sparse_models: Sequence[FilePath] = (),
) -> EmbeddingTrainingCacheParams:
    """Describes the embedding training cache in the way of releases 3.1 and 3.2.

    The form of release 3.2.1, which is that of :func:`hugectr.CreateETC`, is accepted as well.

    Args:
        train_from_scratch: Whether the tables are new.
        use_host_memory_ps: True keeps whole tables in memory (``Staged``), False parts of them (``Cached``).
        trained_sparse_models: Tables to go on with.
        dest_sparse_models: Where new tables are written.

    Raises:
        InvalidArgumentError: The list that is needed is empty.
    """
    name = "dest_sparse_models" if train_from_scratch else "trained_sparse_models"
    models = dest_sparse_models if train_from_scratch else trained_sparse_models
    if not models:
        raise InvalidArgumentError(f"CreateMOS(): train_from_scratch={train_from_scratch} needs {name}")
    kind = TrainPSType_t.Staged if use_host_memory_ps else TrainPSType_t.Cached
    return EmbeddingTrainingCacheParams.of(
        {"ps_types": [kind] * len(models), "sparse_models": models, "local_paths": [], "hmem_cache_configs": []}
    )
