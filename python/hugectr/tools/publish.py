# SPDX-License-Identifier: Apache-2.0
"""How the files of a data set take the place of another's: all of them or none, whenever the process dies.

Parts get names that no part there has, so that the old list stays right until the new one, which comes last, replaces
it together with the metadata. Then the old parts go.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from hugectr import _core
from hugectr.errors import FileError, HugectrError
from hugectr.files import lock_folder, locked_folder, naming, sync_folder

FILE_LIST = "_file_list.txt"

_WORKING = ".writing_"
_PART = re.compile(r"part_(\d+)\.parquet")


@contextmanager
def working_folder(path: Path) -> Iterator[Path]:
    """A hidden folder inside `path` to write in, removed at the end; what dead writers left there goes."""
    _make(path)
    with naming(f'write in "{path}"'), locked_folder(str(path)):
        _remove_stale(path)
        folder = Path(tempfile.mkdtemp(prefix=_WORKING, dir=path))
        lock = lock_folder(str(folder), wait=False)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def publish(
    parts: Sequence[Path], path: Path, describe: Callable[[Sequence[Path]], dict[str, bytes]]
) -> tuple[Path, ...]:
    """Moves finished parts into the data set at `path`, in the place of those there; returns where they are now.

    `describe` gives the other files by name, the file list among them, for the parts' new names.
    """
    with naming(f'write in "{path}"'), locked_folder(str(path)):
        first = 1 + max((int(number) for number in _parts(path).values()), default=-1)
        files = tuple(path / f"part_{first + i}.parquet" for i in range(len(parts)))
        try:
            for part, file in zip(parts, files):
                os.replace(part, file)
            sync_folder(str(path))
            described = describe(files)
            names = sorted(described, key=lambda name: name == FILE_LIST)
            _core.replace_files(str(path / FILE_LIST), [(str(path / name), described[name]) for name in names])
        except BaseException:
            with suppress(OSError, HugectrError):
                _remove(path, _names(files).difference(listed(path)))
            raise
        _remove(path, _parts(path).keys() - _names(files))
    return files


def listed(path: Path) -> list[str]:
    """Names of the files that the data set's list names, in order; none where there is no list."""
    _core.recover_files(str(path / FILE_LIST))
    try:
        lines = (path / FILE_LIST).read_bytes().splitlines()[1:]
    except FileNotFoundError:
        return []
    return [os.path.basename(os.fsdecode(line)) for line in lines]


def _make(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise FileError(f'"{path}": a data set is a folder, and there is a file in its place') from None
    except OSError as error:
        raise FileError(f'cannot create the folder "{path}": {error.strerror}') from error


def _parts(path: Path) -> dict[str, str]:
    """Numbers of the parts that are there, by name."""
    return {match[0]: match[1] for match in map(_PART.fullmatch, os.listdir(path)) if match}


def _names(files: Sequence[Path]) -> set[str]:
    return {file.name for file in files}


def _remove(path: Path, names: Iterable[str]) -> None:
    for name in names:
        (path / name).unlink(missing_ok=True)


def _remove_stale(path: Path) -> None:
    """What dead writers left: working folders that nobody holds, and parts that were to be listed."""
    if names := listed(path):
        _remove(path, _parts(path).keys() - set(names))
    for folder in path.glob(_WORKING + "*"):
        lock = lock_folder(str(folder), wait=False)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
