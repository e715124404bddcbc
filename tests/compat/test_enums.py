# SPDX-License-Identifier: Apache-2.0
"""Members, aliases and module-level names of the enumerations."""

import pickle

import hugectr
import pytest
from hugectr import enums

MEMBERS = {
    "Error_t": "Success FileCannotOpen BrokenFile OutOfMemory OutOfBound WrongInput IllegalCall NotInitialized "
    "UnSupportedFormat InvalidEnv MpiError CublasError CudnnError CudaError NcclError DataCheckError UnspecificError "
    "EndOfFile",
    "Check_t": "Sum Non",
    "DataReaderSparse_t": "Distributed Localized",
    "DataReaderType_t": "Norm Raw Parquet RawAsync",
    "SourceType_t": "FileList Mmap Parquet",
    "TrainPSType_t": "Staged Cached",
    "Embedding_t": "DistributedSlotSparseEmbeddingHash LocalizedSlotSparseEmbeddingHash "
    "LocalizedSlotSparseEmbeddingOneHot HybridSparseEmbedding",
    "Initializer_t": "Default Uniform XavierNorm XavierUniform Zero Sinusoidal Constant Normal",
    "GroupLayer_t": "GroupFusedInnerProduct",
    "LrPolicy_t": "fixed",
    "Optimizer_t": "Adam AdaGrad MomentumSGD Nesterov SGD Ftrl RMSProp",
    "Update_t": "Local Global LazyGlobal",
    "Regularizer_t": "L1 L2",
    "Activation_t": "Relu Non",
    "FcPosition_t": "Non Head Body Tail Isolated",
    "Alignment_t": "Auto Non",
    "MetricsRawType": "Loss Pred Label",
    "MetricsType": "AUC AverageLoss HitRate NDCG SMAPE LogLoss NormalizedEntropy Calibration GAUC",
    "DeviceLayout": "LocalFirst NodeFirst",
    "AllReduceAlgo": "OneShot NCCL",
    "HybridEmbeddingType": "Distributed",
    "CommunicationType": "IB_NVLink_Hier IB_NVLink NVLink_SingleNode",
    "Distribution_t": "Uniform PowerLaw",
    "PowerLaw_t": "Long Medium Short Specific",
    "Database_t": "Redis RocksDB Local Hierarchy",
    "DatabaseType_t": "disabled hash_map parallel_hash_map redis_cluster rocks_db multi_process_hash_map",
    "DatabaseHashMapAlgorithm_t": "stl phm",
    "DatabaseOverflowPolicy_t": "evict_oldest evict_random",
    "UpdateSourceType_t": "null kafka_message_queue",
    "DataSourceType_t": "Local HDFS S3 Other",
    "Tensor_t": "Train Evaluate",
}
LAYERS = (
    "BatchNorm BinaryCrossEntropyLoss Reshape Concat CrossEntropyLoss Dropout ELU InnerProduct FusedInnerProduct "
    "Interaction MultiCrossEntropyLoss ReLU ReLUHalf Sigmoid Slice WeightMultiply FmOrder2 Add ReduceSum MultiCross "
    "Cast DotProduct ElementwiseMultiply Softmax Gather PReLU_Dice GRU Scale FusedReshapeConcat Sub "
    "FusedReshapeConcatGeneral ReduceMean MatrixMultiply LayerNorm MultiHeadAttention SequenceMask MLP Select"
)
ALIASES = [
    ("Layer_t.ElementWiseMultiply", "Layer_t.ElementwiseMultiply"),
    ("Layer_t.DotProduct", "Layer_t.ElementwiseMultiply"),
    ("Layer_t.MatrixMutiply", "Layer_t.MatrixMultiply"),
    ("Layer_t.Multiply", "Layer_t.WeightMultiply"),
    ("Optimizer_t.Adagrad", "Optimizer_t.AdaGrad"),
    ("DeviceLayout.NODE_FIRST", "DeviceLayout.NodeFirst"),
    ("DeviceLayout.LOCAL_FIRST", "DeviceLayout.LocalFirst"),
    ("AllReduceAlgo.ONESHOT", "AllReduceAlgo.OneShot"),
    ("DatabaseType_t.RedisCluster", "DatabaseType_t.redis_cluster"),
    ("DatabaseType_t.RocksDB", "DatabaseType_t.rocks_db"),
    ("DatabaseType_t.HashMap", "DatabaseType_t.hash_map"),
    ("UpdateSourceType_t.KafkaMessageQueue", "UpdateSourceType_t.kafka_message_queue"),
    ("UpdateSourceType_t.Null", "UpdateSourceType_t.null"),
    ("ElementWiseMultiply", "Layer_t.ElementwiseMultiply"),
    ("Adam", "Optimizer_t.Adam"),
    ("ReLU", "Layer_t.ReLU"),
    ("Head", "FcPosition_t.Head"),
    ("Non", "Check_t.Non"),
    ("Uniform", "Initializer_t.Uniform"),
    ("Distributed", "DataReaderSparse_t.Distributed"),
    ("Parquet", "DataReaderType_t.Parquet"),
    ("Local", "Update_t.Local"),
    ("CPUMemoryHashMapAlgorithm_t.stl", "DatabaseHashMapAlgorithm_t.stl"),
    ("FileSystemType_t.HDFS", "DataSourceType_t.HDFS"),
]


def lookup(path: str) -> object:
    value: object = hugectr
    for part in path.split("."):
        value = getattr(value, part)
    return value


@pytest.mark.parametrize("name", MEMBERS)
def test_members_in_order(name: str) -> None:
    enumeration = getattr(hugectr, name)
    assert [member.name for member in enumeration] == MEMBERS[name].split()
    assert [int(member) for member in enumeration] == list(range(len(enumeration)))


def test_every_enumeration_is_listed() -> None:
    renamed = {"CPUMemoryHashMapAlgorithm_t", "FileSystemType_t"}
    assert set(enums.__all__) == set(MEMBERS) | {"Layer_t"} | renamed


def test_layers() -> None:
    assert set(LAYERS.split()) <= set(hugectr.Layer_t.__members__)


@pytest.mark.parametrize("alias, name", ALIASES)
def test_alias(alias: str, name: str) -> None:
    assert lookup(alias) is lookup(name)


def test_every_member_is_reachable_from_the_package() -> None:
    for enumeration in (getattr(enums, name) for name in enums.__all__):
        for name in enumeration.__members__:
            assert isinstance(getattr(hugectr, name), enums.OrderedEnum), f"hugectr.{name}"


def test_members_behave_like_values() -> None:
    auc = hugectr.MetricsType.AUC
    assert {auc: 0.5}[hugectr.AUC] == 0.5
    assert pickle.loads(pickle.dumps(auc)) is auc
    assert auc != 0 and auc.name == "AUC" and str(auc) == "MetricsType.AUC"
    assert hugectr.Check_t.Non != hugectr.Activation_t.Non


def test_unknown_layer_type_lists_candidates():
    with pytest.raises(AttributeError, match="InnerProduct"):
        hugectr.Layer_t.InnerProdukt  # noqa: B018
