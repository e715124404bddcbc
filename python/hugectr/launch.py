# SPDX-License-Identifier: Apache-2.0
"""Whether this process is one of several that a launcher such as ``mpirun`` started."""

from __future__ import annotations

import os
from collections.abc import Sequence

from hugectr import _core
from hugectr.errors import UnsupportedError

# How launchers tell their processes how many there are: Open MPI, MPICH and Intel MPI, Slurm, torchrun.
_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS", "WORLD_SIZE")


def processes() -> int:
    """How many processes were started together; 1 without a launcher."""
    sizes = [os.environ.get(name, "") for name in _SIZES]
    return max([1, *(int(size) for size in sizes if size.isdecimal())])


def require_one_process(vvgpu: Sequence[Sequence[int]]) -> None:
    """Nodes beyond the first are ranks of this process, which the log says once; several processes are refused."""
    if (count := processes()) > 1:
        raise UnsupportedError(
            f"CreateSolver(): {count} processes were started together, and training over several is not supported yet; "
            f"without the launcher all ranks of vvgpu={list(vvgpu)} run in one process"
        )
    if len(vvgpu) > 1:
        _core.warn_once(
            f"CreateSolver(): vvgpu has {len(vvgpu)} rows, one a node, but no launcher started several processes: "
            "all ranks run in this one"
        )
