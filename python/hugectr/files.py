# SPDX-License-Identifier: Apache-2.0
"""Files by name, without waiting for the other end of a pipe or for a device."""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO, Union, cast

from hugectr import _core
from hugectr.errors import FileError

PathLike = Union[str, "os.PathLike[str]"]


def read_file(path: PathLike, max_bytes: int) -> bytes:
    """The content of a file of at most that many bytes."""
    return _core.read_file(os.fsencode(path), max_bytes)


def replace_file(path: PathLike, content: bytes) -> None:
    """Writes a file as a whole or not at all."""
    _core.write_file(os.fsencode(path), content)


def require_regular(path: PathLike) -> None:
    """Raises unless `path`, if there is such a thing, is a file: for libraries that open files themselves."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode):
        raise FileError(f'cannot read "{os.fspath(path)}": not a regular file')


def open_output(path: PathLike) -> BinaryIO:
    """Opens a new file, or a character device such as /dev/null, for writing."""
    try:
        return cast(BinaryIO, open(path, "wb", opener=_open_without_waiting))
    except FileError:
        raise
    except OSError as error:
        raise FileError(f'cannot write "{os.fspath(path)}": {error.strerror}') from error


def _open_without_waiting(path: str, flags: int) -> int:
    refusal = FileError(f'cannot write "{path}": not a regular file')
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK, 0o666)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a pipe that nobody reads, or a socket
            raise refusal from None
        raise
    mode = os.fstat(descriptor).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISCHR(mode)):
        os.close(descriptor)
        raise refusal
    os.set_blocking(descriptor, True)
    return descriptor
