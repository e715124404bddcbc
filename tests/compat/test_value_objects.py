# SPDX-License-Identifier: Apache-2.0
"""Solver, readers, optimizers and layers: forms of every release, and their checks."""

import re
from typing import Any, Optional

import hugectr
import pytest
from hugectr import _core, spec
from hugectr.errors import InvalidArgumentError, UnsupportedError

READER = dict(
    data_reader_type=hugectr.DataReaderType_t.Norm, source="a", eval_source="b", check_type=hugectr.Check_t.Sum
)
EMBEDDING = dict(
    embedding_type=hugectr.Embedding_t.DistributedSlotSparseEmbeddingHash,
    workspace_size_per_gpu_in_mb=1,
    embedding_vec_size=4,
    combiner="sum",
    sparse_embedding_name="e",
    bottom_name="data",
)


def test_solver_attributes() -> None:
    solver = hugectr.CreateSolver(batchsize=64, lr=1, vvgpu=((0, 1),), metrics_spec={hugectr.MetricsType.AUC: 0.8})
    assert (solver.batchsize, solver.lr, solver.vvgpu) == (64, 1.0, [[0, 1]])
    assert solver.max_eval_batches == 100 and solver.batchsize_eval == 2048
    assert solver.metrics_spec == {hugectr.MetricsType.AUC: 0.8}
    assert hugectr.CreateSolver().vvgpu == [[0]]
    assert hugectr.Solver().values() == {}


def test_solver_of_3_1_starts_with_the_seed() -> None:
    assert hugectr.CreateSolver(7, hugectr.LrPolicy_t.fixed, 0.5).lr == 0.5  # type: ignore[arg-type]
    assert hugectr.CreateSolver("name", 7).seed == 7


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(use_mixed_precision=True, enable_tf32_compute=True, scaler=1024), "exclude each other"),
        (dict(use_mixed_precision=True, scaler=100), "128, 256, 512 or 1024, got 100"),
        (
            dict(use_mixed_precision=True),
            r"scaler must be 128, 256, 512 or 1024, got 1 \(on a CPU it has to be given too",
        ),
        (dict(use_overlapped_pipeline=True), "use_overlapped_pipeline needs is_dlrm"),
        (dict(grouped_all_reduce=True), "grouped_all_reduce needs is_dlrm"),
        (dict(use_holistic_cuda_graph=True, is_dlrm=True), "needs use_cuda_graph=False"),
        (dict(batchsize=0), "batchsize must be at least 1, got 0"),
        (dict(seed=-1), "seed must not be negative, got -1"),
        (dict(warmup_steps=0), "warmup_steps must be at least 1"),
        (dict(decay_power=0.5), "decay_power must be at least 1"),
        (dict(lr=-1.0), "lr must not be negative"),
        (dict(vvgpu=[[0, 0]]), r"device twice in one row: \[0, 0\]"),
        (dict(vvgpu=[]), "needs a device in every row"),
        (dict(vvgpu=[[-1]]), r"vvgpu has a device that cannot be \(0 to 2147483647\): \[-1\]"),
        (dict(lr=float("inf")), "lr must be finite, got inf"),
        (dict(lr=float("nan")), "lr must be finite, got nan"),
        (dict(end_lr=float("inf")), "end_lr must be finite"),
        (dict(decay_power=float("inf")), "decay_power must be finite"),
        (dict(lr=1e39), r"lr must be finite, got 1e\+39, more than a 32-bit float holds"),
        (dict(batchsize=2**62), "batchsize must be below 2\\*\\*31, got 4611686018427387904"),
    ],
)
def test_solver_checks(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message) as failure:
        hugectr.CreateSolver(**arguments)
    assert isinstance(failure.value, RuntimeError) and isinstance(failure.value, ValueError)


def test_tuning_options_are_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        hugectr.CreateSolver(use_holistic_cuda_graph=True, use_cuda_graph=False, is_dlrm=True, overlap_lr=True)
    lines = [line for line in capsys.readouterr().out.splitlines() if "overlap_lr" in line]
    idle = "overlap_lr, use_holistic_cuda_graph"
    if _core.default_device() == "cpu":
        idle = f"use_cuda_graph, {idle}"
    assert len(lines) == 1 and f": {idle} have no effect" in lines[0]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(use_embedding_collection=True), "use_embedding_collection"),
    ],
)
def test_what_a_solver_cannot_ask_for_yet(arguments: dict[str, Any], message: str) -> None:
    solver = hugectr.CreateSolver(**arguments)
    with pytest.raises(UnsupportedError, match=message) as failure:
        spec.solver_spec(solver)
    assert isinstance(failure.value, NotImplementedError)


def test_batch_must_be_divisible_by_devices() -> None:
    with pytest.raises(InvalidArgumentError, match="batchsize_eval 15 is not divisible by the 2 devices"):
        spec.solver_spec(hugectr.CreateSolver(batchsize=16, batchsize_eval=15, vvgpu=[[0, 1]]))


def test_reader_spec() -> None:
    assert spec.reader_spec(hugectr.DataReaderParams(**READER))["source"] == ["a"]  # type: ignore[arg-type]
    asynchronous = hugectr.AsyncParam(32, 4, 716800, 2, 512, True, hugectr.Alignment_t.Non)
    document = spec.reader_spec(
        hugectr.DataReaderParams(
            hugectr.DataReaderType_t.RawAsync,
            ["a"],
            eval_source="b",
            check_type=hugectr.Check_t.Non,
            num_samples=9,
            eval_num_samples=5,
            async_param=asynchronous,
        )
    )
    assert (document["data_reader_type"], document["shuffle"]) == ("RawAsync", True)
    assert (document["num_samples"], document["eval_num_samples"]) == (9, 5)


@pytest.mark.parametrize("kind", ["Raw", "RawAsync"])
@pytest.mark.parametrize("of_async", [None, False, True])
@pytest.mark.parametrize("shuffle", [None, False, True])
def test_shuffle_of_raw_data(kind: str, of_async: Optional[bool], shuffle: Optional[bool]) -> None:
    asynchronous = (
        None if of_async is None else hugectr.AsyncParam(1, 1, 512, 2, 512, of_async, hugectr.Alignment_t.Non)
    )
    document = spec.reader_spec(hugectr.DataReaderParams(
        getattr(hugectr.DataReaderType_t, kind), ["a"], eval_source="b", check_type=hugectr.Check_t.Non,
        async_param=asynchronous, shuffle=shuffle,
    ))  # fmt: skip
    default = True if kind == "Raw" else bool(of_async)
    assert document.get("shuffle", True) is (default if shuffle is None else shuffle)


@pytest.mark.parametrize("workers", [0, -1, 2**31, 2**62])
def test_num_workers_has_a_range(workers: int) -> None:
    with pytest.raises(InvalidArgumentError, match=f"num_workers must be 1 to 2147483647, got {workers}$"):
        hugectr.DataReaderParams(**{**READER, "num_workers": workers})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["Norm", "Parquet"])
def test_only_raw_data_are_shuffled(kind: str) -> None:
    arguments = dict(source=["a"], eval_source="b", check_type=hugectr.Check_t.Non)
    format = getattr(hugectr.DataReaderType_t, kind)
    hugectr.DataReaderParams(format, **arguments, shuffle=False)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match=f"shuffle=True is for Raw data; {kind} files"):
        hugectr.DataReaderParams(format, **arguments, shuffle=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("values, message", [
    ((0, 4, 512, 2, 512), "num_threads must be at least 1, got 0"),
    ((32, 4, 512, 2, 0), "io_alignment must be at least 1, got 0"),
    ((32, 4, 1000, 2, 512), r"io_block_size must be a multiple of io_alignment \(512\), got 1000"),
])  # fmt: skip
def test_async_param_is_checked(values: tuple[int, ...], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        hugectr.AsyncParam(*values, True, hugectr.Alignment_t.Non)  # type: ignore[call-arg, arg-type]


def test_async_param_of_4_3() -> None:
    param = hugectr.AsyncParam(  # type: ignore[call-arg]
        num_threads=1, num_batches_per_thread=16, max_num_requests_per_thread=72, io_depth=4, io_alignment=512,
        shuffle=False, aligned_type=hugectr.Alignment_t.Auto,
    )  # fmt: skip
    assert param.io_block_size == 72


@pytest.mark.parametrize("changed", [dict(source=[]), dict(source=""), dict(eval_source="")])
def test_reader_needs_sources(changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match="needs a source and an eval_source"):
        spec.reader_spec(hugectr.DataReaderParams(**{**READER, **changed}))


def test_sparse_param_forms() -> None:
    one = hugectr.DataReaderSparseParam("data1", 2, False, 3)
    two = hugectr.DataReaderSparseParam(sparse_name="data1", nnz_per_slot=[2, 2, 2], is_fixed_length=False, slot_num=3)  # type: ignore[call-arg]
    assert (
        one.values()
        == two.values()
        == dict(top_name="data1", nnz_per_slot=[2, 2, 2], is_fixed_length=False, slot_num=3, max_feature_num=0)
    )
    old = hugectr.DataReaderSparseParam(hugectr.DataReaderSparse_t.Localized, 30, 1, 26)  # type: ignore[arg-type]
    assert old.nnz_per_slot == [1] * 26
    old = hugectr.DataReaderSparseParam(hugectr.DataReaderSparse_t.Localized, 30, slot_num=26, max_nnz=1)  # type: ignore[call-arg, arg-type]
    assert old.slot_num == 26
    old = hugectr.DataReaderSparseParam(hugectr.DataReaderSparse_t.Distributed, 30, slot_num=2)  # type: ignore[call-arg, arg-type]
    assert old.nnz_per_slot == [30, 30]
    with pytest.raises(TypeError, match=r"takes type, max_feature_num, max_nnz \(optional\), slot_num"):
        hugectr.DataReaderSparseParam(hugectr.DataReaderSparse_t.Localized, 30, 1)  # type: ignore[call-arg, arg-type]
    with pytest.raises(InvalidArgumentError, match='"wide": nnz_per_slot has 1 entries for 2 slots'):
        hugectr.DataReaderSparseParam("wide", [1], False, 2)


def test_input_forms() -> None:
    sparse = [hugectr.DataReaderSparseParam("data1", 1, True, 1)]
    single = hugectr.Input(1, "label", 13, "dense", sparse)
    assert spec.input_spec(single)["labels"] == [{"name": "label", "dim": 1, "weight": 1.0}]
    several = [
        hugectr.Input([1, 2], ["a", "b"], 0, "dense", sparse, label_weights=[0.5, 2]),
        hugectr.Input([1, 2], ["a", "b"], [0.5, 2], 0, "dense", sparse),  # type: ignore[call-arg, arg-type]
        hugectr.Input(  # type: ignore[call-arg]
            label_dims=[1, 2],
            label_names=["a", "b"],
            label_weights=[0.5, 2],
            dense_dim=0,
            dense_name="dense",
            data_reader_sparse_param_array=sparse,
        ),
    ]
    for layer in several:
        assert spec.input_spec(layer)["labels"] == [
            {"name": "a", "dim": 1, "weight": 0.5},
            {"name": "b", "dim": 2, "weight": 2.0},
        ]
    with pytest.raises(InvalidArgumentError, match="2 label names, 1 label dims"):
        hugectr.Input([1], ["a", "b"], 0, "dense", sparse)
    with pytest.raises(InvalidArgumentError, match="used twice: data1"):
        hugectr.Input(1, "label", 1, "data1", sparse)


def test_hybrid_embedding_param_has_eight_or_ten_arguments() -> None:
    kinds = (hugectr.CommunicationType.IB_NVLink_Hier, hugectr.HybridEmbeddingType.Distributed)
    eight = hugectr.HybridEmbeddingParam(2, -1, 0.01, 1.3e11, 1.9e11, 1.0, *kinds)
    ten = hugectr.HybridEmbeddingParam(2, -1, 0.01, 1.3e11, 1.9e11, 1.0, True, False, *kinds)  # type: ignore[call-arg, arg-type]
    assert eight.communication_type is ten.communication_type is kinds[0]
    assert not eight.use_train_precompute_indices and ten.use_train_precompute_indices


@pytest.mark.parametrize(
    "changed, message",
    [
        (dict(combiner="max"), 'combiner must be "sum" or "mean", got "max"'),
        (dict(embedding_vec_size=0), "1 to 1024, got 0"),
        (dict(embedding_vec_size=1025), "1 to 1024, got 1025"),
        (dict(workspace_size_per_gpu_in_mb=0), "needs a positive workspace_size_per_gpu_in_mb or a slot_size_array"),
        (dict(slot_size_array=[3, -1]), "negative size"),
    ],
)
def test_embedding_checks(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f'SparseEmbedding "e": .*{message}'):
        hugectr.SparseEmbedding(**{**EMBEDDING, **changed})


def test_embedding_optimizer() -> None:
    sgd = hugectr.CreateOptimizer(hugectr.Optimizer_t.SGD, update_type=hugectr.Update_t.Local)
    own = spec.embedding_spec(hugectr.SparseEmbedding(**EMBEDDING, optimizer=sgd))  # type: ignore[arg-type]
    assert own["optimizer"]["type"] == "SGD" and own["optimizer"]["update_type"] == "Local"
    for inherited in (None, hugectr.OptParamsPy()):
        layer = hugectr.SparseEmbedding(**EMBEDDING, optimizer=inherited)  # type: ignore[arg-type]
        assert spec.embedding_spec(layer)["optimizer"] is None


@pytest.mark.parametrize("keyword", ["lambda", "lambda_", "regularizer_lambda"])
def test_lambda_by_any_name(keyword: str) -> None:
    layer = hugectr.DenseLayer(
        layer_type=hugectr.Layer_t.BinaryCrossEntropyLoss,
        bottom_names=["add", "label"],
        top_names="loss",
        use_regularizer=True,
        regularizer_type=hugectr.Regularizer_t.L2,
        **{keyword: 0.1},  # type: ignore[arg-type]
    )
    assert spec.dense_spec(layer) == {
        "type": "BinaryCrossEntropyLoss",
        "bottoms": ["add", "label"],
        "tops": ["loss"],
        "params": {"lambda": 0.1, "regularizer_type": "L2", "use_regularizer": True},
    }


def test_dense_layer_passes_on_only_what_was_given() -> None:
    layer = hugectr.DenseLayer(hugectr.Slice, ["a"], ["b", "c"], ranges=[(0, 2), [2, 5]])  # type: ignore[list-item]
    assert spec.dense_spec(layer)["params"] == {"ranges": [[0, 2], [2, 5]]}
    assert spec.dense_spec(hugectr.DenseLayer(hugectr.Layer_t.DotProduct, ["a", "b"], ["c"]))["type"] == (
        "ElementwiseMultiply"
    )
    with pytest.raises(InvalidArgumentError, match=re.escape("DenseLayer(ReLU): top_names is empty")):
        hugectr.DenseLayer(hugectr.ReLU, ["a"], [])


@pytest.mark.parametrize("keyword", ["bottom_name", "bottom_name_list"])
def test_group_dense_layer_is_a_tower(keyword: str) -> None:
    group = hugectr.GroupDenseLayer(
        group_layer_type=hugectr.GroupLayer_t.GroupFusedInnerProduct,
        top_name_list=["fc1", "fc2", "fc3"],
        num_outputs=[8, 4, 1],
        last_act_type=hugectr.Activation_t.Non,
        **{keyword: ["interaction", "interaction_grad"]},  # type: ignore[arg-type]
    )
    layers = [spec.dense_spec(layer) for layer in group.layers()]
    assert [(layer["bottoms"], layer["tops"]) for layer in layers] == [
        (["interaction", "interaction_grad"], ["fc1"]),
        (["fc1"], ["fc2"]),
        (["fc2"], ["fc3"]),
    ]
    assert [layer["params"]["act_type"] for layer in layers] == ["Relu", "Relu", "Non"]
    with pytest.raises(InvalidArgumentError, match="3 names and 2 sizes"):
        hugectr.GroupDenseLayer(hugectr.GroupFusedInnerProduct, "a", ["b", "c", "d"], [1, 2])


def test_integers_have_64_bits() -> None:
    assert hugectr.CreateSolver(seed=2**64 - 1).seed == 2**64 - 1
    for arguments in (dict(seed=2**64), dict(batchsize=2**70), dict(seed=-(2**63) - 1)):
        with pytest.raises(TypeError, match="must be a 64-bit int, got int"):
            hugectr.CreateSolver(**arguments)


def test_a_reshape_has_a_width() -> None:
    for width in (0, -4):
        with pytest.raises(InvalidArgumentError, match=f'DenseLayer "b": leading_dim must be positive, got {width}'):
            hugectr.DenseLayer(hugectr.Layer_t.Reshape, ["a"], ["b"], leading_dim=width)
    hugectr.DenseLayer(hugectr.Layer_t.Reshape, ["a"], ["b"], selected=True, selected_slots=[0], leading_dim=0)
    hugectr.DenseLayer(hugectr.Layer_t.ReLU, ["a"], ["b"], leading_dim=0)


def test_several_sources_need_the_training_cache() -> None:
    reader = hugectr.DataReaderParams(**{**READER, "source": ["a", "b"]}, keyset=["k", "l"])  # type: ignore[arg-type]
    with pytest.raises(NotImplementedError, match="2 sources need the embedding training cache"):
        spec.reader_spec(reader)


def hybrid() -> hugectr.HybridEmbeddingParam:
    kinds = (hugectr.CommunicationType.IB_NVLink_Hier, hugectr.HybridEmbeddingType.Distributed)
    return hugectr.HybridEmbeddingParam(2, -1, 0.01, 1.3e11, 1.9e11, 1.0, *kinds)


def raw(**arguments: Any) -> hugectr.DataReaderParams:
    return hugectr.DataReaderParams(
        **{**READER, "data_reader_type": hugectr.RawAsync, "check_type": hugectr.Check_t.Non, **arguments}
    )


@pytest.mark.parametrize(
    "use, name",
    [
        (lambda: hugectr.CreateSolver(kafka_brokers="host:1"), "kafka_brockers"),
        (lambda: hugectr.CreateSolver(scaler=512), "scaler"),
        (lambda: spec.reader_spec(hugectr.DataReaderParams(**READER, keyset="k")), "keyset"),  # type: ignore[arg-type]
        (lambda: spec.reader_spec(raw(float_label_dense=True)), "float_label_dense"),
        (
            lambda: spec.embedding_spec(hugectr.SparseEmbedding(**EMBEDDING, hybrid_embedding_param=hybrid())),
            "hybrid_embedding_param",
        ),
        (
            lambda: spec.embedding_spec(hugectr.SparseEmbedding(**EMBEDDING, slot_size_array=[3])),
            "slot_size_array",
        ),
    ],
)
def test_what_has_no_effect_is_named(use: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    monkeypatch.setattr(_core, "warn_once", warnings.append)
    use()
    assert len(warnings) == 1 and name in warnings[0]


def test_a_scheduler_of_its_own() -> None:
    scheduler = hugectr.LearningRateScheduler(0.1, warmup_steps=2, decay_start=3, decay_steps=2)
    rates = [scheduler.get_next() for _ in range(6)]
    assert rates == pytest.approx([0.05, 0.1, 0.1, 0.025, 0.0, 0.0])
    assert (scheduler.get_lr(), scheduler.get_step()) == (0.0, 6)
    with pytest.raises(InvalidArgumentError, match="warmup_steps"):
        hugectr.LearningRateScheduler(0.1, warmup_steps=0)


def test_errors_are_public() -> None:
    for name in ("DeviceError", "FileError", "InternalError", "InvalidArgumentError", "NotFoundError"):
        assert issubclass(getattr(hugectr, name), hugectr.HugectrError)
    assert hugectr.UnsupportedError is UnsupportedError


def test_optimizer_checks() -> None:
    for value in ("inf", "nan"):
        with pytest.raises(InvalidArgumentError, match=f"epsilon must be finite, got {value}"):
            hugectr.CreateOptimizer(epsilon=float(value))
    with pytest.raises(InvalidArgumentError, match="epsilon must be finite and not negative, got -1"):
        hugectr.CreateOptimizer(epsilon=-1)
    with pytest.raises(InvalidArgumentError, match=r"beta1 must be in \[0, 1\), got 1"):
        hugectr.CreateOptimizer(beta1=1)
    with pytest.raises(InvalidArgumentError, match="initial_accu_value must be .*, got 1e\\+300, more than a 32-bit"):
        hugectr.CreateOptimizer(initial_accu_value=1e300)
    with pytest.raises(InvalidArgumentError, match="the optimizer is empty"):
        spec.optimizer_spec(hugectr.OptParamsPy())


def test_training_cache_objects() -> None:
    cache = hugectr.CreateHMemCache(2, 0.5, 0)
    for keyword in ("hmem_cache_configs", "hcache_configs"):
        params = hugectr.CreateETC(
            ps_types=[hugectr.TrainPSType_t.Staged, hugectr.TrainPSType_t.Cached],
            sparse_models=["a", "b"],
            local_paths=["./"],
            **{keyword: [cache]},  # type: ignore[arg-type]
        )
        assert params.hmem_cache_configs[0].target_hit_rate == 0.5
    with pytest.raises(InvalidArgumentError, match="needs 1 or 1 entries for 1 Cached"):
        hugectr.CreateETC([hugectr.TrainPSType_t.Cached], ["a"])
    assert hugectr.CreateMOS(True, dest_sparse_models=["a", "b"]).ps_types == [hugectr.TrainPSType_t.Staged] * 2
    with pytest.raises(InvalidArgumentError, match="needs trained_sparse_models"):
        hugectr.CreateMOS(train_from_scratch=False)


def test_names_of_features_to_come() -> None:
    from hugectr.data import DataSourceParams
    from hugectr.inference import CreateInferenceSession, InferenceParams  # type: ignore[attr-defined]

    for name, call in [
        ("hugectr.inference.InferenceParams", lambda: InferenceParams(model_name="m")),
        ("hugectr.inference.CreateInferenceSession", lambda: CreateInferenceSession("a.json", None)),
        ("hugectr.ModelOversubscriber", hugectr.ModelOversubscriber),  # type: ignore[attr-defined]
        ("hugectr.EmbeddingCollection", hugectr.EmbeddingCollection),  # type: ignore[attr-defined]
    ]:
        with pytest.raises(UnsupportedError, match=name):
            call()
    params = DataSourceParams(use_hdfs=True, namenode="host")
    params.port = 9001
    assert (params.use_hdfs, params.namenode, params.port) == (True, "host", 9001)
