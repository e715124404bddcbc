# SPDX-License-Identifier: Apache-2.0
"""Preprocessed Criteo text to Norm and Raw data, as the converters of the original did."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Callable

from tqdm import tqdm

from hugectr import _core
from hugectr.arguments import FilePath, checked
from hugectr.files import PathLike, printable


@dataclass(frozen=True)
class Converted:
    """What a conversion wrote: samples, data files, and distinct keys (0 where nobody counted them)."""

    samples: int
    files: int
    keys: int


def criteo2raw(source: PathLike, target: PathLike) -> Converted:
    """Converts preprocessed Criteo text to a Raw file, which appears as a whole or not at all.

    Args:
        source: A line a sample: label, 13 dense values and 26 ids from 0 to 2^31 - 1, between single blanks or tabs.
        target: The Raw file, for ``float_label_dense=True``.

    Raises:
        FileError: The text cannot be read, or a line is no such sample: names line and column.
    """
    text, raw = checked("criteo2raw", "source", FilePath, source), checked("criteo2raw", "target", FilePath, target)
    with _bar(text) as progress:
        return Converted(*_core.criteo_to_raw(text, raw, progress))


def criteo2hugectr(
    source: PathLike,
    prefix: PathLike,
    file_list: PathLike = "file_list.txt",
    wide_keys: int = 0,
    files_per_list: int = 0,
) -> Converted:
    """Converts preprocessed Criteo text to a Norm data set with check bytes, 32-bit keys and keysets.

    Args:
        source: A line a sample: label, 13 dense values, `wide_keys` ids and 26 ids from 0 to 2^32 - 2, between single
            blanks or tabs.
        prefix: Data files are ``<prefix>0.data``, ``<prefix>1.data``, ... of 40,960 samples each.
        file_list: The list of the data files. Its keys, each once and as 4 bytes, are in a file of the same name that
            ends in ``.keyset``.
        wide_keys: Where positive, the keys of slot 0; the others follow one a slot.
        files_per_list: Where positive, lists of so many files: ``file_list.0.txt``, ``file_list.1.txt``, ...

    Raises:
        FileError: The text cannot be read, or a line is no such sample: names line and column.
        InvalidArgumentError: A number is out of range.
    """
    name = "criteo2hugectr"
    text = checked(name, "source", FilePath, source)
    with _bar(text) as progress:
        return Converted(
            *_core.criteo_to_norm(
                text,
                checked(name, "prefix", FilePath, prefix),
                checked(name, "file_list", FilePath, file_list),
                checked(name, "wide_keys", int, wide_keys),
                checked(name, "files_per_list", int, files_per_list),
                progress,
            )
        )


@contextmanager
def _bar(path: str) -> Iterator[Callable[[int, int], None]]:
    """Shows on a terminal how much of a file has been read."""
    name = printable(os.path.basename(path))
    with tqdm(desc=name, unit="B", unit_scale=True, dynamic_ncols=True, disable=None) as bar:

        def update(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield update
