# SPDX-License-Identifier: Apache-2.0
"""For every public argument: another value than its default, and what it is to do."""

import hashlib
import inspect
import pathlib
from collections.abc import Callable
from typing import Any

import hugectr
import pyarrow as pa
from hugectr import data, tools
from hugectr.tools.encoders import LabelEncoder

from compat.fake_engine import FakeEngine

USED, NAMED, REFUSED = "used", "named", "refused"
Call = Callable[..., Any]
Case = tuple[Any, str, dict[str, Any]]

READER = dict(data_reader_type=hugectr.Norm, source="a", eval_source="b", check_type=hugectr.Check_t.Sum)
EMBEDDING = dict(embedding_type=hugectr.Embedding_t.LocalizedSlotSparseEmbeddingHash, workspace_size_per_gpu_in_mb=1,
                 embedding_vec_size=4, combiner="sum", sparse_embedding_name="e", bottom_name="data")  # fmt: skip
SPARSE = dict(top_name="data", nnz_per_slot=1, is_fixed_length=False, slot_num=2)
INPUT = dict(label_dim=1, label_name="label", dense_dim=2, dense_name="dense",
             data_reader_sparse_param_array=[hugectr.DataReaderSparseParam(**SPARSE)])  # fmt: skip
ASYNC = dict(num_threads=2, num_batches_per_thread=4, io_block_size=1024, io_depth=2, io_alignment=512, shuffle=False,
             aligned_type=hugectr.Alignment_t.Non)  # fmt: skip
HYBRID = dict(
    max_num_frequent_categories=2, max_num_infrequent_samples=-1, p_dup_max=0.01, max_all_reduce_bandwidth=1e11,
    max_all_to_all_bandwidth=1e11, efficiency_bandwidth_ratio=1.0, 
    communication_type=hugectr.CommunicationType.NVLink_SingleNode,
    hybrid_embedding_type=hugectr.HybridEmbeddingType.Distributed,
)  # fmt: skip


ON_S3 = data.DataSourceParams(source=hugectr.DataSourceType_t.S3)


class AtIterations(hugectr.TrainingCallback):
    def on_iteration_end(self, current_iter: int) -> None: ...


def model(solver: Any = None, reader: Any = None, optimizer: Any = None, parts: Any = (), **more: Any) -> hugectr.Model:
    made = hugectr.Model(solver or hugectr.CreateSolver(), reader or hugectr.DataReaderParams(**READER),
                         optimizer or hugectr.CreateOptimizer(), **more)  # fmt: skip
    for part in parts:
        made.add(part)
    return made


def document(*args: Any, **kwargs: Any) -> str:
    return model(*args, **kwargs)._graph.text()


def with_input(*parts: Any) -> str:
    return document(parts=[hugectr.Input(**INPUT), *parts])


def with_embedding(**given: Any) -> str:
    return with_input(hugectr.SparseEmbedding(**{**EMBEDDING, **given}))


def with_reader(**given: Any) -> str:
    return document(reader=hugectr.DataReaderParams(**{**READER, **given}))


def with_optimizer(**given: Any) -> str:
    return document(optimizer=hugectr.CreateOptimizer(**given))


def with_switches(**given: Any) -> str:
    switches = hugectr.DenseLayerSwitchs(**given)
    return with_input(hugectr.DenseLayer(hugectr.InnerProduct, ["dense"], ["top"], dense_layer_switches=switches))


def with_async(**given: Any) -> str:
    return with_reader(data_reader_type=hugectr.RawAsync, check_type=hugectr.Check_t.Non,
                       async_param=hugectr.AsyncParam(**{**ASYNC, **given}))  # fmt: skip


def hybrid(**given: Any) -> str:
    return with_embedding(hybrid_embedding_param=hugectr.HybridEmbeddingParam(**{**HYBRID, **given}))


def tower(**given: Any) -> str:
    arguments = dict(group_layer_type=hugectr.GroupFusedInnerProduct, bottom_name_list="dense",
                     top_name_list=["a", "b"], num_outputs=[3, 2])  # fmt: skip
    return with_input(hugectr.GroupDenseLayer(**{**arguments, **given}))


def calls(method: str, solver: dict[str, Any], *args: Any, **kwargs: Any) -> str:
    """What the engine is asked for."""
    made = model(hugectr.CreateSolver(batchsize=4, batchsize_eval=4, **solver))
    engine = FakeEngine("{}", None)
    made._engine = engine  # type: ignore[assignment]
    getattr(made, method)(*args, **kwargs)
    made._engine = None
    return repr([[given for given in call if not callable(given)] for call in engine.calls])


def fitting(*, in_other_mode: bool = False) -> Call:
    def fit(**given: Any) -> str:
        return calls("fit", {"repeat_dataset": ("num_epochs" in given) is in_other_mode}, **given)

    return fit


def method(name: str, **arguments: Any) -> tuple[Call, Call]:
    return getattr(hugectr.Model, name), lambda **given: calls(name, {}, **{**arguments, **given})


def loading(method: str, argument: str, value: Any, other: Any) -> tuple[Call, Call, dict[str, Case]]:
    return (
        getattr(hugectr.Model, method),
        lambda **given: calls(method, {}, **{argument: value, **given}),
        {argument: (other, USED, {}), "data_source_params": (ON_S3, USED, {})},
    )


def files(folder: pathlib.Path) -> str:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return repr([(str(path), hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths])


def generated(**given: Any) -> str:
    arguments = dict(
        format=hugectr.Norm, label_dim=1, dense_dim=1, num_slot=1, i64_input_key=False, source="t/list",
        eval_source="e/list", slot_size_array=[50], num_files=1, eval_num_files=1, num_samples_per_file=9, seed=1,
    )  # fmt: skip
    if given.get("format", hugectr.Norm) is hugectr.Raw:
        arguments = {name: value for name, value in arguments.items() if "files" not in name and "per_file" not in name}
    tools.DataGenerator(tools.DataGeneratorParams(**{**arguments, **given})).generate()
    return files(pathlib.Path())


TABLE = {"y": [0, 1, 1], "x": [1.0, 2.0, 4.0], "k": ["a", "b", "b"]}


def written(**given: Any) -> str:
    arguments = {"source": TABLE, "path": "set", "labels": "y", "numeric": ["x"], "categorical": ["k"]}
    tools.to_parquet(**{**arguments, **given})
    return files(pathlib.Path())


def with_numeric(**given: Any) -> str:
    return written(source={**TABLE, "x": [1.0, None, 2.0], "z": [1.0, None, 3.0]},
                   numeric=[tools.Numeric(**{"column": "x", "missing": 0.0, **given})])  # fmt: skip


def applied(**given: Any) -> str:
    made = tools.to_parquet(TABLE, "first", labels="y", numeric=["x"], categorical=["k"])
    made.apply(**{"source": TABLE, "path": "second", **given})
    return files(pathlib.Path())


def norm(**given: Any) -> str:
    tools.write_norm(**{"path": "a", "labels": [0, 1], "dense": [[1.0], [2.0]], "slots": [[[1], [2]]], **given})
    return files(pathlib.Path())


def raw(**given: Any) -> str:
    tools.write_raw(**{"path": "a", "labels": [0, 1], "dense": [[1], [2]], "keys": [[1], [2]], **given})
    return files(pathlib.Path())


def used(*names: str, **values: Any) -> dict[str, Case]:
    return {name: (value, USED, {}) for name, value in values.items()}


TUNING: dict[str, Any] = dict(
    enable_tf32_compute=True, use_algorithm_search=False, async_mlp_wgrad=True, gen_loss_summary=False, overlap_lr=True,
    overlap_init_wgrad=True, overlap_ar_a2a=True, eval_overlap=True, device_layout=hugectr.DeviceLayout.NodeFirst,
    use_cuda_graph=False, all_reduce_algo=hugectr.AllReduceAlgo.OneShot, num_iterations_statistics=5, perf_logging=True,
    train_intra_iteration_overlap=True, train_inter_iteration_overlap=True, eval_intra_iteration_overlap=True,
    eval_inter_iteration_overlap=True,
)  # fmt: skip
SOLVER: dict[str, Case] = {
    **used(model_name="m", seed=7, lr=0.5, warmup_steps=2, decay_start=3, decay_power=3.0, max_eval_batches=7,
           batchsize_eval=64, batchsize=64, vvgpu=[[0, 1]], repeat_dataset=False, metrics_spec={hugectr.NDCG: 1.0},
           i64_input_key=True, drop_incomplete_batch=True),
    "use_mixed_precision": (True, USED, {"scaler": 128}),
    "scaler": (256.0, USED, {"use_mixed_precision": True}),
    "mixed_precision_type": ("bf16", USED, {"use_mixed_precision": True, "scaler": 128}),
    "gauc_input": ("other", USED, {"metrics_spec": {hugectr.GAUC: 1.0}}),
    "gauc_slot": (1, USED, {"metrics_spec": {hugectr.GAUC: 1.0}, "gauc_input": "data1"}),
    "decay_steps": (5, USED, {"decay_start": 3}),
    "end_lr": (0.1, USED, {"decay_start": 3}),
    "use_embedding_collection": (True, REFUSED, {}),
    "kafka_brockers": ("host:1", NAMED, {}),
    "data_source_params": (ON_S3, USED, {}),
    "training_callbacks": ([1], REFUSED, {}),
    "is_dlrm": (True, "allows", {"grouped_all_reduce": True}),
    **{name: (True, NAMED, {"is_dlrm": True, "use_cuda_graph": False})
       for name in ("use_holistic_cuda_graph", "use_overlapped_pipeline", "grouped_all_reduce")},
    **{name: (value, NAMED, {}) for name, value in TUNING.items()},
}  # fmt: skip
RAW: dict[str, Any] = {"data_reader_type": hugectr.Raw, "check_type": hugectr.Check_t.Non}
TABLES: dict[str, tuple[Call, Call, dict[str, Case]]] = {
    "CreateSolver": (hugectr.CreateSolver, lambda **given: document(hugectr.CreateSolver(**given)), SOLVER),
    "CreateOptimizer": (hugectr.CreateOptimizer, with_optimizer, {
        **used(optimizer_type=hugectr.SGD, update_type=hugectr.Update_t.Local, beta1=0.5, beta2=0.5, epsilon=1e-3),
        "atomic_update": (False, USED, {"optimizer_type": hugectr.SGD}),
        "initial_accu_value": (0.5, USED, {"optimizer_type": hugectr.AdaGrad}),
        "momentum_factor": (0.5, USED, {"optimizer_type": hugectr.Nesterov}),
        "beta": (0.5, USED, {"optimizer_type": hugectr.RMSProp}),
        **{name: (0.5, USED, {"optimizer_type": hugectr.Ftrl}) for name in ("lambda1", "lambda2")},
    }),
    "CreateSolver on its own": (hugectr.CreateSolver, lambda **given: document(hugectr.CreateSolver(**given)), {
        "is_dlrm": (True, NAMED, {}),
    }),
    "CreateOptimizer of another kind": (hugectr.CreateOptimizer, with_optimizer, {
        "atomic_update": (False, NAMED, {"optimizer_type": hugectr.Adam}),
        "initial_accu_value": (0.5, NAMED, {"optimizer_type": hugectr.Adam}),
        "momentum_factor": (0.5, NAMED, {"optimizer_type": hugectr.Adam}),
        "beta1": (0.5, NAMED, {"optimizer_type": hugectr.AdaGrad}),
        "epsilon": (0.5, NAMED, {"optimizer_type": hugectr.SGD}),
    }),
    "DataReaderParams of files in order": (hugectr.DataReaderParams, with_reader, {"shuffle": (False, NAMED, {})}),
    "DataReaderParams of Parquet files": (hugectr.DataReaderParams, with_reader, {
        "shuffle": (False, NAMED, {"data_reader_type": hugectr.Parquet, "check_type": hugectr.Check_t.Non}),
    }),
    "DataReaderParams": (hugectr.DataReaderParams, with_reader, {
        **used(data_reader_type=hugectr.Parquet, source="c", eval_source="c", check_type=hugectr.Check_t.Non,
               num_workers=3),
        "keyset": ("k", NAMED, {}),
        "cache_eval_data": (3, NAMED, {}),
        "drop_incomplete_batch": (False, USED, {}),
        "shuffle": (False, USED, RAW),
        "num_samples": (3, USED, RAW),
        "eval_num_samples": (3, USED, RAW),
        "float_label_dense": (True, USED, RAW),
        "slot_size_array": ([3, 3], USED, {"data_reader_type": hugectr.Parquet}),
        "async_param": (hugectr.AsyncParam(**{**ASYNC, "shuffle": True}), USED,
                        {**RAW, "data_reader_type": hugectr.RawAsync}),
        "data_source_params": (ON_S3, USED, {}),
        "read_file_sequentially": (True, NAMED, {}),
    }),
    "AsyncParam": (hugectr.AsyncParam, with_async, {
        "shuffle": (True, USED, {}),
        **{name: (value, NAMED, {}) for name, value in dict(
            num_threads=3, num_batches_per_thread=3, io_block_size=2048, io_depth=3, io_alignment=1024,
            aligned_type=hugectr.Alignment_t.Auto, multi_hot_reader=False, is_dense_float=False).items()},
    }),
    "DataReaderSparseParam": (
        hugectr.DataReaderSparseParam,
        lambda **given: document(parts=[hugectr.Input(
            **{**INPUT, "data_reader_sparse_param_array": [hugectr.DataReaderSparseParam(**{**SPARSE, **given})]})]),
        used(top_name="other", nnz_per_slot=3, is_fixed_length=True, slot_num=3, max_feature_num=5),
    ),
    "Input": (hugectr.Input, lambda **given: document(parts=[hugectr.Input(**{**INPUT, **given})]),
              used(label_dim=2, label_name="l", dense_dim=3, dense_name="d", label_weights=[2.0],
                   data_reader_sparse_param_array=[])
              | {"sparse_names": (["a", "b"], REFUSED, {}),
                 "reader_params": (hugectr.DataReaderParams(**READER), NAMED, {})}),
    "SparseEmbedding": (hugectr.SparseEmbedding, with_embedding, {
        **used(embedding_type=hugectr.Embedding_t.DistributedSlotSparseEmbeddingHash, workspace_size_per_gpu_in_mb=2,
               embedding_vec_size=8, combiner="mean", sparse_embedding_name="f", slot_size_array=[3, 3],
               optimizer=hugectr.CreateOptimizer(hugectr.SGD)),
        "bottom_name": ("nothing", REFUSED, {}),
        "initializer": (hugectr.Initializer(hugectr.Normal, 0.01), USED, {}),
        "hybrid_embedding_param": (hugectr.HybridEmbeddingParam(**HYBRID), NAMED, {}),
        "max_vocabulary_size_per_gpu": (9, USED, {"workspace_size_per_gpu_in_mb": 0}),
    }),
    "HybridEmbeddingParam": (hugectr.HybridEmbeddingParam, hybrid,
                             {name: (value, NAMED, {}) for name, value in HYBRID.items()}
                             | {f"use_{kind}_precompute_indices": (True, NAMED, {}) for kind in ("train", "eval")}),
    "GroupDenseLayer": (hugectr.GroupDenseLayer, tower, {
        **used(top_name_list=["c", "d"], num_outputs=[4, 4], last_act_type=hugectr.Activation_t.Non),
        "bottom_name_list": ("nothing", REFUSED, {}),
    }),
    "DenseLayerSwitchs": (hugectr.DenseLayerSwitchs, with_switches, {"fuse_wb": (True, NAMED, {})}),
    "DataSourceParams": (
        data.DataSourceParams,
        lambda **given: document(hugectr.CreateSolver(data_source_params=data.DataSourceParams(**given))),
        {name: (["a"] if isinstance(parameter.default, tuple) else "a", NAMED, {})
         for name, parameter in inspect.signature(data.DataSourceParams).parameters.items()}
        | {"use_hdfs": (True, USED, {}), "source": (hugectr.DataSourceType_t.S3, USED, {}),
           "port": (1, NAMED, {})},
    ),
    "Model.fit": (hugectr.Model.fit, fitting(), {
        **used(max_iter=3, display=3, eval_interval=3, snapshot=3, snapshot_prefix="p"),
        "num_epochs": (3, USED, {}),
        "callbacks": ([AtIterations()], USED, {}),
        "data_source_params": (ON_S3, USED, {"snapshot_prefix": "p"}),
    }),
    "Model.fit without snapshots": (hugectr.Model.fit, fitting(), {"snapshot_prefix": ("p", NAMED, {"snapshot": 0})}),
    "Model.fit in the other mode": (
        hugectr.Model.fit, fitting(in_other_mode=True),
        {"num_epochs": (3, NAMED, {}), "max_iter": (3, NAMED, {})},
    ),
    "Model.train": (*method("train"), {"is_first_batch": (False, NAMED, {})}),
    "Model.eval": (*method("eval"), {"is_first_batch": (3, NAMED, {})}),
    "Model.save_params_to_files": (
        *method("save_params_to_files", prefix="p"), used(prefix="q", iter=3),
    ),
    "Model.load_params_from_files": (
        *method("load_params_from_files", prefix="p"), used(prefix="q", iter=3),
    ),
    "Model.reset_learning_rate_scheduler": (
        *method("reset_learning_rate_scheduler", base_lr=1.0),
        used(base_lr=2.0, warmup_steps=3, decay_start=3, decay_steps=3, decay_power=3.0, end_lr=0.5),
    ),
    "Model.set_source": (
        hugectr.Model.set_source,
        lambda **given: calls("set_source", {"repeat_dataset": False}, **{"source": "a", "eval_source": "b", **given}),
        {**used(source="c", eval_source="c"), "keyset": ("k", REFUSED, {})},
    ),
    "Model.export_predictions": (
        *method("export_predictions", output_prediction_file_name="a", output_label_file_name="b"),
        used(output_prediction_file_name="c", output_label_file_name="c"),
    ),
    "Model.freeze_embedding": (*method("freeze_embedding"), used(embedding_name="e")),
    "Model.unfreeze_embedding": (*method("unfreeze_embedding"), used(embedding_name="e")),
    **{f"Model.load_{what}": loading(f"load_{what}", *rest) for what, *rest in [
        ("dense_weights", "dense_model_file", "a", "b"), ("dense_optimizer_states", "dense_opt_states_file", "a", "b"),
        ("sparse_weights", "sparse_embedding_files", {"e": "a"}, {"e": "b"}),
        ("sparse_optimizer_states", "sparse_opt_states_files", {"e": "a"}, {"e": "b"}),
    ]},
    "DataGeneratorParams": (tools.DataGeneratorParams, generated, {
        **used(label_dim=2, dense_dim=2, i64_input_key=True, source="f/list", eval_source="f/list",
               slot_size_array=[90], nnz_array=[2], check_type=hugectr.Check_t.Non,
               dist_type=hugectr.Distribution_t.Uniform,
               power_law_type=hugectr.PowerLaw_t.Long, alpha=0.3, num_files=2, eval_num_files=2, num_samples_per_file=8,
               seed=2),
        "format": (hugectr.Parquet, USED, {}),
        "num_slot": (2, REFUSED, {}),
        **{name: (value, USED, {"format": hugectr.Raw, "num_samples": 9, "eval_num_samples": 9})
           for name, value in dict(num_samples=8, eval_num_samples=8, float_label_dense=True).items()},
        "num_threads": (3, NAMED, {}),
    }),
    "DataGeneratorParams of another format": (tools.DataGeneratorParams, generated, {
        **{name: (value, NAMED, {}) for name, value in dict(
            num_samples=8, eval_num_samples=8, float_label_dense=True).items()},
        **{name: (3, NAMED, {"format": hugectr.Raw, "num_samples": 9, "eval_num_samples": 9})
           for name in ("num_files", "eval_num_files", "num_samples_per_file")},
        "check_type": (hugectr.Check_t.Non, NAMED, {"format": hugectr.Parquet}),
        "alpha": (0.3, NAMED, {"power_law_type": hugectr.PowerLaw_t.Long}),
        "power_law_type": (hugectr.PowerLaw_t.Long, NAMED, {"dist_type": hugectr.Distribution_t.Uniform}),
    }),
    "to_parquet": (tools.to_parquet, written, {
        **used(source={**TABLE, "x": [3.0, 2.0, 1.0]}, path="other", labels="x", numeric=[], categorical=[],
               min_frequency=2, rows_per_file=2),
        "labels": ("k2", REFUSED, {}),
        "mappings": ("set", REFUSED, {}),
    }),
    "ParquetDataSet.apply": (tools.ParquetDataSet.apply, applied,
                             used(source={**TABLE, "x": [3.0, 2.0, 1.0]}, path="other", labeled=False,
                                  rows_per_file=2)),
    "Numeric": (tools.Numeric, with_numeric, used(column="z", scale="log", missing="mean")),
    "Categorical": (
        tools.Categorical,
        lambda **given: written(source={**TABLE, "k": [["a"], ["b", "a"], ["b"]], "m": [["c"]] * 3},
                                categorical=[tools.Categorical(**{"column": "k", **given})]),
        used(column="m", min_frequency=3, max_length=1),
    ),
    "Bins": (tools.Bins, lambda **given: written(categorical=[tools.Bins(**{"column": "x", **given})]),
             used(column="y", count=2)),
    "Threshold": (tools.Threshold, lambda **given: written(labels={"y": tools.Threshold(**{"value": 1, **given})}),
                  used(value=3)),
    "write_norm": (tools.write_norm, norm, used(path="b", labels=[1, 1], dense=None, slots=[[[1], [3]]],
                                                check_sum=False, i64=True)),
    "write_raw": (tools.write_raw, raw, used(path="b", labels=[1, 1], dense=None, keys=[[1], [3]],
                                             float_label_dense=True)),
    "write_file_list": (
        tools.write_file_list,
        lambda **given: [tools.write_file_list(**{"path": "a", "files": ["x"], **given}), files(pathlib.Path())][1],
        used(path="b", files=["y"]),
    ),
}  # fmt: skip


# Building a model by hand, graph files and mappings.
def reading(method: str, **given: Any) -> str:
    engine = FakeEngine("{}", None)
    getattr(hugectr.DataReader32(lambda: engine, True), method)(**given)  # type: ignore[arg-type, return-value]
    return repr(engine.calls)


def compiled(**given: Any) -> str:
    names = ["label", "other"]
    layers = [hugectr.DenseLayer(hugectr.InnerProduct, ["dense"], [f"{name}_fc"], num_output=1) for name in names]
    layers += [
        hugectr.DenseLayer(hugectr.BinaryCrossEntropyLoss, [f"{name}_fc", name], [f"{name}_loss"]) for name in names
    ]
    inputs = hugectr.Input(**{**INPUT, "label_dim": [1, 1], "label_name": names, "data_reader_sparse_param_array": []})
    made = model(hugectr.CreateSolver(batchsize=4, batchsize_eval=4), parts=[inputs, *layers])
    made.compile(**given)
    return made._graph.text()


def graph_written(**given: Any) -> str:
    model(parts=[hugectr.Input(**INPUT)]).graph_to_json(**{"graph_config_file": "a.json", **given})
    return files(pathlib.Path())


def graph_read(**given: Any) -> str:
    layer = hugectr.DenseLayer(hugectr.InnerProduct, ["dense"], ["top"], num_output=1)
    model(parts=[hugectr.Input(**INPUT), layer]).graph_to_json("a.json")
    model(parts=[hugectr.Input(**INPUT)]).graph_to_json("b.json")
    made = model()
    made.construct_from_json(**{"graph_config_file": "a.json", "include_dense_network": True, **given})
    return made._graph.text()


def mappings(**given: Any) -> tools.Mappings:
    made = tools.to_parquet(TABLE, "set", labels="y", numeric=["x"], categorical=["k"]).mappings
    return tools.Mappings(**{"labels": made.labels, "numeric": made.numeric, "categorical": made.categorical, **given})


def mappings_saved(**given: Any) -> str:
    mappings().save(**{"path": "a.json", **given})
    return files(pathlib.Path())


def mappings_loaded(**given: Any) -> bytes:
    mappings().save("a.json")
    mappings(numeric=()).save("b.json")
    return tools.Mappings.load(**{"path": "a.json", **given}).to_json()


def encoded(**given: Any) -> str:
    try:
        return repr(mappings().encode(**{"batch": pa.RecordBatch.from_pydict(TABLE), **given}).to_pydict())
    except hugectr.HugectrError as error:  # names a row
        return str(error)


UNKNOWN_BATCH = pa.RecordBatch.from_pydict({**TABLE, "x": [1.0, None, 2.0]})
TABLES.update({
    "Model.add": (hugectr.Model.add, lambda **given: document(parts=[hugectr.Input(**INPUT), *given.values()]),
                  used(layer=hugectr.SparseEmbedding(**EMBEDDING))),
    "Model.compile": (hugectr.Model.compile, compiled, {
        "loss_names": (["other"], USED, {"loss_names": ["label"], "loss_weights": [2.0]}),
        "loss_weights": ([3.0], USED, {"loss_names": ["other"], "loss_weights": [2.0]}),
    }),
    "Model.set_learning_rate": (*method("set_learning_rate", lr=1.0), used(lr=2.0)),
    "Model.graph_to_json": (hugectr.Model.graph_to_json, graph_written, used(graph_config_file="b.json")),
    "Model.construct_from_json": (hugectr.Model.construct_from_json, graph_read,
                                  used(graph_config_file="b.json", include_dense_network=False)),
    "DataReader32.set_source": (hugectr.DataReader32.set_source, lambda **given: reading("set_source", **given),
                                used(file_name="c")),
    "DataReader32.set_file_list_source": (hugectr.DataReader32.set_file_list_source,
                                          lambda **given: reading("set_file_list_source", **given),
                                          used(file_list="c")),
    "Mappings": (tools.Mappings, lambda **given: mappings(**given).to_json(),
                 used(labels=(LabelEncoder("z"),), numeric=(), categorical=())),
    "Mappings.save": (tools.Mappings.save, mappings_saved, used(path="b.json")),
    "Mappings.load": (tools.Mappings.load, mappings_loaded, used(path="b.json")),
    "Mappings.encode": (tools.Mappings.encode, encoded, {
        **used(batch=UNKNOWN_BATCH, labeled=False),
        "first_row": (5, USED, {"batch": UNKNOWN_BATCH}),
    }),
})  # fmt: skip


LAYERS: dict[str, tuple[Any, list[str], Any, dict[str, Any]]] = {
    "factor": (hugectr.BatchNorm, ["dense"], 0.5, {}),
    "eps": (hugectr.BatchNorm, ["dense"], 0.5, {}),
    "gamma_init_type": (hugectr.BatchNorm, ["dense"], hugectr.Initializer_t.Zero, {}),
    "beta_init_type": (hugectr.BatchNorm, ["dense"], hugectr.Initializer_t.Uniform, {}),
    "dropout_rate": (hugectr.Dropout, ["dense"], 0.25, {}),
    "elu_alpha": (hugectr.ELU, ["dense"], 0.25, {}),
    "num_output": (hugectr.InnerProduct, ["dense"], 5, {}),
    "weight_init_type": (hugectr.InnerProduct, ["dense"], hugectr.Initializer_t.Zero, {"num_output": 2}),
    "bias_init_type": (hugectr.InnerProduct, ["dense"], hugectr.Initializer_t.Uniform, {"num_output": 2}),
    "num_layers": (hugectr.MultiCross, ["dense"], 2, {}),
    "leading_dim": (hugectr.Reshape, ["e"], 8, {}),
    "time_step": (hugectr.Reshape, ["e"], 2, {"leading_dim": 4}),
    "selected": (hugectr.Reshape, ["e"], True, {"selected_slots": [1]}),
    "selected_slots": (hugectr.Reshape, ["e"], [1], {"selected": True}),
    "ranges": (hugectr.Slice, ["dense"], [(0, 1)], {}),
    "indices": (hugectr.Gather, ["dense"], [1, 0], {}),
    "weight_dims": (hugectr.WeightMultiply, ["dense"], [2, 3], {}),
    "out_dim": (hugectr.FmOrder2, ["dense"], 1, {}),
    "axis": (hugectr.ReduceSum, ["e"], 2, {}),
    "use_regularizer": (hugectr.BinaryCrossEntropyLoss, ["one", "label"], True, {"lambda_": 0.1}),
    "regularizer_type": (hugectr.BinaryCrossEntropyLoss, ["one", "label"], hugectr.Regularizer_t.L2,
                         {"lambda_": 0.1, "use_regularizer": True}),
    "lambda_": (hugectr.BinaryCrossEntropyLoss, ["one", "label"], 0.1, {"use_regularizer": True}),
    "target_weight_vec": (hugectr.MultiCrossEntropyLoss, ["one", "label"], [2.0], {}),
    "pos_type": (hugectr.FusedInnerProduct, ["dense"], hugectr.FcPosition_t.Head, {"num_output": 2}),
    "act_type": (hugectr.FusedInnerProduct, ["dense"], hugectr.Activation_t.Non, {"num_output": 2}),
    "batchsize": (hugectr.GRU, ["dense"], 3, {"vector_size": 2}),
    "SeqLength": (hugectr.GRU, ["e"], 2, {"vector_size": 4}),
    "vector_size": (hugectr.GRU, ["dense"], 2, {}),
    "projection_dim": (hugectr.MultiCross, ["dense"], 2, {"num_layers": 1}),
    "num_outputs": (hugectr.MLP, ["dense"], [3], {}),
    "use_bias": (hugectr.MLP, ["dense"], False, {"num_outputs": [3]}),
    "activations": (hugectr.MLP, ["dense"], [hugectr.Activation_t.Non], {"num_outputs": [3]}),
    "biases": (hugectr.MLP, ["dense"], [False], {"num_outputs": [3]}),
    "max_sequence_len_from": (hugectr.SequenceMask, ["one", "one"], 3, {}),
    "max_sequence_len_to": (hugectr.SequenceMask, ["one", "one"], 3, {}),
    "dim": (hugectr.Select, ["e"], 2, {"index": [0]}),
    "index": (hugectr.Select, ["e"], [0], {"dim": 2}),
    "num_attention_heads": (hugectr.MultiHeadAttention, ["e", "e", "e"], 2, {}),
    "shape": (hugectr.Reshape, ["e"], [-1, 2], {}),
}  # fmt: skip
