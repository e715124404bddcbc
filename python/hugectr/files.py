# SPDX-License-Identifier: Apache-2.0
"""Files by name: nothing waits for the other end of a pipe or for a device, and what is written appears as a whole."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, Optional, Union

from hugectr import _core
from hugectr.errors import FileError, HugectrError

_COPIED_BYTES = 8 << 20

PathLike = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]


def read_file(path: PathLike, max_bytes: int) -> bytes:
    """The content of a file of at most that many bytes."""
    return _core.read_file(os.fsdecode(path), max_bytes)


def replace_file(path: PathLike, content: Iterable[bytes]) -> None:
    """Writes a file as a whole or not at all, from pieces that may be made meanwhile."""
    _core.write_file(os.fsdecode(path), content)


def copy_files(source: str, target: str) -> None:
    """Copies a file, or the files of a folder, from anywhere to anywhere."""
    names = _core.list_folder(source)
    for name in names:
        copy_files(f"{source}/{name}", f"{target}/{name}")
    if not names:
        make_parents(target)
        file = _core.open_file(source)
        pieces = range(0, file.size, _COPIED_BYTES)
        replace_file(target, (file.read_at(at, _COPIED_BYTES) for at in pieces))


def require_regular(path: PathLike) -> None:
    """Raises unless `path`, if there is such a thing, is a file: for libraries that open files themselves."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode):
        raise FileError(f'cannot read "{os.fsdecode(path)}": not a regular file')


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Errors of the system as ours, for example `cannot write "a/b": No space left on device`."""
    try:
        yield
    except HugectrError:
        raise
    except OSError as error:
        if not _is_of_a_file(error):
            raise
        raise FileError(f"cannot {what}: {error.strerror or error}") from error


def _is_of_a_file(error: OSError) -> bool:
    """Not of a program's signal handler, such as a TimeoutError: the system's have a number, Arrow's no kind."""
    return error.errno is not None or type(error) is OSError


def sync(file: BinaryIO) -> None:
    """Returns once the file is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: str) -> None:
    """Returns once the names in the folder are on the disk; some network file systems cannot promise it."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            os.fsync(fd)
    finally:
        os.close(fd)


def printable(path: str) -> str:
    """A path as text that every terminal takes."""
    return path.encode("utf-8", "backslashreplace").decode()


def make_folder(path: str) -> None:
    """Makes a folder and those above it, where they are missing."""
    with naming(f'create the folder "{path}"'):
        os.makedirs(path, exist_ok=True)


def make_parents(path: PathLike) -> None:
    """Makes the folders that a file is to be in. Elsewhere, writing does that."""
    text = os.fsdecode(path)
    if "://" not in text:
        make_folder(os.path.dirname(text) or ".")


def lock_folder(path: str, *, wait: bool) -> Optional[int]:
    """An exclusive lock as an open descriptor, dropped when it is closed or the process dies.

    None where it is held and `wait` is false, and where the file system has no locks.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(fd)
        return None
    except BaseException:  # Ctrl-C while waiting
        os.close(fd)
        raise
    return fd


@contextmanager
def locked_folder(path: str) -> Iterator[None]:
    """Waits for the lock of a folder and holds it meanwhile."""
    fd = lock_folder(path, wait=True)
    try:
        yield
    finally:
        if fd is not None:
            os.close(fd)
