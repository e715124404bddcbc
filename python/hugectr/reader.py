# SPDX-License-Identifier: Apache-2.0
"""What is read, and in which format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional, Union

from hugectr import _core
from hugectr.arguments import REQUIRED, FilePath, Record, converted
from hugectr.compat import forms
from hugectr.data import DataSourceParams
from hugectr.enums import Alignment_t, Check_t, DataReaderType_t
from hugectr.errors import InvalidArgumentError, UnsupportedError


class AsyncParam(Record):
    """Settings of the asynchronous Raw reader.

    Only ``shuffle`` changes what is trained; the rest tunes the original's direct I/O.

    Args:
        num_threads: Reading threads.
        num_batches_per_thread: Batches a thread works on at a time.
        io_block_size: Bytes of one request, a multiple of `io_alignment`. A number smaller than that is taken as the
            ``max_num_requests_per_thread`` that releases from 4.3 have in this place.
        io_depth: Requests in flight.
        io_alignment: Alignment of requests in bytes.
        shuffle: Whether training batches come in a random order, derived from the solver's seed.
        aligned_type: ``Alignment_t.Auto`` pads the dense input to a multiple of 8 in memory.
        multi_hot_reader, is_dense_float: Options of later releases.

    Raises:
        InvalidArgumentError: A number is not positive, or `io_block_size` is no multiple of `io_alignment`.
    """

    @converted(aliases={"max_num_requests_per_thread": "io_block_size"})
    def __init__(
        self,
        num_threads: int,
        num_batches_per_thread: int,
        io_block_size: int,
        io_depth: int,
        io_alignment: int,
        shuffle: bool,
        aligned_type: Alignment_t,
        multi_hot_reader: bool = True,
        is_dense_float: bool = True,
    ) -> None:
        for name in ("num_threads", "num_batches_per_thread", "io_block_size", "io_depth", "io_alignment"):
            if getattr(self, name) < 1:
                raise InvalidArgumentError(f"AsyncParam(): {name} must be at least 1, got {getattr(self, name)}")
        if io_block_size > io_alignment and io_block_size % io_alignment:
            raise InvalidArgumentError(
                f"AsyncParam(): io_block_size must be a multiple of io_alignment ({io_alignment}), got {io_block_size}"
            )


class DataReaderParams(Record):
    """Data sets of a model. Files are opened when reading starts, not here.

    Args:
        data_reader_type: Format: Norm, Raw or Parquet; RawAsync reads as Raw.
        source: Training data: a file list (Norm, Parquet) or the data file (Raw). Several need the embedding training
            cache, which is not supported yet.
        keyset: Key sets of the sources, for the embedding training cache.
        eval_source: Evaluation data, like `source`.
        check_type: Whether Norm files carry check bytes (``Sum``) or not (``Non``).
        cache_eval_data: Evaluation batches to keep in memory. Of no effect yet: they are read every time.
        num_samples: Samples in the training file (Raw); 0 derives it from the file's size.
        eval_num_samples: The same of the evaluation file.
        float_label_dense: Raw: labels and dense values are floats. Otherwise they are integers and a dense value v
            becomes ln(v + 1).
        num_workers: Reading threads; no more are used than there are files (Norm, Parquet) or batches (Raw). The
            order of samples depends on it, and not on the number of devices.
        slot_size_array: Keys of each slot; their running sum is added to the keys of a Parquet data set.
        async_param: Settings of RawAsync.
        data_source_params: File system of the paths, where it is not the solver's.
        read_file_sequentially: Of no effect: the order of samples is always deterministic.
        drop_incomplete_batch: What becomes of batches that the end of the data leaves incomplete (epoch mode). True
            leaves them out of training and evaluation, False uses the samples that there are. None, the default,
            leaves them out of training and uses them in evaluation.
        shuffle: Raw and RawAsync: whether the batches of each pass over the training data come in another order,
            derived from the solver's seed. Left out, Raw shuffles and RawAsync does what `async_param` says. The
            other formats are read in the order of their files.
    """

    @converted()
    def __init__(
        self,
        data_reader_type: DataReaderType_t,
        source: Union[FilePath, Sequence[FilePath]],
        keyset: Union[FilePath, Sequence[FilePath]] = (),
        eval_source: FilePath = REQUIRED,
        check_type: Check_t = REQUIRED,
        cache_eval_data: int = 0,
        num_samples: int = 0,
        eval_num_samples: int = 0,
        float_label_dense: bool = False,
        num_workers: int = 12,
        slot_size_array: Sequence[int] = (),
        async_param: Optional[AsyncParam] = None,
        *,
        data_source_params: Optional[DataSourceParams] = None,
        read_file_sequentially: bool = False,
        drop_incomplete_batch: Optional[bool] = None,
        shuffle: Optional[bool] = None,
    ) -> None:
        if shuffle and data_reader_type in (DataReaderType_t.Norm, DataReaderType_t.Parquet):
            name = data_reader_type.name
            raise UnsupportedError(f"DataReaderParams(): shuffle=True is for Raw data; {name} files keep their order")
        for name in ("cache_eval_data", "num_samples", "eval_num_samples"):
            if getattr(self, name) < 0:
                raise InvalidArgumentError(
                    f"DataReaderParams(): {name} must not be negative, got {getattr(self, name)}"
                )
        if not 1 <= num_workers < 2**31:
            raise InvalidArgumentError(f"DataReaderParams(): num_workers must be 1 to {2**31 - 1}, got {num_workers}")
        if any(size < 0 for size in slot_size_array):
            raise InvalidArgumentError(f"DataReaderParams(): slot_size_array has a negative size: {slot_size_array}")


class DataReaderSparseParam(Record):
    """A group of categorical slots that feeds one or more embeddings.

    Args:
        top_name: Name of the input for the embeddings (also spelled ``sparse_name``).
        nnz_per_slot: A list has the most keys that each slot can have in a sample. One number is an average: a sample
            can have `nnz_per_slot` times `slot_num` keys, however its slots share them.
        is_fixed_length: Whether every slot always has exactly that many keys: a hint, fewer are read as well.
        slot_num: Number of slots.

        max_feature_num: Most keys of a sample, however its slots share them, where that is neither of both.

    The form of releases 2.3 and 3.0, ``(type, max_feature_num, max_nnz=max_feature_num, slot_num)``, is accepted as
    well; ``Input(sparse_names=…)`` names its results.

    Raises:
        InvalidArgumentError: A number is not positive, or `nnz_per_slot` has another length than `slot_num`.
    """

    @converted(aliases={"sparse_name": "top_name"}, adapt=forms.sparse_param_of_3_0)
    def __init__(
        self,
        top_name: str,
        nnz_per_slot: Union[int, Sequence[int]],
        is_fixed_length: bool,
        slot_num: int,
        *,
        max_feature_num: int = 0,
    ) -> None:
        where = f'DataReaderSparseParam "{top_name}"'
        if not 1 <= slot_num <= _core.MAX_SLOTS:
            raise InvalidArgumentError(f"{where}: slot_num must be 1 to {_core.MAX_SLOTS}, got {slot_num}")
        nnz = [nnz_per_slot] * slot_num if isinstance(nnz_per_slot, int) else list(nnz_per_slot)
        if len(nnz) != slot_num:
            raise InvalidArgumentError(f"{where}: nnz_per_slot has {len(nnz)} entries for {slot_num} slots")
        if min(nnz) < 1:
            raise InvalidArgumentError(f"{where}: nnz_per_slot must be at least 1, got {min(nnz)}")
        if max_feature_num < 0:
            raise InvalidArgumentError(f"{where}: max_feature_num must not be negative, got {max_feature_num}")
        of_sample = nnz_per_slot * slot_num if isinstance(nnz_per_slot, int) else 0
        self.__dict__.update(nnz_per_slot=nnz, _max_keys=max_feature_num or of_sample)

    def named(self, name: str) -> DataReaderSparseParam:
        """The same under a name, unless it has one."""
        if self.top_name:
            return self
        return DataReaderSparseParam(
            name,
            self.nnz_per_slot,
            self.is_fixed_length,
            self.slot_num,
            max_feature_num=self._max_keys,
        )
