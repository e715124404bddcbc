# SPDX-License-Identifier: Apache-2.0
"""Orders and spellings of arguments that some releases had, turned into today's before arguments are bound."""

from __future__ import annotations

from typing import Any

from hugectr.enums import DataReaderSparse_t, DataReaderType_t

Arguments = tuple[tuple[Any, ...], dict[str, Any]]

_COMBINERS = ("sum", "mean")


def is_int(value: Any) -> bool:
    """Whether it counts as an integer."""
    return hasattr(value, "__index__") and not hasattr(value, "__len__")


def seed_first(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
    """CreateSolver of 3.1 and 3.2 had no model_name: there the first argument is the seed."""
    return (("", *args) if args and is_int(args[0]) else args), kwargs


def source_pair(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
    """set_source(source, eval_source) beside set_source(source, keyset, eval_source), from 3.1 on."""
    if len(args) == 2 and "eval_source" not in kwargs:
        return args[:1], {**kwargs, "eval_source": args[1]}
    if len(args) == 3:
        return args[:2], {**kwargs, "eval_source": args[2]}
    return args, kwargs


def precompute_before_types(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
    """HybridEmbeddingParam of 3.3 to 3.8 had two more booleans before communication_type."""
    extra = ("use_train_precompute_indices", "use_eval_precompute_indices")
    if len(args) > 6 and isinstance(args[6], bool):
        return (*args[:6], *args[8:]), {**kwargs, **dict(zip(extra, args[6:8]))}
    return args, kwargs


def sparse_param_of_3_0(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
    """DataReaderSparseParam of 2.3 and 3.0: (type, max_feature_num, max_nnz, slot_num), its name given elsewhere.

    Without `max_nnz`, one slot may hold all the keys that a sample can have.
    """
    older = ("type", "max_feature_num", "max_nnz", "slot_num")
    if not (args and isinstance(args[0], DataReaderSparse_t)) and "type" not in kwargs:
        return args, kwargs
    values = {**dict(zip(older, args)), **kwargs}
    values.setdefault("max_nnz", values.get("max_feature_num"))
    if len(args) > len(older) or set(values) != set(older) or set(older[: len(args)]) & set(kwargs):
        raise TypeError(
            "DataReaderSparseParam() of releases 2.3 and 3.0 takes type, max_feature_num, max_nnz (optional), slot_num"
        )
    return ("", values["max_nnz"], False, values["slot_num"]), {"max_feature_num": values["max_feature_num"]}


def input_of_3_0(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
    """Input of 3.0, which described the data set as well, and those of later releases with label weights third."""
    if "data_reader_type" in kwargs or (args and isinstance(args[0], DataReaderType_t)):
        from hugectr.compat import preview  # imports what imports this

        return (), preview.input_arguments(args, kwargs)
    if len(args) > 2 and not hasattr(args[2], "__index__"):
        return (*args[:2], *args[3:]), {**kwargs, "label_weights": args[2]}
    return args, kwargs


def embedding_of_3_0(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
    """SparseEmbedding of 3.0: rows of a device instead of megabytes, and a combiner of 0 (sum) or 1 (mean)."""
    combiner: Any = args[3] if len(args) > 3 else kwargs.get("combiner")
    if isinstance(combiner, bool) or not is_int(combiner) or int(combiner) not in (0, 1):
        return args, kwargs
    name = _COMBINERS[int(combiner)]
    if len(args) > 1:
        kwargs = {**kwargs, "max_vocabulary_size_per_gpu": args[1]}
        args = (args[0], 0, *args[2:])
    return ((*args[:3], name, *args[4:]), kwargs) if len(args) > 3 else (args, {**kwargs, "combiner": name})
