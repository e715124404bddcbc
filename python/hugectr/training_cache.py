# SPDX-License-Identifier: Apache-2.0
"""Settings of the embedding training cache. A Model does not take them yet."""

from __future__ import annotations

from collections.abc import Sequence

from hugectr.arguments import FilePath, Record, converted
from hugectr.enums import TrainPSType_t
from hugectr.errors import InvalidArgumentError


class HMemCacheConfig(Record):
    """What :func:`CreateHMemCache` returns."""


class EmbeddingTrainingCacheParams(Record):
    """What :func:`CreateETC` returns."""


@converted()
def CreateHMemCache(num_blocks: int, target_hit_rate: float, max_num_evict: int) -> HMemCacheConfig:
    """Describes the host memory cache of a ``Cached`` table.

    Args:
        num_blocks: Size in blocks; one block holds what one pass needs.
        target_hit_rate: Hit rate below which blocks are exchanged.
        max_num_evict: Most exchanges.
    """
    return HMemCacheConfig.of(locals())


@converted(aliases={"hcache_configs": "hmem_cache_configs"})
def CreateETC(
    ps_types: Sequence[TrainPSType_t],
    sparse_models: Sequence[FilePath] = (),
    local_paths: Sequence[FilePath] = (),
    hmem_cache_configs: Sequence[HMemCacheConfig] = (),
) -> EmbeddingTrainingCacheParams:
    """Describes the embedding training cache.

    Args:
        ps_types: Where each embedding's table lives.
        sparse_models: Path of each table: read if it exists, written after training.
        local_paths: Directory for temporary tables, one per process (``Cached`` only).
        hmem_cache_configs: One cache description, or one per ``Cached`` table (also spelled ``hcache_configs``).

    Raises:
        InvalidArgumentError: The lengths do not fit.
    """
    cached = sum(kind is TrainPSType_t.Cached for kind in ps_types)
    if not sparse_models:
        raise InvalidArgumentError("CreateETC(): sparse_models is empty")
    if cached and len(hmem_cache_configs) not in (1, cached):
        raise InvalidArgumentError(
            f"CreateETC(): hmem_cache_configs needs 1 or {cached} entries for {cached} Cached tables, "
            f"got {len(hmem_cache_configs)}"
        )
    return EmbeddingTrainingCacheParams.of(
        {
            "ps_types": ps_types,
            "sparse_models": sparse_models,
            "local_paths": local_paths,
            "hmem_cache_configs": hmem_cache_configs,
        }
    )
