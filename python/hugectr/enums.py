# SPDX-License-Identifier: Apache-2.0
"""Enumerations of the interface, with the names and aliases of every release.

``int(member)`` is the member's position. Members are also reachable from the package itself
(``hugectr.Adam``); where two enumerations share a member's name, the one that comes first here is meant.
"""

from __future__ import annotations

import difflib
import enum
from enum import auto
from typing import TYPE_CHECKING, Any

__all__ = [
    "Error_t",
    "Check_t",
    "DataReaderSparse_t",
    "DataReaderType_t",
    "SourceType_t",
    "TrainPSType_t",
    "Embedding_t",
    "Initializer_t",
    "Layer_t",
    "GroupLayer_t",
    "LrPolicy_t",
    "Optimizer_t",
    "Update_t",
    "Regularizer_t",
    "Activation_t",
    "FcPosition_t",
    "Alignment_t",
    "MetricsRawType",
    "MetricsType",
    "DeviceLayout",
    "AllReduceAlgo",
    "HybridEmbeddingType",
    "CommunicationType",
    "Distribution_t",
    "PowerLaw_t",
    "Database_t",
    "DatabaseType_t",
    "DatabaseHashMapAlgorithm_t",
    "CPUMemoryHashMapAlgorithm_t",
    "DatabaseOverflowPolicy_t",
    "UpdateSourceType_t",
    "DataSourceType_t",
    "FileSystemType_t",
    "Tensor_t",
]


class _Listing(enum.EnumMeta):
    """Lists the members when one is misspelled."""

    if not TYPE_CHECKING:  # a type checker knows the members by itself

        def __getattr__(cls, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            near = difflib.get_close_matches(name, cls.__members__, n=1)
            hint = f"; did you mean {near[0]}?" if near else "."
            raise AttributeError(f"{cls.__name__} has no member {name}{hint} Known: {', '.join(cls.__members__)}")


class OrderedEnum(enum.Enum, metaclass=_Listing):
    """An enumeration whose members count from 0; members are not integers."""

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[Any]) -> int:
        return max(last_values, default=-1) + 1  # an alias repeats a value, so `count` would leave gaps

    def __int__(self) -> int:
        return int(self.value)


class Error_t(OrderedEnum):
    """Outcome of the methods that return a status."""

    Success = auto()
    FileCannotOpen = auto()
    BrokenFile = auto()
    OutOfMemory = auto()
    OutOfBound = auto()
    WrongInput = auto()
    IllegalCall = auto()
    NotInitialized = auto()
    UnSupportedFormat = auto()
    InvalidEnv = auto()
    MpiError = auto()
    CublasError = auto()
    CudnnError = auto()
    CudaError = auto()
    NcclError = auto()
    DataCheckError = auto()
    UnspecificError = auto()
    EndOfFile = auto()


class Check_t(OrderedEnum):
    """Whether Norm files carry a check byte after each sample (``Sum``) or not (``Non``)."""

    Sum = auto()
    Non = auto()


class DataReaderSparse_t(OrderedEnum):
    """Kind of a sparse input in releases 2.3 and 3.0."""

    Distributed = auto()
    Localized = auto()


class DataReaderType_t(OrderedEnum):
    """Format of a data set."""

    Norm = auto()
    Raw = auto()
    Parquet = auto()
    RawAsync = auto()


class SourceType_t(OrderedEnum):
    """How a data set is addressed; no public call takes it."""

    FileList = auto()
    Mmap = auto()
    Parquet = auto()


class TrainPSType_t(OrderedEnum):
    """Where the embedding training cache keeps a table: all in memory, or a part of it."""

    Staged = auto()
    Cached = auto()


class Embedding_t(OrderedEnum):
    """Kind of a sparse embedding."""

    DistributedSlotSparseEmbeddingHash = auto()
    LocalizedSlotSparseEmbeddingHash = auto()
    LocalizedSlotSparseEmbeddingOneHot = auto()
    HybridSparseEmbedding = auto()


class Initializer_t(OrderedEnum):
    """Distribution that initial weights are drawn from; ``Default`` is the layer's own choice.

    ``Constant`` and ``Normal`` have a number, and come as :class:`hugectr.Initializer`. ``Sinusoidal`` is no
    distribution: row `p` of a matrix encodes the position `p`.
    """

    Default = auto()
    Uniform = auto()
    XavierNorm = auto()
    XavierUniform = auto()
    Zero = auto()
    Sinusoidal = auto()
    Constant = auto()
    Normal = auto()


class Layer_t(OrderedEnum):
    """Kind of a dense layer or loss."""

    BatchNorm = auto()
    LayerNorm = auto()
    BinaryCrossEntropyLoss = auto()
    Reshape = auto()
    Select = auto()
    Concat = auto()
    CrossEntropyLoss = auto()
    Dropout = auto()
    ELU = auto()
    InnerProduct = auto()
    MLP = auto()
    FusedInnerProduct = auto()
    Interaction = auto()
    MultiCrossEntropyLoss = auto()
    ReLU = auto()
    ReLUHalf = auto()
    GRU = auto()
    MatrixMultiply = auto()
    MultiHeadAttention = auto()
    Scale = auto()
    FusedReshapeConcat = auto()
    FusedReshapeConcatGeneral = auto()
    Softmax = auto()
    PReLU_Dice = auto()
    ReduceMean = auto()
    Sub = auto()
    Gather = auto()
    Sigmoid = auto()
    Slice = auto()
    WeightMultiply = auto()
    FmOrder2 = auto()
    Add = auto()
    ReduceSum = auto()
    MultiCross = auto()
    Cast = auto()
    ElementwiseMultiply = auto()
    SequenceMask = auto()
    # Other spellings in documents and releases.
    ElementWiseMultiply = ElementwiseMultiply
    DotProduct = ElementwiseMultiply  # it never was an inner product
    MatrixMutiply = MatrixMultiply
    Multiply = WeightMultiply


class GroupLayer_t(OrderedEnum):
    """Kind of a group of dense layers."""

    GroupFusedInnerProduct = auto()


class LrPolicy_t(OrderedEnum):
    """Learning-rate policy; warm-up and decay are arguments of their own."""

    fixed = auto()


class Optimizer_t(OrderedEnum):
    """Optimizer."""

    Adam = auto()
    AdaGrad = auto()
    MomentumSGD = auto()
    Nesterov = auto()
    SGD = auto()
    Ftrl = auto()
    RMSProp = auto()
    Adagrad = AdaGrad


class Update_t(OrderedEnum):
    """Which embedding rows an optimizer step touches: those of the batch (``Local``), all of them (``Global``), or
    those of the batch, made up for the steps they missed (``LazyGlobal``)."""

    Local = auto()
    Global = auto()
    LazyGlobal = auto()


class Regularizer_t(OrderedEnum):
    """Weight penalty added to a loss."""

    L1 = auto()
    L2 = auto()


class Activation_t(OrderedEnum):
    """Activation fused into an inner product."""

    Relu = auto()
    Non = auto()


class FcPosition_t(OrderedEnum):
    """Place of a FusedInnerProduct layer in its tower."""

    Non = auto()
    Head = auto()
    Body = auto()
    Tail = auto()
    Isolated = auto()


class Alignment_t(OrderedEnum):
    """Padding of the dense input in the asynchronous reader."""

    Auto = auto()
    Non = auto()


class MetricsRawType(OrderedEnum):
    """What a metric is computed from."""

    Loss = auto()
    Pred = auto()
    Label = auto()


class MetricsType(OrderedEnum):
    """Evaluation metric."""

    AUC = auto()
    AverageLoss = auto()
    HitRate = auto()
    NDCG = auto()
    SMAPE = auto()
    LogLoss = auto()
    NormalizedEntropy = auto()
    Calibration = auto()
    GAUC = auto()


class DeviceLayout(OrderedEnum):
    """Order in which the devices of several nodes are numbered."""

    LocalFirst = auto()
    NodeFirst = auto()
    LOCAL_FIRST = LocalFirst
    NODE_FIRST = NodeFirst


class AllReduceAlgo(OrderedEnum):
    """All-reduce algorithm."""

    OneShot = auto()
    NCCL = auto()
    ONESHOT = OneShot


class HybridEmbeddingType(OrderedEnum):
    """Kind of the hybrid embedding."""

    Distributed = auto()


class CommunicationType(OrderedEnum):
    """Links between the devices of a hybrid embedding."""

    IB_NVLink_Hier = auto()
    IB_NVLink = auto()
    NVLink_SingleNode = auto()


class Distribution_t(OrderedEnum):
    """Distribution of generated keys."""

    Uniform = auto()
    PowerLaw = auto()


class PowerLaw_t(OrderedEnum):
    """Power-law exponent of generated keys: 0.9, 1.1, 1.3, or the argument ``alpha``."""

    Long = auto()
    Medium = auto()
    Short = auto()
    Specific = auto()


class Database_t(OrderedEnum):
    """Parameter store of release 3.2."""

    Redis = auto()
    RocksDB = auto()
    Local = auto()
    Hierarchy = auto()


class DatabaseType_t(OrderedEnum):
    """Back end of a volatile or persistent parameter store."""

    disabled = auto()
    hash_map = auto()
    parallel_hash_map = auto()
    redis_cluster = auto()
    rocks_db = auto()
    multi_process_hash_map = auto()
    Disabled = disabled
    HashMap = hash_map
    ParallelHashMap = parallel_hash_map
    RedisCluster = redis_cluster
    RocksDB = rocks_db
    MultiProcessHashMap = multi_process_hash_map


class DatabaseHashMapAlgorithm_t(OrderedEnum):
    """Hash map of an in-memory parameter store."""

    stl = auto()
    phm = auto()
    STL = stl
    PHM = phm


CPUMemoryHashMapAlgorithm_t = DatabaseHashMapAlgorithm_t  # its name in release 3.3


class DatabaseOverflowPolicy_t(OrderedEnum):
    """Which entries a full parameter store drops."""

    evict_oldest = auto()
    evict_random = auto()
    EvictOldest = evict_oldest
    EvictRandom = evict_random


class UpdateSourceType_t(OrderedEnum):
    """Where a parameter store takes its updates from."""

    null = auto()
    kafka_message_queue = auto()
    Null = null
    KafkaMessageQueue = kafka_message_queue


class DataSourceType_t(OrderedEnum):
    """File system of a data source."""

    Local = auto()
    HDFS = auto()
    S3 = auto()
    Other = auto()


FileSystemType_t = DataSourceType_t  # its name from release 4.3


class Tensor_t(OrderedEnum):
    """Network whose tensor is looked at."""

    Train = auto()
    Evaluate = auto()


def members() -> dict[str, OrderedEnum]:
    """Every member and alias by its bare name; the first enumeration that has a name keeps it."""
    found: dict[str, OrderedEnum] = {}
    for enumeration in (globals()[name] for name in __all__):
        for name, member in enumeration.__members__.items():
            found.setdefault(name, member)
    return found
