# SPDX-License-Identifier: Apache-2.0
"""Where data and models live, as releases from 3.4 say it. A path with a ``scheme://`` says it by itself."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from hugectr import idle
from hugectr.arguments import FilePath, LocalPath, convert, converted
from hugectr.enums import DataSourceType_t
from hugectr.errors import InvalidArgumentError
from hugectr.files import copy_files

_PAIRS = {
    f"hdfs_{what}": f"local_{what}"
    for what in (
        "train_source", "train_filelist", "eval_source", "eval_filelist", "dense_model", "dense_opt_states",
        "sparse_model", "sparse_opt_states", "model_home",
    )
}  # fmt: skip


class DataSourceParams:
    """File system of data and models.

    Every parameter is a read-write attribute of the same name.

    Args:
        use_hdfs: Whether paths are HDFS paths; reading them needs the package hdfs-native.
        namenode: Host of the HDFS name node.
        port: Port of the name node.
        source: File system, in the spelling of release 4.0; ``DataSourceType_t.HDFS`` equals ``use_hdfs=True``.
        server: Host of the file system, in the spelling of release 4.0.
        hdfs_train_source, hdfs_train_filelist, hdfs_eval_source, hdfs_eval_filelist, hdfs_dense_model,
        hdfs_dense_opt_states, hdfs_sparse_model, hdfs_sparse_opt_states, local_train_source, local_train_filelist,
        local_eval_source, local_eval_filelist, local_dense_model, local_dense_opt_states, local_sparse_model,
        local_sparse_opt_states, hdfs_model_home, local_model_home:
            Paths of release 3.4.
    """

    namenode: str
    port: int
    server: str

    @converted()
    def __init__(
        self,
        use_hdfs: bool = False,
        namenode: str = "localhost",
        port: int = 9000,
        hdfs_train_source: str = "",
        hdfs_train_filelist: str = "",
        hdfs_eval_source: str = "",
        hdfs_eval_filelist: str = "",
        hdfs_dense_model: str = "",
        hdfs_dense_opt_states: str = "",
        hdfs_sparse_model: Sequence[str] = (),
        hdfs_sparse_opt_states: Sequence[str] = (),
        local_train_source: FilePath = "",
        local_train_filelist: FilePath = "",
        local_eval_source: FilePath = "",
        local_eval_filelist: FilePath = "",
        local_dense_model: FilePath = "",
        local_dense_opt_states: FilePath = "",
        local_sparse_model: Sequence[FilePath] = (),
        local_sparse_opt_states: Sequence[FilePath] = (),
        hdfs_model_home: str = "",
        local_model_home: FilePath = "",
        *,
        source: DataSourceType_t = DataSourceType_t.Local,
        server: str = "localhost",
    ) -> None:
        self.__dict__.update({name: value for name, value in locals().items() if name != "self"})
        self.use_hdfs = use_hdfs or source is DataSourceType_t.HDFS
        self.source = source

    def address(self, path: str) -> str:
        """The path as the file system of these parameters has it; one with a scheme of its own stays as it is."""
        self._warn_about_idle()
        return self._address(path)

    def _address(self, path: str) -> str:
        kind = self._kind()
        if kind is DataSourceType_t.Local or not path or "://" in path:
            return path
        if kind is DataSourceType_t.Other:
            raise InvalidArgumentError(f'DataSourceParams: with source=Other, paths begin with scheme://, got "{path}"')
        place = f"hdfs://{self._host()}:{self.port}" if kind is DataSourceType_t.HDFS else "s3:/"
        address: str = convert(FilePath, f"{place}/{path.lstrip('/')}")
        return address

    def _kind(self) -> DataSourceType_t:
        return DataSourceType_t.HDFS if self.use_hdfs else self.source

    def _host(self) -> str:
        return self.namenode if self.namenode != "localhost" else self.server

    def _warn_about_idle(self) -> None:
        parameters = inspect.signature(DataSourceParams).parameters.values()
        defaults = {p.name: list(p.default) if isinstance(p.default, tuple) else p.default for p in parameters}
        given = [name for name, default in defaults.items() if getattr(self, name) != default]
        paths = [name for name in given if name in _PAIRS or name in _PAIRS.values()]
        idle.warn("DataSourceParams()", paths, "here: only DataSource.move_to_local() reads them")
        if self._kind() is DataSourceType_t.Local:
            host = [name for name in given if name in ("namenode", "port", "server")]
            idle.warn("DataSourceParams()", host, "on the local file system")


class DataSource:
    """Copies files from another file system to the local one.

    Args:
        data_source_params: The file system.
    """

    @converted()
    def __init__(self, data_source_params: DataSourceParams) -> None:
        self.data_source_params = data_source_params

    @converted()
    def move_to_local(self, hdfs_path: FilePath = "", local_path: LocalPath = "") -> None:
        """Copies `hdfs_path` to `local_path`; without arguments, every configured HDFS path to its local one.

        Args:
            hdfs_path: A file or a folder with files; it stays where it is.
            local_path: Its new name, which is replaced as a whole or not at all.

        Raises:
            FileError: A file cannot be read or written.
            InvalidArgumentError: Only one of the paths is given, or none is configured.
        """
        params = self.data_source_params
        if bool(hdfs_path) != bool(local_path):
            raise InvalidArgumentError("DataSource.move_to_local(): needs both paths, or neither")
        pairs = [(hdfs_path, local_path)] if hdfs_path else _configured(params)
        if not pairs:
            raise InvalidArgumentError(
                "DataSource.move_to_local(): DataSourceParams has no hdfs_* path with a local one"
            )
        for source, target in pairs:
            copy_files(params._address(source), target)


def _configured(params: DataSourceParams) -> list[tuple[str, str]]:
    pairs = []
    for remote, local in _PAIRS.items():
        sources, targets = getattr(params, remote), getattr(params, local)
        if isinstance(sources, str):
            sources, targets = [sources], [targets]
        if len(sources) != len(targets):
            raise InvalidArgumentError(f"DataSourceParams: {len(sources)} of {remote}, but {len(targets)} of {local}")
        pairs += [(source, target) for source, target in zip(sources, targets) if source and target]
    return pairs
