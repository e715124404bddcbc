# SPDX-License-Identifier: Apache-2.0
"""Exceptions of the library.

Every error is a :class:`HugectrError`, which is a ``RuntimeError`` as in all earlier releases; each kind is also the
built-in exception a Python programmer would expect.
"""


class HugectrError(RuntimeError):
    """Base of all errors raised by the library."""

    def __str__(self) -> str:
        """The message; of names that are not text, the bytes as escapes, so that it can be printed everywhere."""
        message = str(self.args[0]) if self.args else ""
        return message.encode("utf-8", "backslashreplace").decode()


class InvalidArgumentError(HugectrError, ValueError):
    """An argument, a graph or a piece of data does not fit."""


class NotFoundError(HugectrError, KeyError):
    """A name is not known; the message lists the candidates."""


class UnsupportedError(HugectrError, NotImplementedError):
    """A feature or combination that is not there (yet)."""


class FileError(HugectrError, OSError):
    """A file is missing, unreadable, damaged or cannot be written."""


class OutOfMemoryError(HugectrError, MemoryError):
    """Memory or an embedding's workspace is too small."""


class DeviceError(HugectrError):
    """A device reported an error."""


class TrainingDivergedError(HugectrError, FloatingPointError):
    """A loss or weight is not finite any more; the message says since when and where it began."""


class InternalError(HugectrError):
    """A broken promise inside the library: please report it."""
