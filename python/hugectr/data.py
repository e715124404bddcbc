# SPDX-License-Identifier: Apache-2.0
"""Where data and models live. Only the local file system is supported yet."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from hugectr import idle
from hugectr.arguments import FilePath, converted
from hugectr.enums import DataSourceType_t
from hugectr.errors import UnsupportedError


class DataSourceParams:
    """File system of data and models.

    Every parameter is a read-write attribute of the same name.

    Args:
        use_hdfs: Whether paths are HDFS paths (not supported yet).
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

    def require_local(self) -> None:
        """Raises UnsupportedError unless the local file system is meant."""
        if self.use_hdfs or self.source is not DataSourceType_t.Local:
            raise UnsupportedError("DataSourceParams: only the local file system is supported yet, not HDFS or S3")
        parameters = inspect.signature(DataSourceParams).parameters.values()
        defaults = {p.name: list(p.default) if isinstance(p.default, tuple) else p.default for p in parameters}
        given = [name for name, default in defaults.items() if getattr(self, name) != default]
        idle.warn("DataSourceParams()", given, "on the local file system")


class DataSource:
    """Moves files from another file system to the local one (not supported yet).

    Args:
        data_source_params: The file system.
    """

    @converted()
    def __init__(self, data_source_params: DataSourceParams) -> None:
        self.data_source_params = data_source_params

    @converted()
    def move_to_local(self, hdfs_path: str = "", local_path: FilePath = "") -> None:
        """Copies `hdfs_path` to `local_path`; without arguments, every configured HDFS path to its local one.

        Raises:
            UnsupportedError: always; no remote file system is supported yet.
        """
        raise UnsupportedError("DataSource.move_to_local(): HDFS is not supported yet")
