# SPDX-License-Identifier: Apache-2.0
"""What type checkers make of scripts: every spelling that works passes, mistakes do not."""

import subprocess
import sys
from pathlib import Path

import hugectr
import pytest

api = pytest.importorskip("mypy.api")

PACKAGES = Path(hugectr.__file__).absolute().parents[1]
ROOT = Path(__file__).parents[2]
GOOD = """
import pathlib

import hugectr
import numpy as np
from hugectr import EmbeddingTraingCache, Session
from hugectr.inference import InferenceParams, InferType

solver = hugectr.CreateSolver(batchsize=10, lr=np.float32(1), vvgpu=[[0]], metrics_spec={hugectr.AUC: 1},
                              i64_input_key=np.bool_(True), kafka_brokers="a")
solver = hugectr.CreateSolver(7, hugectr.LrPolicy_t.fixed, 0.1)
size: int = solver.batchsize
reader = hugectr.DataReaderParams(hugectr.Norm, pathlib.Path("a"), eval_source=pathlib.Path("b"),
                                  check_type=hugectr.Sum, slot_size_array=np.array([1, 2]))
optimizer = hugectr.CreateOptimizer(hugectr.Adam)
optimizer = hugectr.CreateOptimizer(optimizer_type=hugectr.Optimizer_t.Adagrad)
for keyword in range(2):
    model = hugectr.Model(solver, reader, optimizer)
model = hugectr.Model(solver, reader, optimizer, etc_params=None)
model = hugectr.Model(solver=solver, reader_params=reader, opt_params=optimizer, mos=None)
sparse = [hugectr.DataReaderSparseParam("x", 1, True, 1), hugectr.DataReaderSparseParam("x", [1, 2], False, slot_num=2),
          hugectr.DataReaderSparseParam(sparse_name="x", nnz_per_slot=1, is_fixed_length=True, slot_num=1),
          hugectr.DataReaderSparseParam(hugectr.DataReaderSparse_t.Distributed, 30, 1, 26)]
model.add(hugectr.Input(1, "label", 2, "dense", sparse))
model.add(hugectr.Input(label_dim=1, label_name="label", dense_dim=2, dense_name="dense",
                        data_reader_sparse_param_array=sparse))
model.add(hugectr.Input(label_dims=[1, 1], label_names=["a", "b"], dense_dim=1, dense_name="d",
                        data_reader_sparse_param_array=sparse))
model.add(hugectr.Input([1, 1], ["a", "b"], [0.5, 0.5], 1, "d", sparse))
model.add(hugectr.SparseEmbedding(hugectr.Embedding_t.DistributedSlotSparseEmbeddingHash, 1, 4, "sum", "e", "x"))
model.add(dense_layer=hugectr.DenseLayer(hugectr.ElementWiseMultiply, ["a"], ["b"]))
model.add(hugectr.DenseLayer(hugectr.Layer_t.Slice, ["a"], "b", ranges=[(0, 2), [2, 4]], regularizer_lambda=0.1))
model.add(hugectr.GroupDenseLayer(hugectr.GroupFusedInnerProduct, bottom_name="a", top_name_list=["b", "c"],
                                  num_outputs=[1, 2]))
model.compile(loss_names=["a"], loss_weights=[1])
model.load_sparse_weights(sparse_embedding_files_map={"a": "b"})
model.load_sparse_weights([pathlib.Path("a")])
model.load_sparse_optimizer_states(sparse_opt_states_files_map={"a": pathlib.Path("b")})
model.set_source("a", "b")
model.set_source(source="a", eval_source="b")
model.set_source(["a"], ["k"], "b")
rate: float = model.get_learning_rate_scheduler().get_next()
for name, value in model.get_eval_metrics():
    print(name, value)
if model.save_params_to_files(pathlib.Path("x")) is not hugectr.Error_t.Success:
    raise hugectr.FileError
hugectr.AsyncParam(1, 1, 1, 1, 1, True, hugectr.Alignment_t.Non)
hugectr.CreateETC([hugectr.TrainPSType_t.Staged], ["a"], hcache_configs=[])
kinds = (hugectr.CommunicationType.IB_NVLink, hugectr.HybridEmbeddingType.Distributed)
hugectr.HybridEmbeddingParam(1, -1, 0.01, 1e11, 1e11, 1.0, *kinds)
hugectr.HybridEmbeddingParam(1, -1, 0.01, 1e11, 1e11, 1.0, True, False, *kinds)
InferenceParams(model_name="m")
Session(hugectr.solver_parser_helper(), pathlib.Path('a'))
"""
BAD = {
    "hugectr.CreateSolver().batchsiz": "attr-defined",
    "hugectr.CreateSolver(batchsize=1.5)": "call-overload",
    "hugectr.CreateSolver(foo=3)": "call-overload",
    "hugectr.CreateOptimizer('Adam')": "arg-type",
    "hugectr.Optimizer_t.Adma": "attr-defined",
    "hugectr.Model(hugectr.CreateSolver())": "call-overload",
    "hugectr.DenseLayer(hugectr.Adam, ['a'], ['b'])": "arg-type",
    "hugectr.DataReaderSparseParam(name='x', nnz_per_slot=1, is_fixed_length=True, slot_num=1)": "call-overload",
}


def check(path: Path) -> list[str]:
    options = ["--strict", "--follow-imports=silent", "--no-error-summary", "--cache-dir", str(ROOT / ".mypy_cache")]
    out, err, _ = api.run([*options, str(path)])
    assert not err
    errors = [line.split(":", 2)[1:] for line in out.splitlines() if ": error: " in line]
    return list(dict(errors).values())  # one of each line


@pytest.fixture(autouse=True)
def package_of_this_run(monkeypatch: pytest.MonkeyPatch) -> None:
    if "site-packages" not in PACKAGES.parts:
        monkeypatch.setenv("MYPYPATH", str(PACKAGES))


def test_scripts_pass(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(GOOD)
    assert check(tmp_path / "good.py") == []


def test_mistakes_do_not(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("\n".join(["import hugectr", *BAD]))
    found = check(tmp_path / "bad.py")
    assert len(found) == len(BAD), found
    for message, (line, code) in zip(found, BAD.items()):
        assert f"[{code}]" in message, (line, message)


@pytest.mark.skipif("site-packages" in PACKAGES.parts, reason="stubs belong to the source tree")
def test_the_stubs_are_up_to_date() -> None:
    result = subprocess.run(
        [sys.executable, str(ROOT / "tools/make_stubs.py"), "--check"], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
