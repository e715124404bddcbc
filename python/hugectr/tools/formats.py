# SPDX-License-Identifier: Apache-2.0
"""Writers of Norm and Raw data files and of file lists, from arrays."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hugectr.arguments import FilePath, checked
from hugectr.errors import InvalidArgumentError
from hugectr.files import PathLike, make_parents, replace_file

Words = NDArray[np.uint32]
Bytes = NDArray[np.uint8]
Counts = NDArray[np.int64]

_HEADER_BYTES = 64
_RESERVED_U32 = 0xFFFFFFFF


def write_file_list(path: PathLike, files: Sequence[PathLike]) -> None:
    """Writes the list that `source` of a Norm or Parquet data set names: a count, then the paths.

    Raises:
        InvalidArgumentError: There are no files, or a path is empty, has a line break or ends in white space, which
            readers cut off.
    """
    content = file_list(checked("write_file_list", "files", Sequence[FilePath], files))
    _write(checked("write_file_list", "path", FilePath, path), content)


def _write(path: str, *content: bytes) -> None:
    make_parents(path)
    replace_file(path, content)


def file_list(files: Sequence[PathLike]) -> bytes:
    """The content of a file list."""
    if not files:
        raise InvalidArgumentError("a file list needs at least one file")
    return b"".join(b"%b\n" % line for line in [b"%d" % len(files), *map(file_list_line, files)])


def file_list_line(file: PathLike) -> bytes:
    """A path as it stands on a line of a file list."""
    line = os.fsencode(file)
    if line != line.rstrip(b" \t\r\v\f") or not line or b"\n" in line:
        raise InvalidArgumentError(f"{file!r} cannot stand on a line of a file list")
    return line


def write_norm(
    path: PathLike,
    labels: ArrayLike,
    dense: ArrayLike | None,
    slots: Sequence[Any],
    *,
    check_sum: bool = True,
    i64: bool = False,
) -> None:
    """Writes one Norm data file.

    Args:
        path: The file.
        labels: [samples] or [samples, label_dim]. Infinities and NaN are written as they are; readers refuse them.
        dense: [samples, dense_dim], or None for no dense features.
        slots: The keys of each slot: an array [samples, nnz], a sequence with the keys of each sample, or a tuple
            (offsets [samples + 1], keys).
        check_sum: Frame header and samples with a length and a check byte (`Check_t.Sum`).
        i64: Keys of 8 bytes instead of 4 (`i64_input_key`).

    Raises:
        InvalidArgumentError: The arrays differ in their number of samples, or a number does not fit.
    """
    label = _matrix(labels, "labels")
    samples = len(label)
    features = np.zeros((samples, 0), np.float32) if dense is None else _matrix(dense, "dense")
    if not isinstance(slots, (Sequence, np.ndarray)):
        raise InvalidArgumentError(f"slots must be a list with the keys of each slot, got {slots!r:.60}")
    csr = [_csr(slot, samples, i64, f"slot {s}") for s, slot in enumerate(slots)]
    if len(features) != samples:
        raise InvalidArgumentError(f"labels have {samples} samples, dense has {len(features)}")
    header = np.array([check_sum, samples, label.shape[1], features.shape[1], len(csr), 0, 0, 0], "<i8")
    lengths, words = _samples(np.hstack([label, features]), csr)
    body: Bytes = words.astype("<u4", copy=False).view(np.uint8)
    if check_sum:
        lengths = np.concatenate([[_HEADER_BYTES], lengths])
        body = _framed(np.concatenate([header.view(np.uint8), body]), lengths)
    _write(checked("write_norm", "path", FilePath, path), b"" if check_sum else header.tobytes(), body.tobytes())


def write_raw(
    path: PathLike | BinaryIO,
    labels: ArrayLike,
    dense: ArrayLike | None,
    keys: ArrayLike,
    *,
    float_label_dense: bool = False,
) -> None:
    """Writes a Raw data file.

    Args:
        path: The file, or a binary file to continue.
        labels: [samples] or [samples, label_dim].
        dense: [samples, dense_dim], or None for no dense features.
        keys: [samples, slots], each in [0, 2^32 - 1).
        float_label_dense: Store labels and dense features as float; otherwise as integers, which a reader turns into
            ln(v + 1).

    Raises:
        InvalidArgumentError: The arrays differ in their number of samples, a number does not fit, or a label or dense
            feature that is stored as an integer is none or is out of range (a dense feature must not be negative).
    """
    content = raw_samples(labels, dense, keys, float_label_dense)
    if hasattr(path, "write"):
        path.write(content)
    else:
        _write(checked("write_raw", "path", FilePath, path), content)


def raw_samples(labels: ArrayLike, dense: ArrayLike | None, keys: ArrayLike, float_label_dense: bool) -> bytes:
    """The samples as a Raw file holds them; arguments and errors as of `write_raw`."""
    dtype = "<f4" if float_label_dense else "<i4"
    label = _numbers(labels, "labels")
    label = label.reshape(len(label), -1) if label.ndim else label.reshape(1, 1)
    features = np.zeros((len(label), 0)) if dense is None else _numbers(dense, "dense")
    table = _keys(keys, "keys")
    for name, array in (("dense", features), ("keys", table)):
        if array.ndim != 2 or len(array) != len(label):
            raise InvalidArgumentError(f"{name} has shape {array.shape}; labels have {len(label)} samples")
    _check_keys(table, False, "keys", lambda i: i // table.shape[1])
    if float_label_dense:
        label, features = _floats(label, "labels"), _floats(features, "dense")
    else:
        _check_int32(label, -(2**31), "labels")
        _check_int32(features, 0, "dense")
    columns = [label.astype(dtype).view("<u4"), features.astype(dtype).view("<u4"), table.astype("<u4")]
    return np.hstack(columns).tobytes()


def _numbers(values: Any, what: str) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidArgumentError(f"{what} must be a matrix of numbers: {error}") from None
    if array.dtype.kind not in "biufO":  # objects are whole numbers beyond 64 bits, or will be refused as such
        raise InvalidArgumentError(f"{what} must be numbers, got {array.dtype}")
    return array


def _matrix(values: ArrayLike, what: str) -> NDArray[np.float32]:
    array = _numbers(values, what)
    if array.ndim == 1:
        array = array[:, np.newaxis]
    if array.ndim != 2:
        raise InvalidArgumentError(f"{what} must be a matrix, got shape {array.shape}")
    return _floats(array, what)


def _floats(values: NDArray[Any], what: str) -> NDArray[np.float32]:
    """A matrix as it is stored. Infinities and NaN are what they are: readers name them."""
    try:
        with np.errstate(over="ignore"):
            floats = values.astype(np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidArgumentError(f"{what} must be a matrix of numbers: {error}") from None
    for row, column in np.argwhere(np.isinf(floats)):
        if not math.isinf(values[row, column]):
            raise InvalidArgumentError(
                f"{what}, row {row}, column {column}: {values[row, column]} is too large for a 32-bit float"
            )
    return floats


def _check_int32(values: NDArray[Any], lowest: int, what: str) -> None:
    if values.dtype.kind not in "biuf":
        raise InvalidArgumentError(f"{what} must be numbers, got {values.dtype}")
    bad = ~((values >= lowest) & (values < 2**31) & (values == np.floor(values)))  # NaN included
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise InvalidArgumentError(
            f"{what}, row {row}, column {column}: {values[row, column]} is no integer in [{lowest}, {2**31 - 1}]; "
            "float_label_dense=True stores floats"
        )


def _keys(values: Any, what: str) -> NDArray[Any]:
    """Keys, as objects where no type of NumPy's holds them all."""
    array = _numbers(values, what)
    if array.dtype.kind == "f" and not hasattr(values, "dtype"):  # what NumPy makes of whole numbers around 2^63
        array = np.asarray(values, object)
    return array


def _joined(rows: list[NDArray[Any]]) -> NDArray[Any]:
    """All keys one behind the other, not as the floats that NumPy makes of signed and unsigned ones."""
    filled = [row for row in rows if len(row)]
    if len({row.dtype.kind for row in filled}) > 1:
        filled = [row.astype(object) for row in filled]
    return np.concatenate(filled) if filled else np.zeros(0, np.int64)


def _check_keys(keys: NDArray[Any], i64: bool, what: str, row_of: Callable[[int], Any]) -> None:
    """`row_of(i)` is the row of key i, for messages."""
    lowest, end = (-(2**63), 2**63 - 1) if i64 else (0, _RESERVED_U32)
    flat = keys.ravel()
    if not flat.size or (flat.dtype.kind in "iu" and lowest <= int(flat.min()) and int(flat.max()) < end):
        return
    for i, key in enumerate(flat.tolist()):
        if not isinstance(key, int) or isinstance(key, bool):
            raise InvalidArgumentError(f"{what}, row {row_of(i)}: keys must be integers, got {key!r:.60}")
        if not lowest <= key < end:
            raise InvalidArgumentError(
                f"{what}, row {row_of(i)}: key {key} is not in [{lowest}, {end - 1}], the range of "
                f"{64 if i64 else 32}-bit keys; the largest value of the key type is reserved"
            )


def _csr(slot: Any, samples: int, i64: bool, what: str) -> tuple[Counts, Words]:
    """The number of keys of each sample, and all keys as words [keys, words of a key]."""
    if isinstance(slot, tuple):
        offsets = _numbers(slot[0], what)
        if offsets.dtype.kind not in "iu":
            raise InvalidArgumentError(f"{what}: offsets must be integers of 64 bits, got {offsets.tolist()!r:.60}")
        starts: Counts = offsets.astype(np.int64)
        counts: Counts = starts[1:] - starts[:-1]
        keys = _keys(slot[1], what)
    elif isinstance(slot, np.ndarray) and slot.ndim == 2:
        counts = np.full(len(slot), slot.shape[1], dtype=np.int64)
        keys = slot.ravel()
    else:
        rows = [np.atleast_1d(_keys(row, what)) for row in slot]
        counts = np.array([len(row) for row in rows], dtype=np.int64)
        keys = _joined(rows)
    if len(counts) != samples or (counts < 0).any() or counts.sum() != len(keys):
        raise InvalidArgumentError(
            f"{what}: {len(counts)} samples with {counts.sum()} keys; labels have {samples} samples, "
            f"{len(keys)} keys are there"
        )
    _check_keys(keys, i64, what, lambda i: np.searchsorted(np.cumsum(counts), i, side="right"))
    words: Words = keys.astype("<i8" if i64 else "<u4").view(np.uint32)
    return counts, words.reshape(len(keys), 2 if i64 else 1)


def _samples(floats: NDArray[np.float32], csr: list[tuple[Counts, Words]]) -> tuple[Counts, Words]:
    """Byte lengths of all samples, and their payloads one after the other."""
    lengths = np.full(len(floats), floats.shape[1], dtype=np.int64)
    for counts, keys in csr:
        lengths += 1 + counts * keys.shape[1]
    words = np.zeros(int(lengths.sum()), dtype=np.uint32)
    position = np.cumsum(lengths) - lengths
    words[position[:, np.newaxis] + np.arange(floats.shape[1])] = floats.view(np.uint32)
    position = position + floats.shape[1]
    for counts, keys in csr:
        words[position] = counts
        first = np.cumsum(counts) - counts
        start = np.repeat(position + 1 - first * keys.shape[1], counts)
        key_position = start + np.arange(len(keys)) * keys.shape[1]
        words[key_position[:, np.newaxis] + np.arange(keys.shape[1])] = keys
        position = position + 1 + counts * keys.shape[1]
    return 4 * lengths, words


def _framed(payload: Bytes, lengths: Counts) -> Bytes:
    """Puts each payload between its length and its check byte. No length is 0."""
    starts = np.cumsum(lengths) - lengths
    checks = np.add.reduceat(payload, starts, dtype=np.uint8)
    frames = starts + 5 * np.arange(len(lengths))
    out = np.empty(len(payload) + 5 * len(lengths), dtype=np.uint8)
    is_payload = np.ones(len(out), dtype=np.bool_)
    length_bytes = frames[:, np.newaxis] + np.arange(4)
    check_bytes = frames + 4 + lengths
    is_payload[length_bytes] = False
    is_payload[check_bytes] = False
    out[is_payload] = payload
    out[length_bytes] = lengths.astype("<i4")[:, np.newaxis].view(np.uint8)
    out[check_bytes] = checks
    return out
