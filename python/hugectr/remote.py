# SPDX-License-Identifier: Apache-2.0
"""Files of other machines: what begins with ``scheme://``, through the file systems of Arrow or fsspec."""

from __future__ import annotations

import importlib
import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Optional, TypeVar
from urllib.parse import urlsplit

from hugectr import _core
from hugectr.errors import FileError, HugectrError, UnsupportedError

Result = TypeVar("Result")

_OF_ARROW = ("s3", "gs", "gcs", "abfs", "abfss")
_PACKAGES = {"http": "fsspec aiohttp", "https": "fsspec aiohttp", "hdfs": "hdfs-native fsspec"}
_ATTEMPTS = 5
_FIRST_PAUSE = 0.5  # seconds; each further one is twice as long
_FINAL = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError, NotImplementedError)


class _Place(NamedTuple):
    """A file system and a path within it."""

    files: Any  # pyarrow.fs.FileSystem
    path: str


class _Input:
    """A file open for reading at any place; several threads may."""

    def __init__(self, path: str, place: _Place) -> None:
        self._path = path
        self._file = _patiently(path, lambda: place.files.open_input_file(place.path))
        self.size = int(_patiently(path, self._file.size))

    def read_at(self, offset: int, size: int) -> bytes:
        """Fewer bytes only where the file ends."""
        content: bytes = _patiently(self._path, lambda: self._file.read_at(size, offset))
        return content


class _Output:
    """A new file, which is there once it is closed."""

    _patience = 10.0  # seconds for ending an upload that is not wanted any more

    def __init__(self, path: str, place: _Place) -> None:
        self._path, self._place = path, place
        parent = place.path.rpartition("/")[0]
        if parent and not _has_no_folders(place.files):
            _patiently(path, lambda: place.files.create_dir(parent, recursive=True))
        self._file = _patiently(path, lambda: place.files.open_output_stream(place.path))

    def write(self, data: bytes) -> None:
        """Not repeated: nobody knows how much of it has arrived."""
        self._ask(lambda: self._file.write(data))

    def close(self) -> None:
        self._ask(self._file.close)

    def discard(self) -> None:
        """Ends the upload of a file that is not wanted any more; goes on alone where that takes long."""
        _Call(self._remove).wait(self._patience)

    def _ask(self, action: Callable[[], object]) -> None:
        try:
            _as_file_error(self._path, action)
        except KeyboardInterrupt:
            self._patience = 0.3
            raise

    def _remove(self) -> None:
        _as_file_error(self._path, self._file.close)
        STORE.remove(self._path)


class _Store:
    """What the core asks of remote files."""

    def __init__(self) -> None:
        self._file_systems: dict[str, Any] = {}

    def open(self, path: str) -> _Input:
        return _Input(path, self._place(path))

    def kind(self, path: str) -> str:
        """ "file", "directory" or "nothing"."""
        from pyarrow import fs

        place = self._place(path)
        info = _patiently(path, lambda: place.files.get_file_info(place.path))
        return {fs.FileType.File: "file", fs.FileType.Directory: "directory"}.get(info.type, "nothing")

    def list(self, directory: str) -> list[str]:
        from pyarrow import fs

        place = self._place(directory)
        selector = fs.FileSelector(place.path, allow_not_found=True)
        return [info.base_name for info in _patiently(directory, lambda: place.files.get_file_info(selector))]

    def create(self, path: str) -> _Output:
        return _Output(path, self._place(path))

    def move(self, source: str, target: str) -> None:
        place, to = self._place(source), self._place(target)
        _patiently(target, lambda: place.files.move(place.path, to.path))

    def remove(self, path: str) -> None:
        """A file, or a folder with all in it."""
        place, kind = self._place(path), self.kind(path)
        if kind == "directory":
            _patiently(path, lambda: place.files.delete_dir(place.path))
        elif kind == "file":
            _patiently(path, lambda: place.files.delete_file(place.path))

    def _place(self, path: str) -> _Place:
        """Connections are made once for each scheme, host and options."""
        parts = urlsplit(path)
        key = f"{parts.scheme}://{parts.netloc}?{parts.query}"
        if key not in self._file_systems:
            self._file_systems[key] = _as_file_error(path, lambda: _connect(path))
        files, inside = self._file_systems[key]
        return _Place(files, inside(path))


STORE = _Store()


def require_known(path: str) -> None:
    """Raises unless something here can open paths of this scheme; connects to nothing."""
    scheme = urlsplit(path).scheme
    if scheme in (*_OF_ARROW, "file"):
        return
    try:
        fsspec = importlib.import_module("fsspec")
    except ImportError:
        raise UnsupportedError(
            f'"{path}": {scheme}:// needs other packages: pip install {_PACKAGES.get(scheme, "fsspec")}'
        ) from None
    if scheme not in fsspec.available_protocols():
        raise UnsupportedError(f'"{path}": no file system is known by {scheme}://')


def _connect(path: str) -> tuple[Any, Callable[[str], str]]:
    """A file system of Arrow, and what makes a path within it of a whole one."""
    from pyarrow import fs

    parts = urlsplit(path)
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if parts.scheme in (*_OF_ARROW, "file"):
        if parts.scheme == "s3" and endpoint:  # not every release of Arrow looks
            files = fs.S3FileSystem(endpoint_override=endpoint)
        else:
            files, _ = fs.FileSystem.from_uri(path)
        # Arrow's paths of an object store begin with the bucket.
        return files, lambda p: f"{urlsplit(p).netloc.rpartition('@')[2]}{urlsplit(p).path}"
    fsspec = importlib.import_module("fsspec")
    if parts.scheme == "hdfs":
        try:
            importlib.import_module("hdfs_native.fsspec")
        except ImportError:
            raise UnsupportedError(f'"{path}": hdfs:// needs another package: pip install hdfs-native') from None
    inner, _ = fsspec.core.url_to_fs(path)
    return fs.PyFileSystem(fs.FSSpecHandler(inner)), lambda p: str(inner._strip_protocol(p))


def _has_no_folders(files: Any) -> bool:
    """Object stores: a folder is there when a file is in it."""
    return files.type_name in ("s3", "gcs", "abfs")


class _Call:
    """An action under way on a thread of its own, so that an interrupt ends the wait for it."""

    def __init__(self, action: Callable[[], Any]) -> None:
        self._action = action
        self._done = threading.Event()
        self._result: Any = None
        self._error: Optional[BaseException] = None
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self._result = self._action()
        except BaseException as error:
            self._error = error
        finally:
            self._done.set()

    def wait(self, seconds: float) -> None:
        """Until it has ended, or for so long; raises what it has raised."""
        if self._done.wait(seconds) and self._error is not None:
            raise self._error

    def result(self) -> Any:
        while not self._done.wait(0.1):  # the interpreter looks for signals between waits
            pass
        self.wait(0)
        return self._result


def _interruptible(action: Callable[[], Result]) -> Result:
    """Only the main thread gets interrupts."""
    if threading.current_thread() is not threading.main_thread():
        return action()
    try:
        call = _Call(action)
    except RuntimeError:  # no thread is left
        return action()
    result: Result = call.result()
    return result


def _as_file_error(path: str, action: Callable[[], Result]) -> Result:
    try:
        return _interruptible(action)
    except HugectrError:
        raise
    except (OSError, ValueError, NotImplementedError, ImportError) as error:
        raise FileError(f'"{path}": {error or type(error).__name__}') from error


def _patiently(path: str, action: Callable[[], Result]) -> Result:
    """The action, tried again after a pause where it failed for a reason that may pass."""
    pause = _FIRST_PAUSE
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _interruptible(action)
        except _FINAL:
            break
        except OSError as error:
            if attempt == _ATTEMPTS:
                break
            _core.log_warning(f'"{path}": {error}; trying again in {pause:g} s ({attempt} of {_ATTEMPTS - 1})')
            time.sleep(pause * random.uniform(0.8, 1.2))
            pause *= 2
    return _as_file_error(path, action)
