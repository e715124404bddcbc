# SPDX-License-Identifier: Apache-2.0
"""Synthetic data sets in all three formats."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Optional

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tqdm import tqdm

from hugectr import _core, idle
from hugectr.arguments import LocalPath, Seed, converted
from hugectr.enums import Check_t, DataReaderType_t, Distribution_t, PowerLaw_t
from hugectr.errors import InvalidArgumentError, OutOfMemoryError
from hugectr.files import make_folder, printable, replace_file
from hugectr.tools.formats import raw_samples, write_file_list, write_norm

_ALPHA = {PowerLaw_t.Long: 0.9, PowerLaw_t.Medium: 1.1, PowerLaw_t.Short: 1.3}
_LARGEST_U32_KEY = 2**32 - 2
_LARGEST_I64_KEY = 2**63 - 2
_MOST_VALUES = 2**36  # in memory at a time
_RAW_BLOCK = 1 << 16  # samples drawn at a time

Keys = NDArray[np.int64]


class DataGeneratorParams:
    """What to generate. Every parameter is an attribute that can be read and set.

    Args:
        format: Norm, Parquet or Raw.
        label_dim: Labels of a sample; each is 0 or 1.
        dense_dim: Dense features of a sample.
        num_slot: Slots of a sample.
        i64_input_key: Keys of 64 bits instead of 32. Raw takes 32 only.
        source: File list of the training data (Norm, Parquet) or the file itself (Raw).
        eval_source: The same for the evaluation data. Where both name one file list, only training data is written.
        slot_size_array: Number of different keys of each slot.
        nnz_array: Keys of each slot; empty for one. Parquet draws 1 to that many.
        check_type: Norm: with or without check bytes.
        dist_type: Distribution of the keys.
        power_law_type: Exponent 0.9 (Long), 1.1 (Medium), 1.3 (Short) or `alpha` (Specific).
        alpha: Exponent, positive and not 1.
        num_files, eval_num_files, num_samples_per_file: Norm and Parquet.
        num_samples, eval_num_samples: Raw.
        float_label_dense: Raw: store labels and dense features as float instead of int.
        num_threads: Of no effect: one thread generates.
        seed: Draws the same data again; None draws new data every time.

    Raises:
        InvalidArgumentError: A value is out of range, the lengths of the arrays differ from `num_slot`, or `source` and
            `eval_source` name one Raw file.
    """

    @converted()
    def __init__(
        self, format: DataReaderType_t, label_dim: int, dense_dim: int, num_slot: int, i64_input_key: bool,
        source: LocalPath, eval_source: LocalPath, slot_size_array: Sequence[int], nnz_array: Sequence[int] = (),
        check_type: Check_t = Check_t.Sum, dist_type: Distribution_t = Distribution_t.PowerLaw,
        power_law_type: PowerLaw_t = PowerLaw_t.Specific, alpha: float = 1.2, num_files: int = 128,
        eval_num_files: int = 32, num_samples_per_file: int = 40960, num_samples: int = 5242880,
        eval_num_samples: int = 1310720, float_label_dense: bool = False, num_threads: int = 1,
        seed: Optional[Seed] = None,
    ) -> None:  # fmt: skip
        self.__dict__.update({name: value for name, value in locals().items() if name != "self"})
        self.validate()

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def validate(self) -> None:
        """Raises InvalidArgumentError when the parameters do not describe a data set."""
        _require(self.format != DataReaderType_t.RawAsync, "format must be Norm, Parquet or Raw, got RawAsync")
        positive = ("label_dim", "num_slot", "num_files", "eval_num_files", "num_samples_per_file", "num_samples",
                    "eval_num_samples")  # fmt: skip
        for name in positive:
            _require(getattr(self, name) > 0, f"{name} must be positive, got {getattr(self, name)}")
        _require(self.dense_dim >= 0, f"dense_dim must not be negative, got {self.dense_dim}")
        _require(
            len(self.slot_size_array) == self.num_slot,
            f"slot_size_array has {len(self.slot_size_array)} entries, num_slot is {self.num_slot}",
        )
        _require(
            len(self.nnz_array) in (0, self.num_slot),
            f"nnz_array has {len(self.nnz_array)} entries, num_slot is {self.num_slot}",
        )
        _require(min(self.slot_size_array) > 0, f"slot_size_array must be positive, got {self.slot_size_array}")
        _require(min(self.nnz_array, default=1) > 0, f"nnz_array must be positive, got {self.nnz_array}")
        _require(self.alpha > 0 and self.alpha != 1, f"alpha must be positive and not 1, got {self.alpha}")
        self._validate_format()

    def warn_about_idle(self) -> None:
        """Says which parameters were changed and describe another format or distribution."""
        unused = ["num_threads"]
        if self.format != DataReaderType_t.Norm:
            unused.append("check_type")
        if self.format == DataReaderType_t.Raw:
            unused += ["num_files", "eval_num_files", "num_samples_per_file"]
        else:
            unused += ["num_samples", "eval_num_samples", "float_label_dense"]
        if self.dist_type == Distribution_t.Uniform:
            unused += ["power_law_type", "alpha"]
        elif self.power_law_type != PowerLaw_t.Specific:
            unused.append("alpha")
        defaults = {name: parameter.default for name, parameter in inspect.signature(type(self)).parameters.items()}
        changed = [name for name in unused if getattr(self, name) != defaults[name]]
        idle.warn("DataGeneratorParams()", changed, f"on {self.format.name} with these keys")

    def _validate_format(self) -> None:
        is_raw = self.format == DataReaderType_t.Raw
        _require(not (is_raw and self.i64_input_key), "Raw requires 32-bit keys: set i64_input_key=False")
        _require(
            not (is_raw and max(self.nnz_array, default=1) > 1),
            f"Raw files have one key a slot, nnz_array is {self.nnz_array}",
        )
        _require(
            not (is_raw and os.path.realpath(self.source) == os.path.realpath(self.eval_source)),
            f'source and eval_source name one Raw file, "{self.source}": evaluation data would replace training data',
        )
        largest = (sum if self.format == DataReaderType_t.Norm else max)(self.slot_size_array) - 1
        _require(
            self.i64_input_key or largest <= _LARGEST_U32_KEY,
            f"slot_size_array leads to key {largest}, 32-bit keys end at {_LARGEST_U32_KEY}: set i64_input_key=True",
        )
        _require(
            largest <= _LARGEST_I64_KEY,
            f"slot_size_array leads to key {largest}, 64-bit keys end at {_LARGEST_I64_KEY}",
        )
        rows = min(self.num_samples, _RAW_BLOCK) if is_raw else self.num_samples_per_file
        values = rows * (self.label_dim + self.dense_dim + sum(_nnz(self)))
        _require(values <= _MOST_VALUES, f"{rows} samples at a time have {values} values, more than {_MOST_VALUES}")


class DataGenerator:
    """Writes the training and the evaluation data set that its parameters describe."""

    @converted()
    def __init__(self, data_generator_params: DataGeneratorParams) -> None:
        self._params = data_generator_params

    def generate(self) -> None:
        """Writes both data sets. A Norm or Parquet data set whose file list exists is left as it is.

        Raises:
            InvalidArgumentError: The parameters were changed to something unusable.
            FileError: A file cannot be written.
        """
        p = DataGeneratorParams(**vars(self._params))  # they may have been changed since
        p.warn_about_idle()
        try:
            self._generate(p)
        except MemoryError as error:
            raise OutOfMemoryError(f"DataGenerator: a file's samples do not fit in memory: {error}") from error

    def _generate(self, p: DataGeneratorParams) -> None:
        seed = np.random.SeedSequence(p.seed)
        train, evaluation = seed.spawn(2)
        if p.format == DataReaderType_t.Raw:
            _write_raw(p, p.source, p.num_samples, train)
            _write_raw(p, p.eval_source, p.eval_num_samples, evaluation)
        else:
            _generate_listed(p, p.source, "train", p.num_files, train)
            _generate_listed(p, p.eval_source, "val", p.eval_num_files, evaluation)


def power_law(uniform: NDArray[np.float64], size: int, alpha: float) -> Keys:
    """Maps numbers uniform in [0, 1) to keys in [0, size) with density ~ (key + 1)^-alpha; small keys are frequent."""
    exponent = 1.0 - alpha
    y: NDArray[np.float64] = ((float(size) ** exponent - 1.0) * uniform + 1.0) ** (1.0 / exponent)
    keys = np.floor(y + 0.5).astype(np.int64) - 1
    return np.minimum(keys, size - 1)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InvalidArgumentError(message)


def _draw_keys(p: DataGeneratorParams, rng: np.random.Generator, slot: int, shape: tuple[int, ...]) -> Keys:
    """Keys of one slot, from 0."""
    size = p.slot_size_array[slot]
    if p.dist_type == Distribution_t.Uniform:
        uniform: Keys = rng.integers(0, size, shape)
        return uniform
    return power_law(rng.random(shape), size, _ALPHA.get(p.power_law_type, p.alpha))


def _nnz(p: DataGeneratorParams) -> list[int]:
    return p.nnz_array or [1] * p.num_slot


def _draw_floats(p: DataGeneratorParams, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    labels = rng.integers(0, 2, (p.num_samples_per_file, p.label_dim)).astype(np.float32)
    return labels, rng.random((p.num_samples_per_file, p.dense_dim), dtype=np.float32)


def _write_files(
    source: str, part: str, extension: str, count: int, seed: np.random.SeedSequence,
    write: Callable[[str, np.random.Generator], None],
) -> list[str]:  # fmt: skip
    """Writes `count` files in the folder `part` beside `source`."""
    folder = os.path.join(os.path.dirname(source), part)
    make_folder(folder)
    files = [os.path.join(folder, f"gen_{k}.{extension}") for k in range(count)]
    for file, child in zip(tqdm(files, desc=printable(folder), unit="file", disable=None), seed.spawn(count)):
        write(file, np.random.default_rng(child))
    return files


def _generate_listed(p: DataGeneratorParams, source: str, part: str, count: int, seed: np.random.SeedSequence) -> None:
    """The list comes last: it never names a data set that is half written."""
    if os.path.exists(source):
        _core.log_info(f'File list "{source}" exists: its data set is kept as it is')
        return
    generate = _generate_norm if p.format == DataReaderType_t.Norm else _generate_parquet
    write_file_list(source, generate(p, source, part, count, seed))


def _generate_norm(
    p: DataGeneratorParams, source: str, part: str, count: int, seed: np.random.SeedSequence
) -> list[str]:
    offsets = np.cumsum([0, *p.slot_size_array])

    def write(file: str, rng: np.random.Generator) -> None:
        labels, dense = _draw_floats(p, rng)
        slots = [offsets[s] + _draw_keys(p, rng, s, (p.num_samples_per_file, nnz)) for s, nnz in enumerate(_nnz(p))]
        write_norm(file, labels, dense, slots, check_sum=p.check_type == Check_t.Sum, i64=p.i64_input_key)

    return _write_files(source, part, "data", count, seed, write)


def _generate_parquet(
    p: DataGeneratorParams, source: str, part: str, count: int, seed: np.random.SeedSequence
) -> list[str]:
    labels_end, dense_end = p.label_dim, p.label_dim + p.dense_dim
    names = [f"label{i}" for i in range(labels_end)] + [f"C{j}" for j in range(labels_end, dense_end + p.num_slot)]

    def write(file: str, rng: np.random.Generator) -> None:
        labels, dense = _draw_floats(p, rng)
        columns = [pa.array(np.ascontiguousarray(column)) for column in (*labels.T, *dense.T)]
        columns += [_parquet_slot(p, rng, slot) for slot in range(p.num_slot)]
        content = pa.BufferOutputStream()
        pq.write_table(pa.table(columns, names=names), content)
        replace_file(file, [content.getvalue().to_pybytes()])

    files = _write_files(source, part, "parquet", count, seed, write)
    entries = [{"col_name": name, "index": index} for index, name in enumerate(names)]
    metadata = {
        "file_stats": [{"file_name": os.path.basename(f), "num_rows": p.num_samples_per_file} for f in files],
        "labels": entries[:labels_end],
        "conts": entries[labels_end:dense_end],
        "cats": entries[dense_end:],
    }
    metadata_file = os.path.join(os.path.dirname(files[0]), "_metadata.json")
    replace_file(metadata_file, [json.dumps(metadata, indent=1).encode()])
    return files


def _parquet_slot(p: DataGeneratorParams, rng: np.random.Generator, slot: int) -> pa.Array:
    """One column: a key in every row, or a list of 1 to nnz of them."""
    fits_i32 = p.slot_size_array[slot] <= 2**31
    dtype = np.int64 if p.i64_input_key else np.int32 if fits_i32 else np.uint32
    nnz, samples = _nnz(p)[slot], p.num_samples_per_file
    if nnz == 1:
        return pa.array(_draw_keys(p, rng, slot, (samples,)).astype(dtype))
    ends = np.cumsum(rng.integers(1, nnz + 1, samples))
    keys = _draw_keys(p, rng, slot, (int(ends[-1]),)).astype(dtype)
    return pa.ListArray.from_arrays(pa.array(np.concatenate([[0], ends]).astype(np.int32)), pa.array(keys))


def _write_raw(p: DataGeneratorParams, path: str, samples: int, seed: np.random.SeedSequence) -> None:
    """Labels alternate and a dense feature is the number of its column, as in all releases."""
    make_folder(os.path.dirname(path) or ".")
    rng = np.random.default_rng(seed)

    def blocks() -> Iterator[bytes]:
        with tqdm(total=samples, desc=printable(path), unit="sample", disable=None) as progress:
            for first in range(0, samples, _RAW_BLOCK):
                rows = min(_RAW_BLOCK, samples - first)
                labels = np.repeat(np.arange(first, first + rows)[:, np.newaxis] % 2, p.label_dim, axis=1)
                dense = np.tile(np.arange(p.dense_dim), (rows, 1))
                keys = np.stack([_draw_keys(p, rng, slot, (rows,)) for slot in range(p.num_slot)], axis=1)
                yield raw_samples(labels, dense, keys, p.float_label_dense)
                progress.update(rows)

    replace_file(path, blocks())
