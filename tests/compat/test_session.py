# SPDX-License-Identifier: Apache-2.0
"""Releases 2.3 and 3.0: sessions train what the same model trains today, to the bit."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import hugectr
import numpy as np
import pytest
from hugectr.errors import FileError, HugectrError, InvalidArgumentError, NotFoundError, UnsupportedError

from compat import small_data

BATCH = 32
WIDE, DEEP = "DistributedSlotSparseEmbeddingHash", "LocalizedSlotSparseEmbeddingHash"


def keys(i: int, slot: int) -> list[int]:
    return [(i * (slot + 3)) % 17 + 100 * slot]


def data(folder: Path) -> dict[str, str]:
    slots = [lambda i: [i % 9, i % 7 + 20], *(lambda i, s=s: keys(i, s + 1) for s in range(3))]
    train = small_data.norm(folder, slots)
    test = small_data.norm(folder, slots, "test", small_data.TEST_SAMPLES)
    return {"source": train, "eval_source": test}


def document(folder: Path, **changes: Any) -> dict[str, Any]:
    """Wide & Deep as releases 2.3 and 3.0 wrote it."""

    def layer(kind: str, bottom: Any, top: Any, **more: Any) -> dict[str, Any]:
        return {"name": str(top), "type": kind, "bottom": bottom, "top": top, **more}

    return {
        "optimizer": {"type": "Adam", "update_type": "Global",
                      "adam_hparam": {"learning_rate": 0.01, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-7,
                                      "warmup_steps": 4, "decay_start": 6, "decay_steps": 10}},
        "layers": [
            {"name": "data", "type": "Data", "check": "Sum", **data(folder), "num_workers": 1,
             "label": {"top": "label", "label_dim": 1}, "dense": {"top": "dense", "dense_dim": small_data.DENSE},
             "sparse": [
                 {"top": "wide", "type": "DistributedSlot", "max_feature_num_per_sample": 30, "slot_num": 1},
                 {"top": "deep", "type": "LocalizedSlot", "max_feature_num_per_sample": 3, "slot_num": 3}]},
            {**layer(WIDE, "wide", "emb_wide"),
             "sparse_embedding_hparam": {"max_vocabulary_size_per_gpu": 500, "embedding_vec_size": 1, "combiner": 0}},
            {**layer(DEEP, "deep", "emb_deep"),
             "sparse_embedding_hparam": {"max_vocabulary_size_per_gpu": 500, "embedding_vec_size": 4, "combiner": 1}},
            layer("Reshape", "emb_wide", "flat_wide", leading_dim=1),
            layer("Reshape", "emb_deep", "flat_deep", leading_dim=12),
            layer("Concat", ["flat_deep", "dense"], "all"),
            layer("InnerProduct", "all", "fc", fc_param={"num_output": 8}),
            layer("ReLU", "fc", "relu"),
            layer("InnerProduct", "relu", "deep_logit", fc_param={"num_output": 1}),
            layer("Add", ["deep_logit", "flat_wide"], "logit"),
            layer("BinaryCrossEntropyLoss", ["logit", "label"], "loss"),
        ],
        **changes,
    }  # fmt: skip


def written(folder: Path, content: dict[str, Any]) -> str:
    path = folder / "model.json"
    path.write_text(json.dumps(content))
    return str(path)


def solver(**changes: Any) -> hugectr.SolverParser:
    values = dict(seed=7, batchsize=BATCH, batchsize_eval=BATCH, vvgpu=[[0]], repeat_dataset=True)
    return hugectr.solver_parser_helper(**{**values, **changes})


def same_model(folder: Path, config: str) -> hugectr.Model:
    """The session's model as later releases declare it."""
    sources = data(folder)
    model = hugectr.Model(
        hugectr.CreateSolver(seed=7, batchsize=BATCH, batchsize_eval=BATCH, lr=0.01, warmup_steps=4, decay_start=6,
                             decay_steps=10),
        hugectr.DataReaderParams(hugectr.Norm, [sources["source"]], eval_source=sources["eval_source"], num_workers=1,
                                 check_type=hugectr.Check_t.Sum),
        hugectr.CreateOptimizer(),
    )  # fmt: skip
    model.construct_from_json(config, True)
    model.compile()
    return model


def test_a_session_trains_what_a_model_does(tmp_path: Path) -> None:
    config = written(tmp_path, document(tmp_path))
    session, model = hugectr.Session(solver(), config), same_model(tmp_path, config)
    schedule = hugectr.get_learning_rate_scheduler(config)
    session.start_data_reading()
    model.start_data_reading()
    for step in range(20):
        rate = schedule.get_next()
        assert rate == schedule.get_lr() == model.get_learning_rate_scheduler().get_next()
        assert schedule.get_step() == step + 1
        assert session.set_learning_rate(rate) is model.set_learning_rate(rate) is hugectr.Error_t.Success
        assert session.train() is model.train() is True
        assert session.get_current_loss() == model.get_current_loss()
    session.check_overflow()
    session.copy_weights_for_evaluation()
    for _ in range(3):
        assert session.eval() is model.eval() is True
    assert session.get_eval_metrics() == model.get_eval_metrics()
    rows = 9 + 7 + 3 * 17  # the tables' keys
    assert session.get_params_num() == (15 * 8 + 8) + (8 + 1) + (9 + 7) * 1 + (rows - 16) * 4


def test_epochs(tmp_path: Path) -> None:
    config = written(tmp_path, document(tmp_path))
    session = hugectr.Session(solver(repeat_dataset=False), config, False, "")
    sources = data(tmp_path)
    train, test = session.get_data_reader_train(), session.get_data_reader_eval()
    assert isinstance(train, hugectr.DataReader32) and isinstance(train, hugectr.IDataReader)
    test.set_source(sources["eval_source"])
    for _ in range(2):
        train.set_file_list_source(sources["source"])  # release 2.3
        steps = 0
        while session.train():
            steps += 1
        assert steps == small_data.SAMPLES // BATCH and train.is_eof()
        batches = 0
        while session.eval():
            batches += 1
        assert batches == small_data.TEST_SAMPLES // BATCH
        test.set_source()
        assert [name for name, _ in session.get_eval_metrics()] == ["AUC"]
    test.set_source()
    assert test.read_a_batch_to_device() == BATCH
    for _ in range(5):  # begins anew where the data have ended
        assert [name for name, _ in session.evaluation()] == ["AUC"]


def test_predictions_of_an_evaluation_replace_the_files(tmp_path: Path) -> None:
    session = hugectr.Session(solver(), written(tmp_path, document(tmp_path)))
    session.start_data_reading()
    outputs = [str(tmp_path / "predictions"), str(tmp_path / "labels")]
    for _ in range(2):
        session.evaluation(*outputs)
        assert [np.loadtxt(output).shape for output in outputs] == [(BATCH,)] * 2
    with pytest.raises(InvalidArgumentError, match="needs both export files"):
        session.evaluation("predictions")


def records(path: Path, width: int, slot: bool) -> np.ndarray:
    fields = [("key", "<u4"), *([("slot", "<u8")] if slot else []), ("vector", "<f4", (width,))]
    return np.fromfile(path, np.dtype(fields))


def test_files_of_a_session(tmp_path: Path) -> None:
    """One file for each embedding, in the records of these releases; whoever loads them goes on with the same bits."""
    config = written(tmp_path, document(tmp_path))
    session = hugectr.Session(solver(), config)
    session.start_data_reading()
    for _ in range(8):
        session.train()
    prefix = str(tmp_path / "out/wdl")
    assert session.download_params_to_files(prefix, 0) is hugectr.Error_t.WrongInput
    assert not (tmp_path / "out").exists()
    for _ in range(2):  # over the same names
        assert session.download_params_to_files(prefix, 8) is hugectr.Error_t.Success
    files = {path.name for path in (tmp_path / "out").iterdir() if path.suffix == ".model"}
    assert files == {"wdl_dense_8.model", "wdl_opt_dense_8.model", "wdl0_sparse_8.model", "wdl0_opt_sparse_8.model",
                     "wdl1_sparse_8.model", "wdl1_opt_sparse_8.model"}  # fmt: skip
    wide, deep = records(tmp_path / "out/wdl0_sparse_8.model", 1, False), records(
        tmp_path / "out/wdl1_sparse_8.model", 4, True)  # fmt: skip
    assert sorted(wide["key"]) == [*range(9), *range(20, 27)]
    assert (deep["key"] // 100 - 1 == deep["slot"]).all() and len(deep) == 51

    def losses(from_session: hugectr.Session) -> list[float]:
        from_session.start_data_reading()
        return [from_session.train() and from_session.get_current_loss() for _ in range(3)]

    files_of = dict(
        model_file=f"{prefix}_dense_8.model", dense_opt_states_file=f"{prefix}_opt_dense_8.model",
        embedding_files=[f"{prefix}{i}_sparse_8.model" for i in range(2)],
        sparse_opt_states_file=[f"{prefix}{i}_opt_sparse_8.model" for i in range(2)])  # fmt: skip
    loaded = hugectr.Session(solver(**files_of), config)
    assert loaded.get_params_num() == session.get_params_num()
    assert losses(loaded) == losses(hugectr.Session(solver(**files_of), config)) == losses(session)


def test_dense_weights_of_a_new_session(tmp_path: Path) -> None:
    session = hugectr.Session(solver(), written(tmp_path, document(tmp_path)))
    session.init_params(str(tmp_path / "dense.model"))
    weights = (tmp_path / "dense.model").read_bytes()
    assert len(weights) == 4 * (15 * 8 + 8 + 9) and any(weights)
    session.download_params_to_files(str(tmp_path / "m"), 1)
    assert (tmp_path / "m_dense_1.model").read_bytes() == weights


def test_solver_of_both_releases() -> None:
    parser = hugectr.solver_parser_helper(seed=1, eval_batches=30)
    assert (parser.batchsize, parser.batchsize_eval, parser.repeat_dataset) == (16384, 16384, False)
    assert parser.eval_batches == parser.max_eval_batches == 30
    parser = hugectr.solver_parser_helper(max_eval_batches=5, embedding_files="a")
    assert (parser.batchsize, parser.repeat_dataset, parser.embedding_files) == (2048, True, ["a"])
    with pytest.raises(InvalidArgumentError, match=r"solver_parser_helper\(\).*scaler"):
        hugectr.solver_parser_helper(use_mixed_precision=True)
    with pytest.raises(InvalidArgumentError, match="exclude each other"):
        hugectr.solver_parser_helper(use_mixed_precision=True, enable_tf32_compute=True, scaler=128)
    with pytest.raises(TypeError, match="twice"):
        hugectr.solver_parser_helper(max_eval_batches=1, eval_batches=2)
    assert hugectr.SolverParser().values() == {}


def test_the_solver_clause_of_a_file(tmp_path: Path) -> None:
    clause = {"lr_policy": "fixed", "display": 50, "snapshot": 100, "snapshot_prefix": "./", "gpu": [0, 1],
              "batchsize": 64, "max_eval_samples": 640, "batchsize_eval": 32, "max_iter": 500, "mixed_precision": 256,
              "eval_metrics": ["AUC:0.8025", "AverageLoss"], "input_key_type": "I64", "dense_model_file": "d.model",
              "sparse_model_file": "s.model", "cuda_graph": False}  # fmt: skip
    parser = hugectr.SolverParser(written(tmp_path, {"solver": clause}))
    assert (parser.vvgpu, parser.max_eval_batches, parser.scaler, parser.i64_input_key) == ([[0, 1]], 20, 256.0, True)
    assert (parser.model_file, parser.embedding_files, parser.repeat_dataset) == ("d.model", ["s.model"], True)
    assert parser.solver().metrics_spec == {hugectr.MetricsType.AUC: 0.8025, hugectr.MetricsType.AverageLoss: 1.0}
    assert parser.solver().use_cuda_graph is False and parser.display == 50


@pytest.mark.parametrize(
    "change, error, text",
    [
        (lambda d: d.pop("optimizer"), InvalidArgumentError, "optimizer is missing"),
        (lambda d: d["optimizer"].update(type="Adan"), NotFoundError, 'optimizer.type is "Adan"; known: Adam'),
        (lambda d: d["optimizer"]["adam_hparam"].pop("learning_rate"), InvalidArgumentError,
         "optimizer.adam_hparam.learning_rate is missing"),
        (lambda d: d["optimizer"]["adam_hparam"].update(beta1="x"), InvalidArgumentError,
         "optimizer.adam_hparam.beta1 must be float"),
        (lambda d: d["layers"][0].pop("source"), InvalidArgumentError, r"layers\[0\].source is missing"),
        (lambda d: d["layers"][0].update(check="Som"), NotFoundError, r"layers\[0\].check.*known: Sum, None"),
        (lambda d: d["layers"][6].update(type="InnerProdukt"), NotFoundError, "InnerProdukt.*did you mean"),
        (lambda d: d.update(layers=[]), InvalidArgumentError, "begins with the Data layer"),
    ],
)  # fmt: skip
def test_a_document_that_does_not_fit(tmp_path: Path, change: Any, error: type[Exception], text: str) -> None:
    content = document(tmp_path)
    change(content)
    with pytest.raises(error, match=text):
        hugectr.Session(solver(), written(tmp_path, content))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text('{"optimizer": {\n "type": "Adam",\n}')
    for call in (hugectr.get_learning_rate_scheduler, lambda path: hugectr.Session(solver(), path)):
        with pytest.raises(InvalidArgumentError, match="broken.json: not valid JSON at line 3, column 1"):
            call(str(broken))
        with pytest.raises(FileError, match="nowhere.json"):
            call(str(tmp_path / "nowhere.json"))


def test_what_is_not_there_yet(tmp_path: Path) -> None:
    config = written(tmp_path, document(tmp_path))
    with pytest.raises(InvalidArgumentError, match="temp_embedding_dir"):
        hugectr.Session(solver(), config, True)
    with pytest.raises(UnsupportedError, match="model oversubscriber"):
        hugectr.Session(solver(), config, True, "./")
    session = hugectr.Session(solver(), config)
    for call in (session.get_model_oversubscriber, session.get_model_prefetcher):
        with pytest.raises(UnsupportedError, match="model oversubscriber"):
            call()
    with pytest.raises(HugectrError, match="data reading has not started"):
        session.train()


def test_update_type_of_these_releases(tmp_path: Path) -> None:
    """Local unless it says otherwise, whatever CreateOptimizer's default."""
    from hugectr.compat import training_json

    content = document(tmp_path)
    expected = {"Global": "Global", "LazyGlobal": "LazyGlobal", None: "Local", True: "Global", False: "Local"}
    for given, name in expected.items():
        content["optimizer"].pop("update_type", None)
        content["optimizer"].pop("global_update", None)
        if given is not None:
            content["optimizer"]["global_update" if isinstance(given, bool) else "update_type"] = given
        parsed = training_json.optimizer(training_json.read(written(tmp_path, content)))
        assert parsed.update_type.name == name


def test_one_key_a_slot_of_raw_data(tmp_path: Path) -> None:
    """The DLRM of these releases: a one-hot embedding whose input says how many keys a sample has."""
    sizes = [5, 40, 3, 11]
    source = {"source": small_data.raw(tmp_path, sizes), "eval_source": small_data.raw(tmp_path, sizes, "test")}
    content = {
        "optimizer": {"type": "SGD", "update_type": "Local", "sgd_hparam": {"learning_rate": 0.1}},
        "layers": [
            {"type": "Data", "format": "Raw", **source, "check": "None", "num_samples": small_data.SAMPLES,
             "slot_size_array": sizes, "label": {"top": "label", "label_dim": 1},
             "dense": {"top": "dense", "dense_dim": small_data.DENSE},
             "sparse": [{"top": "keys", "type": "LocalizedSlot", "max_feature_num_per_sample": 4, "slot_num": 4}]},
            {"type": "LocalizedSlotSparseEmbeddingOneHot", "bottom": "keys", "top": "e", "plan_file": "p.json",
             "sparse_embedding_hparam": {"slot_size_array": sizes, "embedding_vec_size": 4, "combiner": 0}},
            {"type": "Reshape", "bottom": "e", "top": "flat", "leading_dim": 16},
            {"type": "Concat", "bottom": ["flat", "dense"], "top": "all"},
            {"type": "InnerProduct", "bottom": "all", "top": "fc", "fc_param": {"num_output": 1}},
            {"type": "BinaryCrossEntropyLoss", "bottom": ["fc", "label"], "top": "loss"}],
    }  # fmt: skip
    session = hugectr.Session(solver(), written(tmp_path, content))
    session.start_data_reading()
    before = session.evaluation()
    for _ in range(8):
        session.train()
    assert session.download_params_to_files(str(tmp_path / "dlrm"), 8) is hugectr.Error_t.Success
    table = (tmp_path / "dlrm0_sparse_8.model").read_bytes()
    assert len(table) == sum(sizes) * (4 + 8 + 16)
    assert struct.unpack_from("<IQ", table, 5 * 28) == (5, 1)  # the first key of the second slot
    assert [name for name, _ in before] == ["AUC"]


@pytest.mark.parametrize("i64", [False, True])
def test_files_of_release_3_0(tmp_path: Path, i64: bool) -> None:
    """Sparse models and their states, written by hand: states fill the rows that the JSON file declares."""
    content, rows = document(tmp_path), 500
    content["layers"][0].update(small_data_of(tmp_path, i64))
    session = hugectr.Session(solver(i64_input_key=i64), written(tmp_path, content))
    session.start_data_reading()
    for _ in range(4):
        session.train()
    session.download_params_to_files(str(tmp_path / "m"), 4)
    for i, (width, slot) in enumerate([(1, False), (4, True)]):
        key = "<i8" if i64 else "<u4"
        fields = [("key", key), *([("slot", "<u8")] if slot else []), ("vector", "<f4", (width,))]
        table = np.fromfile(tmp_path / f"m{i}_sparse_4.model", np.dtype(fields))
        states = np.fromfile(tmp_path / f"m{i}_opt_sparse_4.model", "<f4").reshape(2, rows, width)
        assert states[:, : len(table)].any() and not states[:, len(table) :].any()
        for side in ("json", "step"):  # which that release did not write
            (tmp_path / f"m{i}_opt_sparse_4.model.{side}").unlink()
    parser = solver(i64_input_key=i64, embedding_files=[str(tmp_path / f"m{i}_sparse_4.model") for i in range(2)],
                    sparse_opt_states_file=[str(tmp_path / f"m{i}_opt_sparse_4.model") for i in range(2)])  # fmt: skip
    loaded = hugectr.Session(parser, written(tmp_path, content))
    loaded.download_params_to_files(str(tmp_path / "copy"), 4)
    for i in range(2):
        for part in ("sparse", "opt_sparse"):
            names = [tmp_path / f"{prefix}{i}_{part}_4.model" for prefix in ("m", "copy")]
            assert names[0].read_bytes() == names[1].read_bytes()


def small_data_of(folder: Path, i64: bool) -> dict[str, str]:
    slots = [lambda i: [i % 9, i % 7 + 20], *(lambda i, s=s: keys(i, s + 1) for s in range(3))]
    sources = zip(("source", "eval_source"), ("long", "short"))
    return {source: small_data.norm(folder, slots, f"{name}{i64}", i64=i64) for source, name in sources}


# What a layer reads of "e" [batch, 3, 4], "x" [batch, 12], "narrow" [batch, 4] and "dense" [batch, 3], and its members.
LAYERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "BatchNorm": ("x", {"bn_param": {"factor": 0.9, "eps": 1e-5, "gamma_init": "XavierUniform"}}),
    "Dropout": ("x", {"rate": 0.25}),
    "ELU": ("x", {"elu_param": {"alpha": 0.5}}),
    "ReLU": ("x", {}),
    "ReLUHalf": ("x", {}),
    "Sigmoid": ("x", {}),
    "Cast": ("x", {}),
    "InnerProduct": ("x", {"fc_param": {"num_output": 5, "weight_init": "Uniform", "bias_init": "Zero"}}),
    "FusedInnerProduct": ("x", {"fc_param": {"num_output": 5}}),
    "MultiCross": ("x", {"mc_param": {"num_layers": 3}}),
    "Multiply": ("dense", {"weight_dims": [3, 10]}),
    "WeightMultiply": ("dense", {"weight_dims": [3, 10], "weight_init": "XavierNorm"}),
    "FmOrder2": ("x", {"out_dim": 4}),
    "ReduceSum": ("x", {"axis": 1}),
    "Add": (["x", "x"], {}),
    "DotProduct": (["x", "x"], {}),
    "Slice": ("x", {"ranges": [[0, 4], [2, 9]]}),
    "Concat": (["x", "dense"], {}),
    "Reshape": ("e", {"selected": [0, 2]}),
    "Interaction": (["narrow", "e"], {}),
    # of later releases
    "Sub": (["x", "dense_12"], {}),
    "ReduceMean": ("x", {"axis": 1}),
    "ElementwiseMultiply": (["x", "x"], {}),
    "LayerNorm": ("x", {"ln_param": {"eps": 1e-5}}),
    "Gather": ("x", {"indices": list(range(BATCH))}),
    "Scale": ("x", {"scale_param": {"axis": 0, "factor": 2}}),
    "Softmax": ("x", {}),
    "PReLU_Dice": ("x", {"prelu_dice_param": {"elu_alpha": 0.2, "eps": 1e-8}}),
    "MLP": ("x", {"mlp_param": {"num_outputs": [6, 4], "activation": "Relu"}}),
}  # fmt: skip


@pytest.mark.parametrize("kind", LAYERS)
def test_layers_of_a_document(tmp_path: Path, kind: str) -> None:
    content = document(tmp_path)
    bottoms, members = LAYERS[kind]
    tops = ["y", "z"] if kind == "Slice" else ["y"]
    data_layer, embedding = content["layers"][0], {**content["layers"][2], "top": "e"}

    def fully(bottom: str, top: str, width: int) -> dict[str, Any]:
        return {"type": "InnerProduct", "bottom": bottom, "top": top, "fc_param": {"num_output": width}}

    content["layers"] = [
        data_layer, embedding,
        {"type": "Reshape", "bottom": "e", "top": "x", "leading_dim": 12},
        fully("dense", "narrow", 4), fully("dense", "dense_12", 12),
        {"name": "tested", "type": kind, "bottom": bottoms, "top": tops if len(tops) > 1 else "y", **members},
        *(fully(top, f"of_{top}", 1) for top in tops),
        *(fully(name, f"of_{name}", 1) for name in ("x", "narrow", "dense_12")),
        {"type": "Add", "bottom": [f"of_{name}" for name in (*tops, "x", "narrow", "dense_12")], "top": "logit"},
        {"type": "BinaryCrossEntropyLoss", "bottom": ["logit", "label"], "top": "loss", "regularizer": "L2",
         "lambda": 0.001}]  # fmt: skip
    session = hugectr.Session(solver(), written(tmp_path, content))
    session.start_data_reading()
    losses = [session.train() and session.get_current_loss() for _ in range(8)]
    assert np.isfinite(losses).all() and len(set(losses)) == 8
    assert session.eval() and [name for name, _ in session.get_eval_metrics()] == ["AUC"]


@pytest.mark.parametrize("kind, columns", [("CrossEntropyLoss", 2), ("MultiCrossEntropyLoss", 3)])
def test_losses_of_a_document(tmp_path: Path, kind: str, columns: int) -> None:
    content = document(tmp_path)
    labels = 1 if kind == "CrossEntropyLoss" else 3
    content["layers"][0]["label"]["label_dim"] = labels
    slots = [lambda i: [i % 9, i % 7 + 20], *(lambda i, s=s: keys(i, s + 1) for s in range(3))]
    for name in ("source", "eval_source"):
        content["layers"][0][name] = small_data.norm(tmp_path, slots, name, labels=labels)
    content["layers"] = content["layers"][:1] + content["layers"][2:3] + [
        {"type": "Reshape", "bottom": "emb_deep", "top": "flat", "leading_dim": 12},
        {"type": "InnerProduct", "bottom": "flat", "top": "fc", "fc_param": {"num_output": columns}},
        {"type": kind, "bottom": ["fc", "label"], "top": "loss",
         **({"target_weight": [0.2, 0.4, 0.4]} if columns == 3 else {})}]  # fmt: skip
    session = hugectr.Session(solver(), written(tmp_path, content))
    session.start_data_reading()
    for _ in range(4):
        session.train()
    assert np.isfinite(session.get_current_loss())
