# SPDX-License-Identifier: Apache-2.0
"""Writers of Norm and Raw data files and of file lists, from arrays."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hugectr.arguments import FilePath, checked
from hugectr.errors import InvalidArgumentError
from hugectr.files import PathLike, replace_file

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
    replace_file(checked("write_file_list", "path", FilePath, path), [content])


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
    replace_file(
        checked("write_norm", "path", FilePath, path), [b"" if check_sum else header.tobytes(), body.tobytes()]
    )


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
        InvalidArgumentError: The arrays differ in their number of samples, a key does not fit, or a label or dense
            feature that is stored as an integer is none or is out of range (a dense feature must not be negative).
    """
    content = raw_samples(labels, dense, keys, float_label_dense)
    if hasattr(path, "write"):
        path.write(content)
    else:
        replace_file(checked("write_raw", "path", FilePath, path), [content])


def raw_samples(labels: ArrayLike, dense: ArrayLike | None, keys: ArrayLike, float_label_dense: bool) -> bytes:
    """The samples as a Raw file holds them; arguments and errors as of `write_raw`."""
    dtype = "<f4" if float_label_dense else "<i4"
    label = _numbers(labels, "labels")
    label = label.reshape(len(label), -1) if label.ndim else label.reshape(1, 1)
    features = np.zeros((len(label), 0)) if dense is None else _numbers(dense, "dense")
    table = _numbers(keys, "keys")
    for name, array in (("dense", features), ("keys", table)):
        if array.ndim != 2 or len(array) != len(label):
            raise InvalidArgumentError(f"{name} has shape {array.shape}; labels have {len(label)} samples")
    _check_keys(table, False, "keys")
    if not float_label_dense:
        _check_int32(label, -(2**31), "labels")
        _check_int32(features, 0, "dense")
    columns = [label.astype(dtype).view("<u4"), features.astype(dtype).view("<u4"), table.astype("<u4")]
    return np.hstack(columns).tobytes()


def _numbers(values: Any, what: str, dtype: Any = None) -> NDArray[Any]:
    try:
        array = np.asarray(values, dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidArgumentError(f"{what} must be a matrix of numbers: {error}") from None
    if array.dtype.kind not in "biufO":  # objects are whole numbers beyond 64 bits, or will be refused as such
        raise InvalidArgumentError(f"{what} must be numbers, got {array.dtype}")
    return array


def _matrix(values: ArrayLike, what: str) -> NDArray[np.float32]:
    given = _numbers(values, what)
    if given.ndim == 1:
        given = given[:, np.newaxis]
    if given.ndim != 2:
        raise InvalidArgumentError(f"{what} must be a matrix, got shape {given.shape}")
    with np.errstate(over="ignore"):
        array: NDArray[np.float32] = _numbers(given, what, np.float32)
    too_large = np.isinf(array)
    if too_large.any():  # infinities and NaN are what they are: readers name them
        for row, column in np.argwhere(too_large):
            if not np.isinf(given[row, column]):
                raise InvalidArgumentError(
                    f"{what}, row {row}, column {column}: {given[row, column]} is too large for a 32-bit float"
                )
    return array


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


def _check_keys(keys: NDArray[Any], i64: bool, what: str) -> None:
    if not keys.size:
        return
    lowest, end = (-(2**63), 2**63 - 1) if i64 else (0, _RESERVED_U32)
    if keys.dtype.kind == "O":  # whole numbers beyond 64 bits among them, or no numbers
        others = [key for key in keys.ravel().tolist() if not isinstance(key, int) or not lowest <= key < end]
    elif keys.dtype.kind == "f":  # NumPy makes them of whole numbers from 2^63 beside negative ones, too
        others = [key for key in keys.ravel().tolist() if key != int(key) or not lowest <= key < end][:1] or ["floats"]
    elif keys.dtype.kind in "iu":
        others = [key for key in (int(keys.min()), int(keys.max())) if not lowest <= key < end]
    else:
        others = [keys.ravel()[0]]
    if others:
        raise InvalidArgumentError(f"{what}: keys must be integers from {lowest} to {end - 1}, got {others[0]!s:.60}")


def _csr(slot: Any, samples: int, i64: bool, what: str) -> tuple[Counts, Words]:
    """The number of keys of each sample, and all keys as words [keys, words of a key]."""
    if isinstance(slot, tuple):
        offsets: Counts = _numbers(slot[0], what, np.int64)
        counts: Counts = offsets[1:] - offsets[:-1]
        keys = np.asarray(slot[1])
    elif isinstance(slot, np.ndarray) and slot.ndim == 2:
        counts = np.full(len(slot), slot.shape[1], dtype=np.int64)
        keys = slot.ravel()
    else:
        rows = [np.atleast_1d(np.asarray(row)) for row in slot]
        counts = np.array([len(row) for row in rows], dtype=np.int64)
        filled = [row for row in rows if len(row)]
        keys = np.concatenate(filled) if filled else np.zeros(0, np.int64)
    if len(counts) != samples or (counts < 0).any() or counts.sum() != len(keys):
        raise InvalidArgumentError(
            f"{what}: {len(counts)} samples with {counts.sum()} keys; labels have {samples} samples, "
            f"{len(keys)} keys are there"
        )
    _check_keys(keys, i64, what)
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
