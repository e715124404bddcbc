# SPDX-License-Identifier: Apache-2.0
"""Train and serve click-through-rate models."""

import importlib as _importlib
from types import ModuleType as _ModuleType

from hugectr import machine as machine  # first: code built for a newer processor does not even load

with machine.interrupts_held_back():
    from hugectr import _core as _core

# isort: split
from hugectr import data as data
from hugectr import enums as enums
from hugectr import inference as inference
from hugectr import log as log
from hugectr import optimizer as optimizer
from hugectr import unsupported as unsupported
from hugectr.callbacks import BestCheckpoint as BestCheckpoint
from hugectr.callbacks import EarlyStopping as EarlyStopping
from hugectr.callbacks import History as History
from hugectr.callbacks import TrainingCallback as TrainingCallback
from hugectr.compat.oversubscriber import CreateMOS as CreateMOS
from hugectr.compat.oversubscriber import ModelOversubscriberParams as ModelOversubscriberParams
from hugectr.compat.session import Session as Session
from hugectr.compat.session import get_learning_rate_scheduler as get_learning_rate_scheduler
from hugectr.compat.solver_parser import SolverParser as SolverParser
from hugectr.compat.solver_parser import solver_parser_helper as solver_parser_helper
from hugectr.enums import *  # noqa: F403
from hugectr.errors import DeviceError as DeviceError
from hugectr.errors import FileError as FileError
from hugectr.errors import HugectrError as HugectrError
from hugectr.errors import InternalError as InternalError
from hugectr.errors import InvalidArgumentError as InvalidArgumentError
from hugectr.errors import NotFoundError as NotFoundError
from hugectr.errors import OutOfMemoryError as OutOfMemoryError
from hugectr.errors import TrainingDivergedError as TrainingDivergedError
from hugectr.errors import UnsupportedError as UnsupportedError
from hugectr.initializer import Initializer as Initializer
from hugectr.layers import DenseLayer as DenseLayer
from hugectr.layers import DenseLayerSwitchs as DenseLayerSwitchs
from hugectr.layers import GroupDenseLayer as GroupDenseLayer
from hugectr.layers import HybridEmbeddingParam as HybridEmbeddingParam
from hugectr.layers import Input as Input
from hugectr.layers import SparseEmbedding as SparseEmbedding
from hugectr.loop import DataReader32 as DataReader32
from hugectr.loop import DataReader64 as DataReader64
from hugectr.loop import IDataReader as IDataReader
from hugectr.loop import LearningRateScheduler as LearningRateScheduler
from hugectr.model import Model as Model
from hugectr.model import ModelPerfExt as ModelPerfExt
from hugectr.opt_params import CreateOptimizer as CreateOptimizer
from hugectr.opt_params import OptParamsPy as OptParamsPy
from hugectr.reader import AsyncParam as AsyncParam
from hugectr.reader import DataReaderParams as DataReaderParams
from hugectr.reader import DataReaderSparseParam as DataReaderSparseParam
from hugectr.solver import CreateSolver as CreateSolver
from hugectr.solver import Solver as Solver
from hugectr.training_cache import CreateETC as CreateETC
from hugectr.training_cache import CreateHMemCache as CreateHMemCache
from hugectr.training_cache import EmbeddingTrainingCacheParams as EmbeddingTrainingCacheParams
from hugectr.training_cache import HMemCacheConfig as HMemCacheConfig

__version__ = _core.version
globals().update(enums.members())
globals().update({**unsupported.TRAINING_CACHE, **unsupported.COLLECTION})

log.install()


def __getattr__(name: str) -> _ModuleType:
    """`hugectr.tools` when it is first used: it brings pyarrow and pandas in, which models need not."""
    if name != "tools":
        raise AttributeError(f"module 'hugectr' has no attribute {name!r}")
    return _importlib.import_module("hugectr.tools")


def __dir__() -> list[str]:
    return sorted({*globals(), "tools"})
