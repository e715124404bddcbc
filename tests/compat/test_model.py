# SPDX-License-Identifier: Apache-2.0
"""What Model asks of the native engine, with an engine that only records."""

import gc
import json
import re
import sys
from typing import Any

import hugectr
import pytest
from hugectr import _core
from hugectr.errors import FileError, HugectrError, InvalidArgumentError, UnsupportedError

from compat.fake_engine import FakeEngine


@pytest.fixture(autouse=True)
def fake_core(monkeypatch: pytest.MonkeyPatch) -> None:
    def check_graph(text: str) -> None:
        for layer in json.loads(text)["layers"]:
            if "nowhere" in layer["bottoms"]:
                raise HugectrError("no tensor nowhere")

    monkeypatch.setattr(_core, "Engine", FakeEngine, raising=False)
    monkeypatch.setattr(_core, "check_graph", check_graph, raising=False)
    monkeypatch.setattr(_core, "graph_to_json", lambda text: text, raising=False)
    monkeypatch.setattr(_core, "graph_from_json", lambda text: text, raising=False)
    monkeypatch.setattr(_core, "graph_summary", lambda text: "no shapes yet", raising=False)


def empty_model() -> hugectr.Model:
    return hugectr.Model(
        hugectr.CreateSolver(),
        hugectr.DataReaderParams(hugectr.Norm, "a", eval_source="b", check_type=hugectr.Sum),
        hugectr.CreateOptimizer(),
    )


def make_model(**solver: Any) -> hugectr.Model:
    model = hugectr.Model(
        hugectr.CreateSolver(batchsize=64, batchsize_eval=64, **solver),
        hugectr.DataReaderParams(
            data_reader_type=hugectr.DataReaderType_t.Norm,
            source=["train.txt"],
            eval_source="test.txt",
            check_type=hugectr.Check_t.Sum,
        ),
        hugectr.CreateOptimizer(),
    )
    model.add(hugectr.Input(1, "label", 2, "dense", [hugectr.DataReaderSparseParam("data", 1, True, 3)]))
    for name in ("wide", "deep"):
        model.add(
            hugectr.SparseEmbedding(hugectr.Embedding_t.DistributedSlotSparseEmbeddingHash, 1, 4, "sum", name, "data")
        )
    model.add(hugectr.DenseLayer(hugectr.InnerProduct, ["dense"], ["fc"], num_output=1))
    model.add(hugectr.DenseLayer(hugectr.BinaryCrossEntropyLoss, ["fc", "label"], ["loss"]))
    return model


def compiled(**solver: Any) -> tuple[hugectr.Model, FakeEngine]:
    model = make_model(**solver)
    model.compile()
    return model, model._engine  # type: ignore[return-value]


def test_document_handed_to_the_engine() -> None:
    _, engine = compiled(model_name="m", seed=2**64 - 1, metrics_spec={hugectr.AUC: 0.8})
    document = engine.spec
    assert document["model_name"] == "m"
    assert document["solver"]["seed"] == 2**64 - 1
    assert document["solver"]["metrics_spec"] == {"AUC": 0.8}
    assert document["solver"]["vvgpu"] == [[0]]
    assert document["reader"]["source"] == ["train.txt"]
    assert document["optimizer"]["type"] == "Adam" and document["optimizer"]["update_type"] == "Global"
    assert document["input"] == {
        "labels": [{"name": "label", "dim": 1, "weight": 1.0}],
        "dense_name": "dense",
        "dense_dim": 2,
        "sparse": [{"name": "data", "nnz_per_slot": [1, 1, 1], "is_fixed_length": True, "max_keys": 3}],
    }
    assert [embedding["name"] for embedding in document["embeddings"]] == ["wide", "deep"]
    assert document["layers"][0] == {
        "type": "InnerProduct", "bottoms": ["dense"], "tops": ["fc"], "params": {"num_output": 1}
    }  # fmt: skip


def test_later_changes_of_arguments_do_not_reach_the_model() -> None:
    solver = hugectr.CreateSolver()
    reader = hugectr.DataReaderParams(hugectr.Parquet, ["a"], eval_source="b", check_type=hugectr.Check_t.Non)
    model = hugectr.Model(solver, reader, hugectr.CreateOptimizer())
    solver.vvgpu[0].append(1)
    reader.source.append("c")
    document = json.loads(model._graph.text())
    assert document["solver"]["vvgpu"] == [[0]] and document["reader"]["source"] == ["a"]


def test_order_of_calls() -> None:
    model = empty_model()
    relu = hugectr.DenseLayer(hugectr.ReLU, ["a"], ["b"])
    with pytest.raises(HugectrError, match="the first part of a model is its Input"):
        model.add(relu)
    with pytest.raises(HugectrError, match=r"compile\(\): the model needs an Input and at least two layers"):
        model.compile()
    with pytest.raises(HugectrError, match=r"summary\(\): the model needs an Input"):
        model.summary()
    for call in (model.fit, model.train, model.get_learning_rate_scheduler().get_next, model.freeze_embedding):
        with pytest.raises(HugectrError, match=r"call compile\(\) first"):
            call()
    model, _ = compiled()
    with pytest.raises(HugectrError, match="parts are added before"):
        model.add(relu)
    with pytest.raises(HugectrError, match="compiled already"):
        model.compile()


def test_a_refused_part_leaves_the_graph_as_it_was() -> None:
    model = make_model()
    before = model._graph.text()
    with pytest.raises(HugectrError, match="nowhere"):
        model.add(hugectr.DenseLayer(hugectr.ReLU, ["nowhere"], ["b"]))
    with pytest.raises(HugectrError, match="already has an Input"):
        model.add(hugectr.Input(1, "y", 0, "x", []))
    with pytest.raises(TypeError, match="'layer' must be Input or SparseEmbedding or DenseLayer or GroupDenseLayer"):
        model.add("ReLU")  # type: ignore[arg-type]
    assert model._graph.text() == before
    model.add(dense_layer=hugectr.DenseLayer(hugectr.ReLU, ["fc"], ["r"]))  # type: ignore[call-arg]
    assert model._graph.text() != before


def test_compile_with_loss_weights() -> None:
    model = make_model()
    with pytest.raises(InvalidArgumentError, match='no label "click"; known: label'):
        model.compile(loss_names=["click"], loss_weights=[1.0])
    with pytest.raises(InvalidArgumentError, match="1 loss_names but 0 loss_weights"):
        model.compile(["label"])
    model.compile(loss_names=["label"], loss_weights=[0.5])
    assert model._engine.spec["input"]["labels"][0]["weight"] == 0.5  # type: ignore[union-attr]


def test_summary_before_and_after_compile(capsys: pytest.CaptureFixture[str]) -> None:
    model = make_model()
    model.summary()
    model.compile()
    model.summary()
    banner = f"{'=' * 53}Model Summary{'=' * 53}\n"
    before, after = capsys.readouterr().out.split("HugeCTR Version: ")
    assert before == f"{banner}no shapes yet\n" and after.endswith(f"\n{banner}a table\n")


def test_fit_arguments() -> None:
    model, engine = compiled()
    model.fit()
    model.fit(2, 300, 20, 100, 0, "out/")
    model.fit(num_epochs=1, max_iter=5, data_source_params=hugectr.data.DataSourceParams())
    assert [call[:-2] for call in engine.calls] == [
        ("fit", 0, 2000, 200, 1000, 10000, "", None),
        ("fit", 2, 300, 20, 100, 0, "out/", None),
        ("fit", 1, 5, 200, 1000, 10000, "", None),
    ]
    model.fit(snapshot_prefix="m/a", data_source_params=hugectr.data.DataSourceParams(True, "host", 9001))
    assert engine.calls[-1][6] == "hdfs://host:9001/m/a"


def test_low_level_calls() -> None:
    model, engine = compiled(i64_input_key=True)
    model.start_data_reading()
    assert model.train() is True and model.train(False) is True and model.eval() is False
    assert model.eval(eval_batch=3) is False  # type: ignore[call-arg]
    assert model.get_current_loss() == 0.5
    assert model.get_eval_metrics() == [("AUC", 0.75), ("AverageLoss", 0.25)]
    scheduler = model.get_learning_rate_scheduler()
    assert (scheduler.get_lr(), scheduler.get_step()) == (0.0, 0)
    assert scheduler.get_next() == 0.125
    assert (scheduler.get_lr(), scheduler.get_step()) == (0.125, 1)
    assert model.set_learning_rate(scheduler.get_lr()) is hugectr.Error_t.Success
    model.reset_learning_rate_scheduler(base_lr=1)
    assert model.export_predictions("p", "l") is hugectr.Error_t.Success
    assert engine.calls[-3:] == [
        ("set_learning_rate", 0.125),
        ("reset_schedule", 1.0, 1, 0, 1, 2.0, 0.0),
        ("export_predictions", "p", "l"),
    ]


def test_readers() -> None:
    model, engine = compiled(i64_input_key=True)
    train, evaluation = model.get_data_reader_train(), model.get_data_reader_eval()
    assert isinstance(train, hugectr.DataReader64)
    assert isinstance(compiled()[0].get_data_reader_eval(), hugectr.DataReader32)
    train.set_source("more.txt")
    evaluation.set_source()
    evaluation.set_file_list_source("test.txt")
    assert train.is_eof() is True and train.is_started() is False
    assert engine.calls == [
        ("reader_start", True, "more.txt"),
        ("reader_start", False, ""),
        ("reader_start", False, "test.txt"),
        ("reader_at_end", True),
        ("reader_started", True),
    ]


def test_set_source() -> None:
    model, engine = compiled(repeat_dataset=False)
    model.set_source("a", "b")
    model.set_source(source="c", eval_source="d")
    assert engine.calls == [("set_source", "a", "b"), ("set_source", "c", "d")]
    with pytest.raises(UnsupportedError, match="training cache"):
        model.set_source(["a", "b"], ["k", "l"], "c")  # type: ignore[misc]
    with pytest.raises(UnsupportedError, match="training cache"):
        model.set_source(source=["a"], keyset=["k"], eval_source="c")
    with pytest.raises(HugectrError, match="repeat_dataset=False"):
        compiled()[0].set_source("a", "b")


def test_saving_and_loading() -> None:
    model, engine = compiled()
    assert model.save_params_to_files("wdl") is hugectr.Error_t.Success
    model.save_params_to_files(prefix="wdl", iter=4000)
    model.load_dense_weights("d")
    model.load_dense_optimizer_states("o")
    model.load_sparse_weights(["0", "1"])
    model.load_sparse_weights({"deep": "1"})
    model.load_sparse_weights(sparse_embedding_files_map={"deep": "1"})  # type: ignore[call-arg]
    model.load_sparse_optimizer_states(["2", "3"])
    assert engine.calls == [
        ("save", "wdl", 0),
        ("save", "wdl", 4000),
        ("load_dense", "d"),
        ("load_dense_optimizer", "o"),
        ("load_sparse", {"wide": "0", "deep": "1"}),
        ("load_sparse", {"deep": "1"}),
        ("load_sparse", {"deep": "1"}),
        ("load_sparse_optimizer", {"wide": "2", "deep": "3"}),
    ]
    with pytest.raises(InvalidArgumentError, match="1 files for 2 embeddings"):
        model.load_sparse_weights(["0"])


def test_freezing() -> None:
    model, engine = compiled()
    model.freeze_dense()
    model.unfreeze_dense()
    model.freeze_embedding()
    model.freeze_embedding("deep")
    model.unfreeze_embedding(embedding_name="deep")
    assert engine.calls == [
        ("freeze_dense", True),
        ("freeze_dense", False),
        ("freeze_embedding", "", True),
        ("freeze_embedding", "deep", True),
        ("freeze_embedding", "deep", False),
    ]


@pytest.mark.parametrize("lr", [-1.0, float("nan"), float("inf"), 1e39])
def test_a_learning_rate_is_a_positive_number(lr: float) -> None:
    with pytest.raises(
        InvalidArgumentError, match=rf"lr must be finite( and not negative)?, got {re.escape(f'{lr:g}')}"
    ):
        compiled()[0].set_learning_rate(lr)


def test_numbers_of_files_are_not_negative() -> None:
    with pytest.raises(InvalidArgumentError, match="iter must not be negative, got -1"):
        compiled()[0].save_params_to_files("wdl", -1)


def test_a_label_is_weighed_once() -> None:
    with pytest.raises(InvalidArgumentError, match="loss_names has a label twice: label"):
        make_model().compile(["label", "label"], [0.5, 0.1])


def test_graph_file(tmp_path: Any) -> None:
    model = make_model()
    model.graph_to_json(tmp_path / "graph.json")
    for include, layers in ((True, 2), (False, 0)):
        copy = empty_model()
        copy.construct_from_json(graph_config_file=str(tmp_path / "graph.json"), include_dense_network=include)
        document = json.loads(copy._graph.text())
        assert len(document["layers"]) == layers and len(document["embeddings"]) == 2
        copy.add(hugectr.DenseLayer(hugectr.ReLU, ["wide"], ["r"]))
        with pytest.raises(HugectrError, match="already has parts"):
            copy.construct_from_json(str(tmp_path / "graph.json"), include)
    with pytest.raises(FileError, match="No such file"):
        empty_model().construct_from_json(str(tmp_path / "none.json"), True)
    with pytest.raises(OSError, match="No such file"):
        model.graph_to_json(str(tmp_path / "none" / "graph.json"))


@pytest.mark.parametrize("keyword", ["etc", "etc_params", "mos", "mos_params"])
def test_training_cache_is_refused_by_any_name(keyword: str) -> None:
    arguments = (
        hugectr.CreateSolver(),
        hugectr.DataReaderParams(hugectr.Norm, "a", eval_source="b", check_type=hugectr.Sum),
        hugectr.CreateOptimizer(),
    )
    hugectr.Model(*arguments, **{keyword: None})  # type: ignore[arg-type]
    cache = hugectr.CreateETC([hugectr.TrainPSType_t.Staged], ["a"])
    with pytest.raises(UnsupportedError, match="embedding training cache"):
        hugectr.Model(*arguments, **{keyword: cache})  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match="embedding training cache"):
        hugectr.Model(*arguments).get_embedding_training_cache()


def test_models_are_collected() -> None:
    from hugectr import model as module

    gc.collect()
    before = len(module._live)
    model, _ = compiled()
    reader = model.get_data_reader_train()
    assert len(module._live) == before + 1
    del model, reader
    gc.collect()
    assert len(module._live) == before


def test_progress_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fit(self: FakeEngine, *args: Any) -> None:
        update = args[-3]
        update({"iteration": 1, "total": 4, "loss": 0.75})
        _core.log_info("Iter: 1")
        update({"iteration": 4, "total": 4})

    monkeypatch.setattr(FakeEngine, "fit", fit, raising=False)
    monkeypatch.setenv("HUGECTR_PROGRESS", "1")
    compiled()[0].fit(max_iter=4)
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1].endswith("Iter: 1")
    assert "loss 0.75000" in captured.err and "/256" in captured.err
    _core.log_info("after")
    assert capsys.readouterr().out.endswith("after\n")


def test_log_lines_reach_python_streams(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    _core.log_plain("a table line")
    assert capsys.readouterr().out == "a table line\n"
    monkeypatch.setattr(sys, "stdout", None)
    _core.log_plain("nobody listens")  # neither raises nor reaches the next stream
    monkeypatch.undo()
    assert capsys.readouterr().out == ""
