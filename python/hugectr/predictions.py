# SPDX-License-Identifier: Apache-2.0
"""Arrays in and out of ``Model.predict``. Loaded with NumPy by its first call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Union

import numpy as np

from hugectr import _core
from hugectr.errors import InvalidArgumentError
from hugectr.spec import Plain

Sparse = tuple["np.ndarray[Any, Any]", "np.ndarray[Any, Any]"]


def predict(
    engine: _core.Engine, inputs: Plain, data: Union[str, Mapping[str, Any], None]
) -> Union[np.ndarray[Any, Any], dict[str, np.ndarray[Any, Any]]]:
    """Predictions for a data set or for arrays by the names of inputs: of the only label, or of each by its name."""
    values = np.asarray(_of(engine, inputs, data) if isinstance(data, Mapping) else engine.predict_source(data or ""))
    widths = engine.prediction_widths()
    if len(widths) == 1:
        return values
    names, ends = [label["name"] for label in inputs["labels"]], np.cumsum(widths)
    return {name: values[:, end - width : end] for name, width, end in zip(names, widths, ends)}


def _of(engine: _core.Engine, inputs: Plain, data: Mapping[str, Any]) -> object:
    sparse_inputs = {item["name"]: len(item["nnz_per_slot"]) for item in inputs["sparse"]}
    dense_dim = inputs["dense_dim"]
    wanted = [*([inputs["dense_name"]] if dense_dim else []), *sparse_inputs]
    for name in data:
        if name not in wanted:
            raise InvalidArgumentError(f'Model.predict(): no input "{name}"; the model has {", ".join(wanted)}')
    for name in wanted:
        if name not in data:
            raise InvalidArgumentError(f'Model.predict(): no array for the input "{name}"')
    sparse = {name: _csr(name, data[name], slots) for name, slots in sparse_inputs.items()}
    counts = {name: (len(offsets) - 1) // sparse_inputs[name] for name, (_, offsets) in sparse.items()}
    if dense_dim:
        dense = _dense(inputs["dense_name"], data[inputs["dense_name"]], dense_dim)
        counts[inputs["dense_name"]] = len(dense)
    else:
        dense = np.empty((next(iter(counts.values())), 0), np.float32)
    if len(set(counts.values())) > 1:
        said = ", ".join(f'"{name}" {count}' for name, count in counts.items())
        raise InvalidArgumentError(f"Model.predict(): the inputs have different numbers of samples: {said}")
    return engine.predict_arrays(dense, list(sparse.values()))


def _array(name: str, values: Any) -> np.ndarray[Any, Any]:
    try:
        return np.asarray(values)
    except ValueError as error:  # lists of different lengths
        raise InvalidArgumentError(f'Model.predict(): "{name}" is no array: {error}') from None


def _dense(name: str, values: Any, width: int) -> np.ndarray[Any, Any]:
    array = _array(name, values)
    if array.ndim != 2 or array.shape[1] != width or array.dtype.kind not in "fiub":
        raise InvalidArgumentError(
            f'Model.predict(): "{name}" must be numbers [samples, {width}], got {array.dtype} {list(array.shape)}'
        )
    with np.errstate(over="ignore"):  # the core says which value is too large
        return np.ascontiguousarray(array, np.float32)


def _integers(name: str, values: Any) -> np.ndarray[Any, Any]:
    array = _array(name, values)
    if array.dtype.kind not in "iu" and array.size:
        raise InvalidArgumentError(f'Model.predict(): "{name}" must hold integers, got {array.dtype}')
    if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
        raise InvalidArgumentError(f'Model.predict(): "{name}" has a key of more than 63 bits: {array.max()}')
    return np.ascontiguousarray(array, np.int64)


def _csr(name: str, values: Any, slots: int) -> Sparse:
    """Keys and offsets of [samples, slots], [samples, slots, keys], or such a pair."""
    if isinstance(values, tuple) and len(values) == 2:
        keys, offsets = (_integers(name, part) for part in values)
        if keys.ndim != 1 or offsets.ndim != 1 or not len(offsets) or (len(offsets) - 1) % slots:
            raise InvalidArgumentError(
                f'Model.predict(): "{name}" as a pair must be keys and samples * {slots} + 1 offsets, '
                f"got {list(keys.shape)} and {list(offsets.shape)}"
            )
        return keys, offsets
    array = _integers(name, values)
    if array.ndim not in (2, 3) or array.shape[1] != slots:
        raise InvalidArgumentError(
            f'Model.predict(): "{name}" must be keys [samples, {slots}] or [samples, {slots}, keys of a slot], '
            f"or a pair of keys and offsets; got {list(array.shape)}"
        )
    per_slot = array.shape[2] if array.ndim == 3 else 1
    return array.reshape(-1), np.arange(array.shape[0] * slots + 1, dtype=np.int64) * per_slot
