# SPDX-License-Identifier: Apache-2.0
"""The script families of the samples, spelled as these spell them, on data that look like theirs."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any, Optional

import hugectr
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hugectr._core import default_device
from hugectr.tools import DataGenerator, DataGeneratorParams

from compat import small_data

Layer, Kind = hugectr.DenseLayer, hugectr.Layer_t
HASH = hugectr.Embedding_t.DistributedSlotSparseEmbeddingHash
LOCALIZED = hugectr.Embedding_t.LocalizedSlotSparseEmbeddingHash


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def generated(**given: Any) -> DataGeneratorParams:
    values = dict(format=hugectr.DataReaderType_t.Norm, label_dim=1, dense_dim=13, num_slot=4, i64_input_key=False,
                  source="./data/file_list.txt", eval_source="./data/file_list_test.txt",
                  slot_size_array=[100, 30, 20, 50], check_type=hugectr.Check_t.Sum, num_files=2, eval_num_files=1,
                  num_samples_per_file=400)  # fmt: skip
    params = DataGeneratorParams(**{**values, **given})
    DataGenerator(params).generate()
    return params


def metric_names(model: hugectr.Model) -> list[str]:
    return [name for name, _ in model.get_eval_metrics()]


def test_criteo() -> None:
    params = generated()
    solver = hugectr.CreateSolver(max_eval_batches=2, batchsize_eval=100, batchsize=100, lr=0.001, vvgpu=[[0]],
                                  repeat_dataset=True)  # fmt: skip
    reader = hugectr.DataReaderParams(data_reader_type=params.format, source=[params.source],
                                      eval_source=params.eval_source, check_type=params.check_type)  # fmt: skip
    optimizer = hugectr.CreateOptimizer(optimizer_type=hugectr.Optimizer_t.Adam, update_type=hugectr.Update_t.Local,
                                        beta1=0.9, beta2=0.999, epsilon=0.0000001)  # fmt: skip
    model = hugectr.Model(solver, reader, optimizer)
    model.add(
        hugectr.Input(label_dim=1, label_name="label", dense_dim=params.dense_dim, dense_name="dense",
                      data_reader_sparse_param_array=[
                          hugectr.DataReaderSparseParam("data1", 2, False, params.num_slot)]))  # fmt: skip
    model.add(
        hugectr.SparseEmbedding(embedding_type=HASH, workspace_size_per_gpu_in_mb=1, embedding_vec_size=8,
                                combiner="sum", sparse_embedding_name="sparse_embedding1", bottom_name="data1",
                                optimizer=optimizer))  # fmt: skip
    model.add(
        Layer(layer_type=Kind.Reshape, bottom_names=["sparse_embedding1"], top_names=["reshape1"], leading_dim=32)
    )
    model.add(Layer(layer_type=Kind.InnerProduct, bottom_names=["reshape1"], top_names=["fc1"], num_output=20))
    model.add(Layer(layer_type=Kind.ReLU, bottom_names=["fc1"], top_names=["relu1"]))
    model.add(Layer(layer_type=Kind.InnerProduct, bottom_names=["relu1"], top_names=["fc4"], num_output=1))
    model.add(Layer(layer_type=Kind.BinaryCrossEntropyLoss, bottom_names=["fc4", "label"], top_names=["loss"]))
    model.compile()
    model.summary()
    history = model.fit(max_iter=20, display=5, eval_interval=10, snapshot=1000000, snapshot_prefix="criteo")
    assert len(history.loss) == 3 and not list(Path().glob("criteo*"))


def wide_and_deep(reader: hugectr.DataReaderParams, **solver: Any) -> hugectr.Model:
    model = hugectr.Model(
        hugectr.CreateSolver(max_eval_batches=2, batchsize_eval=50, batchsize=50, lr=0.01, vvgpu=[[0]], **solver),
        reader,
        hugectr.CreateOptimizer(optimizer_type=hugectr.Optimizer_t.Adam, update_type=hugectr.Update_t.Global),
    )
    model.add(
        hugectr.Input(label_dim=1, label_name="label", dense_dim=13, dense_name="dense",
                      data_reader_sparse_param_array=[
                          hugectr.DataReaderSparseParam("wide_data", 30, True, 1),
                          hugectr.DataReaderSparseParam("deep_data", nnz_per_slot=[2, 1, 1], is_fixed_length=False,
                                                        slot_num=3)]))  # fmt: skip
    model.add(hugectr.SparseEmbedding(embedding_type=HASH, workspace_size_per_gpu_in_mb=1, embedding_vec_size=1,
                                      combiner="sum", sparse_embedding_name="sparse_embedding2",
                                      bottom_name="wide_data"))  # fmt: skip
    model.add(hugectr.SparseEmbedding(bottom_name="deep_data", sparse_embedding_name="sparse_embedding1",
                                      combiner="sum", embedding_vec_size=8, workspace_size_per_gpu_in_mb=1,
                                      embedding_type=HASH))  # fmt: skip
    model.add(
        Layer(layer_type=Kind.Reshape, bottom_names=["sparse_embedding1"], top_names=["reshape1"], leading_dim=24)
    )
    model.add(Layer(layer_type=Kind.Reshape, bottom_names=["sparse_embedding2"], top_names=["reshape2"], leading_dim=1))
    model.add(Layer(layer_type=Kind.ReduceSum, bottom_names=["reshape2"], top_names=["wide_redn"], axis=1))
    model.add(Layer(layer_type=Kind.Concat, bottom_names=["reshape1", "dense"], top_names=["concat1"]))
    model.add(Layer(layer_type=Kind.InnerProduct, bottom_names=["concat1"], top_names=["fc1"], num_output=16))
    model.add(Layer(layer_type=Kind.ReLU, bottom_names=["fc1"], top_names=["relu1"]))
    model.add(Layer(layer_type=Kind.Dropout, bottom_names=["relu1"], top_names=["dropout1"], dropout_rate=0.5))
    model.add(Layer(layer_type=Kind.InnerProduct, bottom_names=["dropout1"], top_names=["fc3"], num_output=1))
    model.add(Layer(layer_type=Kind.Add, bottom_names=["fc3", "wide_redn"], top_names=["add1"]))
    model.add(Layer(layer_type=Kind.BinaryCrossEntropyLoss, bottom_names=["add1", "label"], top_names=["loss"]))
    return model


@pytest.mark.parametrize("solver", [{}, {"use_mixed_precision": True, "scaler": 1024}])
def test_wide_and_deep_with_exports(solver: dict[str, Any]) -> None:
    params = generated(nnz_array=[2, 1, 1, 1])
    reader = hugectr.DataReaderParams(data_reader_type=hugectr.DataReaderType_t.Norm, source=[params.source],
                                      eval_source=params.eval_source, check_type=hugectr.Check_t.Sum)  # fmt: skip
    wide_and_deep(reader, **solver).graph_to_json("wdl.json")
    model = hugectr.Model(hugectr.CreateSolver(batchsize=50, batchsize_eval=50, **solver), reader,
                          hugectr.CreateOptimizer())  # fmt: skip
    model.construct_from_json(graph_config_file="wdl.json", include_dense_network=True)
    model.compile()
    model.start_data_reading()
    lr_sch = model.get_learning_rate_scheduler()
    for i in range(11):
        model.set_learning_rate(lr_sch.get_next())
        model.train(False)
        if i % 5 == 0:
            assert isinstance(model.get_current_loss(), float)
            for _ in range(2):
                model.eval()
                model.export_predictions("prediction" + str(i), "label" + str(i))
            assert len(np.loadtxt("prediction" + str(i))) == len(np.loadtxt("label" + str(i))) == 100
            assert f"{model.get_eval_metrics()}".startswith("[('AUC', 0.")
    model.save_params_to_files("wdl")
    assert {path.name for path in Path().glob("wdl*.model")} == {
        "wdl_dense_0.model", "wdl_opt_dense_0.model", "wdl0_sparse_0.model", "wdl1_sparse_0.model",
        "wdl0_opt_sparse_0.model", "wdl1_opt_sparse_0.model"}  # fmt: skip
    model.load_sparse_weights({"sparse_embedding1": "wdl1_sparse_0.model"})
    model.freeze_embedding("sparse_embedding1")
    model.reset_learning_rate_scheduler(base_lr=0.001)
    assert model.train()


def test_wide_and_deep_of_parquet() -> None:
    params = generated(format=hugectr.DataReaderType_t.Parquet, i64_input_key=True)
    reader = hugectr.DataReaderParams(data_reader_type=params.format, source=[params.source],
                                      eval_source=params.eval_source, check_type=hugectr.Check_t.Non,
                                      slot_size_array=np.array(params.slot_size_array))  # fmt: skip
    model = wide_and_deep(reader, i64_input_key=True)
    model.compile()
    assert len(model.fit(max_iter=12, display=5, eval_interval=10, snapshot=1000000).evaluations) == 1


@pytest.mark.parametrize("explicit", [True, False])
def test_deep_and_cross(explicit: bool) -> None:
    """Copies by Slice until 3.2, and tensors with several consumers since 3.3; over four devices of two nodes."""
    params = generated()
    solver = hugectr.CreateSolver(batchsize=80, batchsize_eval=80, max_eval_batches=2, vvgpu=[[0, 1], [0, 1]], seed=3)
    reader = hugectr.DataReaderParams(hugectr.DataReaderType_t.Norm, [params.source], eval_source=params.eval_source,
                                      check_type=hugectr.Check_t.Sum)  # fmt: skip
    model = hugectr.Model(solver, reader, hugectr.CreateOptimizer())
    model.add(hugectr.Input(1, "label", 13, "dense", [hugectr.DataReaderSparseParam("data1", 2, False, 4)]))
    model.add(hugectr.SparseEmbedding(LOCALIZED, 1, 4, "sum", "sparse_embedding1", "data1"))
    model.add(
        Layer(layer_type=Kind.Reshape, bottom_names=["sparse_embedding1"], top_names=["reshape1"], leading_dim=16)
    )
    model.add(Layer(layer_type=Kind.Concat, bottom_names=["reshape1", "dense"], top_names=["concat1"]))
    one, two = ("slice11", "slice12") if explicit else ("concat1", "concat1")
    if explicit:
        model.add(Layer(layer_type=Kind.Slice, bottom_names=["concat1"], top_names=["slice11", "slice12"],
                        ranges=[(0, 29), (0, 29)]))  # fmt: skip
    model.add(Layer(layer_type=Kind.MultiCross, bottom_names=[one], top_names=["multicross1"], num_layers=6))
    model.add(Layer(layer_type=Kind.InnerProduct, bottom_names=[two], top_names=["fc1"], num_output=8))
    model.add(Layer(layer_type=Kind.ReLU, bottom_names=["fc1"], top_names=["relu1"]))
    model.add(Layer(layer_type=Kind.Concat, bottom_names=["relu1", "multicross1"], top_names=["concat2"]))
    model.add(Layer(layer_type=Kind.InnerProduct, bottom_names=["concat2"], top_names=["fc3"], num_output=1))
    model.add(Layer(layer_type=Kind.BinaryCrossEntropyLoss, bottom_names=["fc3", "label"], top_names=["loss"]))
    model.compile()
    assert np.isfinite(model.fit(max_iter=11, display=5, eval_interval=5, snapshot=0).loss).all()


def test_factorization_machine() -> None:
    params = generated()
    model = hugectr.Model(
        hugectr.CreateSolver(batchsize=50, batchsize_eval=50, max_eval_batches=2),
        hugectr.DataReaderParams(hugectr.Norm, params.source, eval_source=params.eval_source, check_type=hugectr.Sum),
        hugectr.CreateOptimizer())  # fmt: skip
    model.add(hugectr.Input(1, "label", 13, "dense", [hugectr.DataReaderSparseParam("data1", 2, False, 4)]))
    model.add(hugectr.SparseEmbedding(HASH, 1, 11, "sum", "sparse_embedding1", "data1"))
    for layer in [
        Layer(layer_type=Kind.Reshape, bottom_names=["sparse_embedding1"], top_names=["reshape1"], leading_dim=11),
        Layer(layer_type=Kind.Slice, bottom_names=["reshape1"], top_names=["slice11", "slice12"],
              ranges=[(0, 10), (10, 11)]),
        Layer(layer_type=Kind.Reshape, bottom_names=["slice11"], top_names=["reshape2"], leading_dim=40),
        Layer(layer_type=Kind.Reshape, bottom_names=["slice12"], top_names=["reshape3"], leading_dim=4),
        Layer(layer_type=Kind.WeightMultiply, bottom_names=["dense"], top_names=["weight_multiply1"],
              weight_dims=[13, 10]),
        Layer(layer_type=Kind.WeightMultiply, bottom_names=["dense"], top_names=["weight_multiply2"],
              weight_dims=[13, 1]),
        Layer(layer_type=Kind.Concat, bottom_names=["reshape2", "weight_multiply1"], top_names=["concat1"]),
        Layer(layer_type=Kind.InnerProduct, bottom_names=["concat1"], top_names=["fc1"], num_output=1),
        Layer(layer_type=Kind.FmOrder2, bottom_names=["concat1"], top_names=["fmorder2"], out_dim=10),
        Layer(layer_type=Kind.ReduceSum, bottom_names=["fmorder2"], top_names=["reducesum1"], axis=1),
        Layer(layer_type=Kind.Concat, bottom_names=["reshape3", "weight_multiply2"], top_names=["concat2"]),
        Layer(layer_type=Kind.ReduceSum, bottom_names=["concat2"], top_names=["reducesum2"], axis=1),
        Layer(layer_type=Kind.Add, bottom_names=["fc1", "reducesum1", "reducesum2"], top_names=["add"]),
        Layer(layer_type=Kind.BinaryCrossEntropyLoss, bottom_names=["add", "label"], top_names=["loss"]),
    ]:  # fmt: skip
        model.add(layer)
    model.compile()
    assert len(model.fit(max_iter=11, display=5, eval_interval=5, snapshot=0).loss) == 2


SIZES = [20, 5, 100, 8]


def test_dlrm_by_hand_in_epochs() -> None:
    """Raw data without float_label_dense; the readers are given their files one after another."""
    folder = Path("raw")
    files = [small_data.raw(folder, SIZES, name) for name in ("train", "more", "test")]
    solver = hugectr.CreateSolver(max_eval_batches=4, batchsize_eval=24, batchsize=32, lr=0.5, warmup_steps=8000,
                                  decay_start=48000, decay_steps=24000, decay_power=2.0, end_lr=0,
                                  repeat_dataset=False)  # fmt: skip
    reader = hugectr.DataReaderParams(data_reader_type=hugectr.DataReaderType_t.Raw, source=[files[0]],
                                      eval_source=files[2], num_samples=small_data.SAMPLES,
                                      eval_num_samples=small_data.SAMPLES, check_type=hugectr.Check_t.Non)  # fmt: skip
    sgd = hugectr.CreateOptimizer(optimizer_type=hugectr.Optimizer_t.SGD, update_type=hugectr.Update_t.Local,
                                  atomic_update=True)  # fmt: skip
    model = hugectr.Model(solver, reader, sgd)
    add_dlrm(model, hugectr.Embedding_t.LocalizedSlotSparseEmbeddingOneHot)
    model.compile()
    lr_sch, train, test = (
        model.get_learning_rate_scheduler(), model.get_data_reader_train(), model.get_data_reader_eval())  # fmt: skip
    test.set_source(files[2])
    for file in files[:2]:
        train.set_source(file)
        steps = 0
        while True:
            model.set_learning_rate(lr_sch.get_next())
            if model.train() == False:  # noqa: E712, as scripts write it
                break
            steps += 1
        assert steps == small_data.SAMPLES // 32
        while model.eval():
            pass
        test.set_source()
        assert metric_names(model) == ["AUC"]


def add_dlrm(model: hugectr.Model, kind: Any, **embedding: Any) -> None:
    model.add(hugectr.Input(label_dim=1, label_name="label", dense_dim=small_data.DENSE, dense_name="dense",
                            data_reader_sparse_param_array=[
                                hugectr.DataReaderSparseParam("data1", 2, False, len(SIZES))]))  # fmt: skip
    model.add(hugectr.SparseEmbedding(embedding_type=kind, slot_size_array=SIZES, workspace_size_per_gpu_in_mb=10,
                                      embedding_vec_size=4, combiner="sum", sparse_embedding_name="sparse_embedding1",
                                      bottom_name="data1", **embedding))  # fmt: skip
    model.add(Layer(layer_type=Kind.InnerProduct, bottom_names=["dense"], top_names=["fc1"], num_output=4))
    model.add(Layer(layer_type=Kind.ReLU, bottom_names=["fc1"], top_names=["relu1"]))
    model.add(
        Layer(layer_type=Kind.Interaction, bottom_names=["relu1", "sparse_embedding1"], top_names=["interaction1"])
    )
    model.add(Layer(layer_type=Kind.InnerProduct, bottom_names=["interaction1"], top_names=["fc4"], num_output=1))
    model.add(Layer(layer_type=Kind.BinaryCrossEntropyLoss, bottom_names=["fc4", "label"], top_names=["loss"]))


@pytest.mark.parametrize("param", [None, 8, 10])
def test_dlrm_of_the_benchmarks(param: Optional[int]) -> None:
    """Its options tune GPUs; positions of dense layers are buffers there. It trains what its layers say."""
    file = small_data.raw(Path("raw"), SIZES)
    types = (hugectr.CommunicationType.NVLink_SingleNode, hugectr.HybridEmbeddingType.Distributed)
    numbers = (len(SIZES) * 4, -1, 0.01, 1.3e11, 2.6e11, 1.0)
    embedding: dict[str, Any] = {}
    if param:
        extra = (True, True) if param == 10 else ()
        embedding["hybrid_embedding_param"] = hugectr.HybridEmbeddingParam(*numbers, *extra, *types)
    model = hugectr.ModelPerfExt(
        hugectr.CreateSolver(
            max_eval_batches=2, batchsize_eval=16 + 16, batchsize=32, lr=24.0, warmup_steps=2750, decay_start=49315,
            decay_steps=27772, decay_power=2.0, end_lr=0.0, vvgpu=[[0]], repeat_dataset=True,
            use_mixed_precision=True, scaler=1024, use_cuda_graph=False, async_mlp_wgrad=True, gen_loss_summary=False,
            overlap_lr=True, overlap_init_wgrad=True, overlap_ar_a2a=True, use_holistic_cuda_graph=True,
            use_overlapped_pipeline=True, all_reduce_algo=hugectr.AllReduceAlgo.OneShot, grouped_all_reduce=False,
            num_iterations_statistics=20, metrics_spec={hugectr.MetricsType.AUC: 0.8025}, is_dlrm=True),
        hugectr.DataReaderParams(
            data_reader_type=hugectr.DataReaderType_t.RawAsync, source=[file], eval_source=file,
            check_type=hugectr.Check_t.Non, num_samples=small_data.SAMPLES, eval_num_samples=small_data.SAMPLES,
            cache_eval_data=50, slot_size_array=SIZES,
            async_param=hugectr.AsyncParam(32, 4, 716800, 2, 512, True, hugectr.Alignment_t.Non)),
        hugectr.CreateOptimizer(optimizer_type=hugectr.Optimizer_t.SGD, update_type=hugectr.Update_t.Local,
                                atomic_update=True))  # fmt: skip
    model.add(
        hugectr.Input(1, "label", small_data.DENSE, "dense", [hugectr.DataReaderSparseParam("data1", 1, True, 4)])
    )
    model.add(hugectr.SparseEmbedding(embedding_type=hugectr.Embedding_t.HybridSparseEmbedding,
                                      slot_size_array=SIZES, workspace_size_per_gpu_in_mb=1500, embedding_vec_size=8,
                                      combiner="sum", sparse_embedding_name="sparse_embedding1", bottom_name="data1",
                                      **embedding))  # fmt: skip
    fused, position = Kind.FusedInnerProduct, hugectr.FcPosition_t
    switches = hugectr.DenseLayerSwitchs(True)
    names = [[f"fc{i}1", f"fc{i}2", f"fc{i}3", f"fc{i}4"] for i in range(3)]
    for layer in [
        Layer(fused, ["dense"], names[0], num_output=16, pos_type=position.Head, dense_layer_switches=switches),
        Layer(fused, names[0], "fc3", num_output=8, pos_type=position.Tail),
        Layer(Kind.Interaction, ["fc3", "sparse_embedding1"], ["interaction1", "interaction1_grad"]),
        Layer(fused, ["interaction1", "interaction1_grad"], names[1], num_output=16, pos_type=position.Head),
        Layer(fused, names[1], names[2], num_output=16, pos_type=position.Body),
        Layer(fused, names[2], ["fc8"], num_output=1, pos_type=position.Tail, act_type=hugectr.Activation_t.Non),
        Layer(Kind.BinaryCrossEntropyLoss, ["fc8", "label"], ["loss"]),
    ]:
        model.add(layer)
    model.graph_to_json("dlrm.json")
    model.compile()
    model.summary()
    model.fit(max_iter=11, display=5, eval_interval=5, snapshot=2000000)
    assert np.isfinite(model.get_current_loss())
    assert "HybridSparseEmbedding" in Path("dlrm.json").read_text()


def test_tower_of_fused_layers() -> None:
    file = small_data.raw(Path("raw"), SIZES)
    model = hugectr.Model(
        hugectr.CreateSolver(batchsize=32, batchsize_eval=32, max_eval_batches=2),
        hugectr.DataReaderParams(hugectr.Raw, file, eval_source=file, check_type=hugectr.Check_t.Non),
        hugectr.CreateOptimizer(hugectr.SGD))  # fmt: skip
    model.add(
        hugectr.Input(1, "label", small_data.DENSE, "dense", [hugectr.DataReaderSparseParam("data1", 1, True, 4)])
    )
    model.add(hugectr.GroupDenseLayer(group_layer_type=hugectr.GroupLayer_t.GroupFusedInnerProduct,
                                      bottom_name=["dense"], top_name_list=["fc1", "fc2"], num_outputs=[8, 1],
                                      last_act_type=hugectr.Activation_t.Non))  # fmt: skip
    model.add(Layer(Kind.BinaryCrossEntropyLoss, ["fc2", "label"], ["loss"]))
    model.compile()
    assert len(model.fit(max_iter=6, display=5, eval_interval=5, snapshot=0).loss) == 1


def test_movie_lens() -> None:
    """Ends of ranges are written as if they were included, so that columns are left out."""
    params = generated(num_slot=2, slot_size_array=[60, 40], dense_dim=1)
    model = hugectr.Model(
        hugectr.CreateSolver(max_eval_batches=4, batchsize_eval=100, batchsize=100, lr=0.005, vvgpu=[[0]],
                             metrics_spec={hugectr.MetricsType.HitRate: 0.8, hugectr.MetricsType.AverageLoss: 0.0,
                                           hugectr.MetricsType.AUC: 1.0}, repeat_dataset=False),
        hugectr.DataReaderParams(data_reader_type=hugectr.DataReaderType_t.Norm, source=[params.source],
                                 eval_source=params.eval_source, check_type=hugectr.Check_t.Sum, num_workers=10),
        hugectr.CreateOptimizer(optimizer_type=hugectr.Optimizer_t.Adam, update_type=hugectr.Update_t.Global,
                                beta1=0.25, beta2=0.5, epsilon=0.0000001))  # fmt: skip
    model.add(hugectr.Input(1, "label", 1, "dense", [hugectr.DataReaderSparseParam("data", 1, True, 2)]))
    model.add(hugectr.SparseEmbedding(HASH, 1, 16, "sum", "gmf_embedding", "data"))
    for layer in [
        Layer(Kind.Reshape, ["gmf_embedding"], ["reshape1"], leading_dim=32),
        Layer(Kind.Slice, ["reshape1"], ["user", "item"], ranges=[(0, 15), (16, 31)]),
        Layer(Kind.DotProduct, ["user", "item"], ["multiply1"]),
        Layer(Kind.InnerProduct, ["multiply1"], ["gmf_out"], num_output=1),
        Layer(Kind.BinaryCrossEntropyLoss, ["gmf_out", "label"], ["loss"]),
    ]:
        model.add(layer)
    model.compile()
    history = model.fit(num_epochs=3, display=2, eval_interval=4, snapshot=1000000)
    assert list(history.evaluations[-1][1]) == ["AUC", "AverageLoss", "HitRate"]


def test_multi_task_with_more_rows_than_samples() -> None:
    """Reshape makes rows of another number than the batch, and a loss takes the first of them."""
    random, rows = np.random.default_rng(4), 800
    for name in ("train", "val"):
        Path(name).mkdir()
        table = pa.table({"labelA": pa.array(random.integers(0, 2, rows), pa.float32()),
                          "labelB": pa.array(random.integers(0, 2, rows), pa.float32()),
                          "dense": pa.array(random.random(rows), pa.float32()),
                          "C1": random.integers(0, 50, rows), "C2": random.integers(0, 20, rows)})  # fmt: skip
        pq.write_table(table, f"{name}/0.parquet")
        named = [{"col_name": column, "index": i} for i, column in enumerate(table.column_names)]
        Path(f"{name}/_metadata.json").write_text(json.dumps(
            {"file_stats": [{"file_name": "0.parquet", "num_rows": rows}], "labels": named[:2], "conts": named[2:3],
             "cats": named[3:]}))  # fmt: skip
        Path(f"{name}/list.txt").write_text(f"1\n{name}/0.parquet\n")
    model = hugectr.Model(
        hugectr.CreateSolver(max_eval_batches=2, batchsize_eval=400, batchsize=400, lr=0.001, vvgpu=[[0]],
                             i64_input_key=True, metrics_spec={hugectr.MetricsType.AverageLoss: 0.0},
                             repeat_dataset=False),
        hugectr.DataReaderParams(data_reader_type=hugectr.DataReaderType_t.Parquet, source="train/list.txt",
                                 eval_source="val/list.txt", check_type=hugectr.Check_t.Non, slot_size_array=[50, 20]),
        hugectr.CreateOptimizer(beta1=0.25, beta2=0.5))  # fmt: skip
    model.add(
        hugectr.Input(
            label_dims=[1, 1],
            label_names=["labelA", "labelB"],
            dense_dim=1,
            dense_name="dense",
            data_reader_sparse_param_array=[hugectr.DataReaderSparseParam("data", 1, True, 2)],
        )
    )
    model.add(hugectr.SparseEmbedding(LOCALIZED, 24, 16, "sum", "sparse_embedding", "data"))
    layers = [Layer(Kind.Reshape, ["sparse_embedding"], ["reshape_embedding"], leading_dim=128),
              Layer(Kind.Slice, ["reshape_embedding"], ["shared_A", "shared_B"],
                    ranges=[(0, 127), (0, 127)])]  # fmt: skip
    for task in "AB":
        layers += [Layer(Kind.Reshape, [f"shared_{task}"], [f"rows_{task}"], leading_dim=10),
                   Layer(Kind.InnerProduct, [f"rows_{task}"], [f"fc_{task}"], num_output=1)]  # fmt: skip
    for task in "AB":
        layers.append(Layer(Kind.BinaryCrossEntropyLoss, [f"fc_{task}", f"label{task}"], [f"loss{task}"]))
    for layer in layers:
        model.add(layer)
    model.compile(loss_names=["labelA", "labelB"], loss_weights=[0.5, 0.5])
    model.summary()
    history = model.fit(num_epochs=2, display=1, eval_interval=1, snapshot=1000000)
    assert history.evaluations and all(np.isfinite(loss) for _, loss in history.loss)


def test_a_thread_and_the_document_of_a_session() -> None:
    """As the tests of several nodes do it: a model in a thread, from a training JSON of all clauses."""
    if default_device() != "cpu":
        pytest.skip("one GPU has one rank")
    params = generated(nnz_array=[2, 1, 1, 1])
    layers = [
        {"name": "data", "type": "Data", "source": params.source, "eval_source": params.eval_source, "check": "Sum",
         "format": "Norm", "label": {"top": "label", "label_dim": 1}, "dense": {"top": "dense", "dense_dim": 13},
         "sparse": [{"top": "data1", "slot_num": 4, "is_fixed_length": False, "nnz_per_slot": 2}]},
        {"name": "sparse_embedding1", "type": "LocalizedSlotSparseEmbeddingHash", "bottom": "data1", "top": "e",
         "sparse_embedding_hparam": {"workspace_size_per_gpu_in_mb": 1, "embedding_vec_size": 8, "combiner": "sum"}},
        {"name": "reshape1", "type": "Reshape", "bottom": "e", "top": "reshape1", "leading_dim": 32},
        {"name": "concat1", "type": "Concat", "bottom": ["reshape1", "dense"], "top": "concat1"},
        {"name": "fc1", "type": "FusedInnerProduct", "bottom": "concat1", "top": "fc1", "fc_param": {"num_output": 8}},
        {"name": "dropout1", "type": "Dropout", "rate": 0.5, "bottom": "fc1", "top": "dropout1"},
        {"name": "fc2", "type": "InnerProduct", "bottom": "dropout1", "top": "fc2", "fc_param": {"num_output": 1}},
        {"name": "loss", "type": "BinaryCrossEntropyLoss", "bottom": ["fc2", "label"], "top": "loss"}]  # fmt: skip
    hparam = {"learning_rate": 0.001, "momentum_factor": 0.9, "end_lr": 0}
    document = {"solver": {"lr_policy": "fixed", "gpu": [[0, 1], [2, 3]]}, "layers": layers,
                "optimizer": {"type": "MomentumSGD", "momentum_sgd_hparam": hparam}}  # fmt: skip
    Path("model.json").write_text(json.dumps(document))
    results: list[float] = []

    def work() -> None:
        solver = hugectr.CreateSolver(batchsize=80, batchsize_eval=80, max_eval_batches=2, vvgpu=[[0], [0]], scaler=1)
        reader = hugectr.DataReaderParams(hugectr.Norm, [params.source], eval_source=params.eval_source,
                                          check_type=hugectr.Check_t.Sum)  # fmt: skip
        model = hugectr.Model(solver, reader, hugectr.CreateOptimizer())
        model.construct_from_json(graph_config_file="model.json", include_dense_network=True)
        model.compile()
        model.summary()
        model.fit(max_iter=11, display=5, eval_interval=10, snapshot=0)
        for _ in range(2):
            model.eval()
        results.append(model.get_eval_metrics()[0][1])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(120)
    assert len(results) == 1 and 0 <= results[0] <= 1


def test_layers_after_a_frozen_graph() -> None:
    """Input and embeddings of a file, with a dense network of one's own, as the notebook of Criteo does it."""
    params = generated(nnz_array=[2, 1, 1, 1])
    reader = hugectr.DataReaderParams(hugectr.Norm, [params.source], eval_source=params.eval_source,
                                      check_type=hugectr.Check_t.Sum)  # fmt: skip
    first = wide_and_deep(reader)
    first.compile()
    first.summary()
    first.graph_to_json(graph_config_file="wdl.json")
    first.fit(max_iter=11, display=5, eval_interval=5, snapshot=10, snapshot_prefix="wdl")
    model = hugectr.Model(hugectr.CreateSolver(batchsize=50, batchsize_eval=50), reader, hugectr.CreateOptimizer())
    model.construct_from_json(graph_config_file="wdl.json", include_dense_network=False)
    model.add(Layer(Kind.Reshape, ["sparse_embedding1"], ["deep"], leading_dim=24))
    model.add(Layer(Kind.Reshape, ["sparse_embedding2"], ["wide"], leading_dim=1))
    model.add(Layer(Kind.InnerProduct, ["deep"], ["fc1"], num_output=1))
    model.add(Layer(Kind.Add, ["fc1", "wide"], ["fc"]))
    model.add(Layer(Kind.BinaryCrossEntropyLoss, ["fc", "label"], ["loss"]))
    model.compile()
    model.load_sparse_weights(["wdl0_sparse_10.model", "wdl1_sparse_10.model"])
    model.freeze_embedding()
    model.unfreeze_embedding("sparse_embedding1")
    model.fit(max_iter=6, display=5, eval_interval=5, snapshot=0)
    del first
    assert metric_names(model) == ["AUC"]
