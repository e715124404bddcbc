# SPDX-License-Identifier: Apache-2.0
"""Model files, byte for byte: contents, sizes, names, and what a loader must reject."""

from __future__ import annotations

import re
from dataclasses import replace

import hugectr
import numpy as np
import pytest
from harness import reference, training
from harness.declaration import node
from harness.reference_optimizers import Optimizer
from model.small_models import small
from model.tiny import DISTRIBUTED, LOCALIZED, tiny, tiny_batch, tiny_data

DENSE = bytes.fromhex("0000003f 000080bf 0000803e")  # kernel 0.5, -1; bias 0.25
KEY = bytes.fromhex("0700000000000000 2c01000000000000")
SLOT_ID = bytes.fromhex("0000000000000000 0100000000000000")
EMB_VECTOR = bytes.fromhex("0000003f 000080bf 00000040 0000803e")
GOLDEN = {"key": KEY, "slot_id": SLOT_ID, "emb_vector": EMB_VECTOR}
SGD = Optimizer("SGD")


def model_of(declaration, folder, optimizer=SGD, **options):
    return training.create_model(
        declaration, optimizer, tiny_data(folder / "data", declaration), batch_size=4, **options
    )


def write_golden(folder, **changed):
    """The worked example on disk, with some files changed or (None) left out."""
    (folder / "sparse").mkdir(parents=True)
    (folder / "dense").write_bytes(changed.pop("dense", DENSE))
    for name, content in {**GOLDEN, **changed}.items():
        if content is not None:
            (folder / "sparse" / name).write_bytes(content)
    return str(folder / "dense"), [str(folder / "sparse")]


@pytest.mark.parametrize("kind", [DISTRIBUTED, LOCALIZED])
def test_worked_examples_survive_a_round_trip(kind, tmp_path):
    model = model_of(tiny(kind), tmp_path)
    dense, sparse = write_golden(tmp_path / "golden")
    model.load_dense_weights(dense)
    model.load_sparse_weights(sparse)
    assert model.save_params_to_files(str(tmp_path / "out"), 3) == hugectr.Error_t.Success
    assert (tmp_path / "out_dense_3.model").read_bytes() == DENSE
    saved = {p.name: p.read_bytes() for p in (tmp_path / "out0_sparse_3.model").iterdir()}
    assert saved == {name: GOLDEN[name] for name in (GOLDEN if kind == LOCALIZED else ("key", "emb_vector"))}


def test_load_by_name(tmp_path):
    model = model_of(tiny(), tmp_path)
    _, sparse = write_golden(tmp_path / "golden")
    model.load_sparse_weights({"embedding": sparse[0]})
    model.save_params_to_files(str(tmp_path / "out"))
    assert (tmp_path / "out0_sparse_0.model" / "emb_vector").read_bytes() == EMB_VECTOR


def one_hot_model(folder):
    declaration = tiny(training.ONE_HOT)
    batch = tiny_batch([[0.5, 1]] * 4, [1, 0, 1, 0], np.array([7, 8 + 292]))
    source = training.write_raw(folder / "data.bin", declaration, [batch])
    reader = {
        "data_reader_type": hugectr.DataReaderType_t.Raw,
        "num_samples": 4,
        "eval_num_samples": 4,
        "float_label_dense": True,
    }
    return training.create_model(declaration, SGD, source, batch_size=4, reader=reader)


def test_one_hot_dumps_every_key(tmp_path):
    model = one_hot_model(tmp_path)
    model.start_data_reading()
    training.train(model, 1)
    model.save_params_to_files(str(tmp_path / "out"))
    folder = tmp_path / "out0_sparse_0.model"
    np.testing.assert_array_equal(np.fromfile(folder / "key", "<i8"), np.arange(301))
    np.testing.assert_array_equal(np.fromfile(folder / "slot_id", "<u8"), np.repeat([0, 1], [8, 293]))
    vectors = np.fromfile(folder / "emb_vector", "<f4").reshape(301, 2)
    for rows, bound in ((vectors[:7], 8**-0.5), (vectors[8:300], 293**-0.5)):  # untouched rows
        assert 0.7 * bound < np.abs(rows).max() <= bound
    assert (tmp_path / "out0_opt_sparse_0.model").stat().st_size == 0


def test_multi_rank_tables_list_rank_after_rank(tmp_path):
    for kind, order in ((DISTRIBUTED, [300, 7]), (LOCALIZED, [7, 300])):  # key mod 2, slot mod 2
        model = model_of(tiny(kind), tmp_path / kind, ranks=2)
        model.start_data_reading()
        training.train(model, 1)
        model.save_params_to_files(str(tmp_path / kind / "out"))
        keys = np.fromfile(tmp_path / kind / "out0_sparse_0.model" / "key", "<i8")
        np.testing.assert_array_equal(keys, order)


@pytest.mark.parametrize(
    "kind, tensors, copies",
    [("SGD", 0, 0), ("AdaGrad", 1, 1), ("MomentumSGD", 1, 1), ("Nesterov", 1, 1), ("Adam", 2, 2)],
)
@pytest.mark.parametrize("ranks", [1, 2])
def test_optimizer_file_sizes(kind, tensors, copies, ranks, tmp_path):
    model = model_of(tiny(), tmp_path, Optimizer(kind, initial_accu_value=0.5), ranks=ranks)
    model.start_data_reading()
    training.train(model, 2)
    model.save_params_to_files(str(tmp_path / "out"))
    assert (tmp_path / "out_opt_dense_0.model").stat().st_size == tensors * 3 * 4
    capacity = 2**20 // ((1 + copies) * 4 * 2)
    states = np.fromfile(tmp_path / "out0_opt_sparse_0.model", "<f4")
    assert states.size == tensors * ranks * capacity * 2
    unused = 0.5 if kind == "AdaGrad" else 0.0
    assert states.size == 0 or states.reshape(tensors * ranks, capacity, 2)[:, 2:].ravel().tolist().count(unused) == (
        tensors * ranks * (capacity - 2) * 2
    )


def test_capacity_of_a_workspace(tmp_path):
    """25 MB with Adam hold 136533 rows of 16; the optimizer file covers all of them."""
    declaration = small("dcn")
    wide = replace(declaration.embeddings[0], dim=16, workspace_mb=25)
    flat = node("Reshape", "embedding", "flat", leading_dim=64)
    declaration = replace(declaration, embeddings=(wide,), nodes=(flat, *declaration.nodes[1:]))
    rng = np.random.default_rng(1)
    source = training.write_norm(tmp_path, declaration, [reference.random_batch(declaration, 8, rng)])
    model = training.create_model(declaration, Optimizer("Adam"), source, batch_size=8)
    model.save_params_to_files(str(tmp_path / "out"))
    assert (tmp_path / "out0_opt_sparse_0.model").stat().st_size == 17476224


@pytest.mark.parametrize("update", ["Local", "Global", "LazyGlobal"])
def test_optimizer_states_are_those_of_the_reference(update, tmp_path):
    declaration, optimizer = small("wdl", nnz=2, fixed=False), Optimizer("Adam", update)
    rng = np.random.default_rng(1)
    batches = [reference.random_batch(declaration, 16, rng) for _ in range(6)]
    dense, tables = reference.initial_weights(declaration, 2), reference.initial_tables(declaration, 3)
    model = training.create_model(
        declaration, optimizer, training.write_norm(tmp_path, declaration, batches), batch_size=16, lr=0.01
    )
    training.load_weights(model, tmp_path / "start", declaration, dense, tables)
    model.start_data_reading()
    training.train(model, 6)
    model.save_params_to_files(str(tmp_path / "out"))

    expected = reference.Model(declaration, optimizer, dense, tables, 16)
    for batch in batches:
        expected.step(batch, 0.01)
    want = [np.concatenate([s[i].ravel() for s in expected.dense_update.states]) for i in range(2)]
    got = np.fromfile(tmp_path / "out_opt_dense_0.model", "<f4").reshape(2, -1)
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-7)
    for i, table in enumerate(expected.tables):
        keys = np.fromfile(tmp_path / f"out{i}_sparse_0.model" / "key", "<i8")
        states = np.fromfile(tmp_path / f"out{i}_opt_sparse_0.model", "<f4").reshape(2, -1, table.spec.dim)
        for state, reference_state in zip(states, table.update.states):
            rows = [table.row_of[k] for k in keys]
            np.testing.assert_allclose(state[: len(keys)], reference_state[rows], rtol=1e-3, atol=1e-7)


def test_file_names(tmp_path, monkeypatch):
    declaration = small("wdl")
    rng = np.random.default_rng(1)
    source = training.write_norm(tmp_path / "data", declaration, [reference.random_batch(declaration, 8, rng)])
    model = training.create_model(declaration, Optimizer("Adam"), source, batch_size=8)
    names = {
        "_dense_7.model",
        "_opt_dense_7.model",
        "0_sparse_7.model",
        "0_opt_sparse_7.model",
        "1_sparse_7.model",
        "1_opt_sparse_7.model",
    }
    for prefix, folder, start in (("out/deeper/wdl", "out/deeper", "wdl"), ("./", "here", "")):
        (tmp_path / "here").mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / "here" if prefix == "./" else tmp_path)
        model.save_params_to_files(prefix, 7)
        found = {p.name for p in (tmp_path / folder).iterdir() if p.name.endswith(".model")}
        assert found == {start + name for name in names}
    model.save_params_to_files(str(tmp_path / "zero"))
    assert (tmp_path / "zero_dense_0.model").exists()


def test_no_statistics_file_without_batch_norm(tmp_path):
    model_of(tiny(), tmp_path).save_params_to_files(str(tmp_path / "out"))
    assert not list(tmp_path.glob("*.ntp.json"))


def batch_norm_model(folder):
    nodes = (
        node("BatchNorm", "dense", "normal", factor=1.0, eps=1e-2),
        node("BatchNorm", "normal", "x", factor=0.5, eps=1e-2),
    )
    declaration = tiny(dense_nodes=nodes)
    batch = tiny_batch([[1, -3], [2, 0], [4, 9], [7, -6]], [1, 0, 0, 1])
    source = training.write_norm(folder, declaration, [batch])
    return training.create_model(declaration, SGD, source, batch_size=4)


# Running mean and unbiased variance of the columns above; then of the normalised columns, halfway from 0 and 1. With
# six decimals, as earlier releases wrote them.
STATISTICS = """{
  "layers": [
    {
      "type": "BatchNorm",
      "mean": [3.500000, 0.000000],
      "var": [7.000000, 42.000000]
    },
    {
      "type": "BatchNorm",
      "mean": [0.000000, 0.000000],
      "var": [1.165399, 1.166455]
    }
  ]
}
"""


@pytest.mark.parametrize(("name", "value"), [("mean", "1e39"), ("var", "-1"), ("var", "1e39")])
def test_impossible_statistics(name, value, tmp_path):
    batch_norm_model(tmp_path).save_params_to_files(str(tmp_path / "out"), 1)
    file = tmp_path / "out_dense_1.model.ntp.json"
    file.write_text(re.sub(rf'("{name}": \[)[^,\]]+', rf"\g<1>{value}", file.read_text(), count=1))
    with pytest.raises(hugectr.HugectrError, match=rf"ntp.json.*layers\[0\].{name}\[0\] is {value[0]}"):
        batch_norm_model(tmp_path / "again").load_dense_weights(str(tmp_path / "out_dense_1.model"))


def test_batch_norm_statistics(tmp_path):
    model = batch_norm_model(tmp_path)
    model.start_data_reading()
    training.train(model, 1)
    model.save_params_to_files(str(tmp_path / "out"), 1)
    file = tmp_path / "out_dense_1.model.ntp.json"
    text = file.read_text()
    number = r"-?\d+\.?\d*(?:e-?\d+)?"
    assert re.sub(number, "#", text) == re.sub(number, "#", STATISTICS)
    got, want = (np.array(re.findall(number, t), np.float64) for t in (text, STATISTICS))
    np.testing.assert_allclose(got, want, atol=1e-6)
    np.testing.assert_array_equal(got, [float(f"{v:.9g}") for v in got.astype(np.float32)])  # nine digits
    assert any(f"{v:.6f}" not in text for v in got)

    fresh = batch_norm_model(tmp_path / "again")
    for written, found in ((text, got), (STATISTICS, want)):
        file.write_text(written)
        fresh.load_dense_weights(str(tmp_path / "out_dense_1.model"))
        fresh.save_params_to_files(str(tmp_path / "loaded"), 1)
        loaded = re.findall(number, (tmp_path / "loaded_dense_1.model.ntp.json").read_text())
        np.testing.assert_array_equal(np.array(loaded, np.float32), found.astype(np.float32))


def test_statistics_keep_the_sign_of_zero(tmp_path):
    model = batch_norm_model(tmp_path)
    model.save_params_to_files(str(tmp_path / "a"))
    file = tmp_path / "a_dense_0.model.ntp.json"
    text = file.read_text().replace('"mean": [0.0, 0.0]', '"mean": [-0.0, 1e-45]')
    file.write_text(text)
    model.load_dense_weights(str(tmp_path / "a_dense_0.model"))
    model.save_params_to_files(str(tmp_path / "b"))
    assert (tmp_path / "b_dense_0.model.ntp.json").read_text() == text.replace("1e-45", "1.40129846e-45")


@pytest.mark.parametrize(
    "text",
    ["{", "[]", STATISTICS.replace("3.500000, ", ""), STATISTICS.replace("mean", "men")],
    ids=["cut", "list", "short", "key"],
)
def test_bad_statistics_are_rejected(text, tmp_path):
    model = batch_norm_model(tmp_path)
    model.save_params_to_files(str(tmp_path / "out"))
    before = (tmp_path / "out_dense_0.model.ntp.json").read_text()
    (tmp_path / "out_dense_0.model.ntp.json").write_text(text)
    with pytest.raises(RuntimeError, match="ntp.json"):
        model.load_dense_weights(str(tmp_path / "out_dense_0.model"))
    model.save_params_to_files(str(tmp_path / "after"))
    assert (tmp_path / "after_dense_0.model.ntp.json").read_text() == before


def test_missing_statistics_keep_the_initial_ones(tmp_path):
    model = batch_norm_model(tmp_path)
    model.save_params_to_files(str(tmp_path / "out"))
    (tmp_path / "out_dense_0.model.ntp.json").unlink()
    model.load_dense_weights(str(tmp_path / "out_dense_0.model"))


def test_export_predictions(tmp_path):
    """Nine significant digits, so that floats come back as they were; labels follow; later batches are appended."""
    declaration = tiny()
    logits = [float(np.log(p / (1 - p))) for p in (0.25, 0.1234567)]
    batch = tiny_batch([[logit, 0.0] for logit in logits], [1, 0])
    source = training.write_norm(tmp_path / "data", declaration, [batch])
    model = training.create_model(declaration, SGD, source, batch_size=2)
    dense, sparse = write_golden(tmp_path / "golden", dense=np.array([1, 0, 0], "<f4").tobytes(), emb_vector=bytes(16))
    model.load_dense_weights(dense)
    model.load_sparse_weights(sparse)
    model.start_data_reading()
    for _ in range(2):
        assert model.eval()
        model.export_predictions(str(tmp_path / "predictions"), str(tmp_path / "labels"))
    text = (tmp_path / "predictions").read_bytes()
    assert re.fullmatch(rb"(0\.25 0\.12345\d{4} ){2}", text)
    assert float(text.split()[1]) == pytest.approx(0.1234567, abs=1e-7)
    assert (tmp_path / "labels").read_bytes() == b"1 0 " * 2


def keys(*values):
    return np.array(values, "<i8").tobytes()


BAD_SPARSE = {
    "no key": ({"key": None}, "key"),
    "no vectors": ({"emb_vector": None}, "emb_vector"),
    "no slots": ({"slot_id": None}, "slot_id"),
    "cut key": ({"key": KEY[:-1]}, "key"),
    "cut vectors": ({"emb_vector": EMB_VECTOR[:-3]}, "emb_vector"),
    "other width": ({"emb_vector": EMB_VECTOR * 2}, "embedding_vec_size"),
    "fewer slots": ({"slot_id": SLOT_ID[:8]}, "1 slot id"),
    "duplicate": ({"key": keys(7, 7)}, "7"),
    "negative": ({"key": keys(7, -1)}, "-1"),
    "too wide": ({"key": keys(7, 2**32)}, str(2**32)),
    "slot 2 of 2": ({"slot_id": keys(0, 2)}, "2"),
    "keys without vectors": ({"emb_vector": b""}, "0 vectors"),
    "vectors without keys": ({"key": b""}, "key"),
}


@pytest.mark.parametrize("case", BAD_SPARSE)
def test_bad_sparse_models_are_rejected_and_change_nothing(case, tmp_path):
    changed, named = BAD_SPARSE[case]
    model = model_of(tiny(LOCALIZED), tmp_path)
    _, good = write_golden(tmp_path / "good")
    _, bad = write_golden(tmp_path / "bad", **changed)
    model.load_sparse_weights(good)
    with pytest.raises(RuntimeError) as error:
        model.load_sparse_weights(bad)
    assert named in str(error.value).replace(str(tmp_path), "")
    model.save_params_to_files(str(tmp_path / "out"))
    assert {p.name: p.read_bytes() for p in (tmp_path / "out0_sparse_0.model").iterdir()} == GOLDEN


def test_other_bad_sparse_paths(tmp_path):
    model = model_of(tiny(), tmp_path)
    _, good = write_golden(tmp_path / "good")
    with pytest.raises(RuntimeError, match="missing"):
        model.load_sparse_weights([str(tmp_path / "missing")])
    (tmp_path / "single.model").write_bytes(KEY)
    with pytest.raises(RuntimeError, match="single.model.*(3.0|legacy|single)"):
        model.load_sparse_weights([str(tmp_path / "single.model")])
    with pytest.raises(RuntimeError, match="2.*1|1.*2"):
        model.load_sparse_weights(good * 2)
    with pytest.raises(RuntimeError, match="emb.*embedding"):
        model.load_sparse_weights({"emb": good[0]})


def test_more_rows_than_the_workspace_holds(tmp_path):
    model = model_of(tiny(), tmp_path)
    count = 2**20 // 8 + 1
    (tmp_path / "big").mkdir()
    np.arange(count).astype("<i8").tofile(tmp_path / "big" / "key")
    np.zeros(2 * count, "<f4").tofile(tmp_path / "big" / "emb_vector")
    with pytest.raises(RuntimeError, match=rf"(?s)({count}.*{count - 1}|{count - 1}.*{count}).*workspace_size_per_gpu"):
        model.load_sparse_weights([str(tmp_path / "big")])


def test_bad_one_hot_key(tmp_path):
    model = one_hot_model(tmp_path)
    for key in (8, 301):  # of slot 1, offered as slot 0's; of no slot
        _, bad = write_golden(tmp_path / str(key), key=keys(key, 300))
        with pytest.raises(RuntimeError, match=str(key)):
            model.load_sparse_weights(bad)


@pytest.mark.parametrize("content", [DENSE[:-4], DENSE + bytes(4), b""], ids=["short", "long", "empty"])
def test_bad_dense_files_are_rejected_and_change_nothing(content, tmp_path):
    model = model_of(tiny(), tmp_path)
    good, _ = write_golden(tmp_path / "good")
    model.load_dense_weights(good)
    bad, _ = write_golden(tmp_path / "bad", dense=content)
    with pytest.raises(RuntimeError, match=rf"(?s)12.*{len(content)}|{len(content)}.*12"):
        model.load_dense_weights(bad)
    with pytest.raises(RuntimeError, match="absent.model"):
        model.load_dense_weights(str(tmp_path / "absent.model"))
    model.save_params_to_files(str(tmp_path / "out"))
    assert (tmp_path / "out_dense_0.model").read_bytes() == DENSE


def test_nan_weights_warn(tmp_path, capfd):
    model = model_of(tiny(), tmp_path)
    dense, _ = write_golden(tmp_path / "nan", dense=np.array([1, np.nan, 0], "<f4").tobytes())
    model.load_dense_weights(dense)
    assert "NaN" in "".join(capfd.readouterr())


def test_optimizer_state_files(tmp_path):
    """f32 and f16 by size; AdaGrad's double-length files of old releases use the first half; the rest is an error."""
    model = model_of(tiny(), tmp_path, Optimizer("AdaGrad"))
    states = np.array([0.5, 2, 0.25])
    for name, content in {
        "f32": states.astype("<f4").tobytes(),
        "f16": states.astype("<f2").tobytes(),
        "double": np.concatenate([states, [9, 9, 9]]).astype("<f4").tobytes(),
    }.items():
        (tmp_path / name).write_bytes(content)
        model.load_dense_optimizer_states(str(tmp_path / name))
        model.save_params_to_files(str(tmp_path / "out"))
        got = np.fromfile(tmp_path / "out_opt_dense_0.model", "<f4")
        np.testing.assert_array_equal(got, states)
    for size in (0, 4, 8, 16, 28):
        (tmp_path / "bad").write_bytes(bytes(size))
        with pytest.raises(RuntimeError, match=r"bad"):
            model.load_dense_optimizer_states(str(tmp_path / "bad"))


def test_bad_sparse_optimizer_files(tmp_path):
    model = model_of(tiny(), tmp_path, Optimizer("Adam"))
    model.save_params_to_files(str(tmp_path / "out"))
    good = tmp_path / "out0_opt_sparse_0.model"
    model.load_sparse_optimizer_states([str(good)])
    model.load_sparse_optimizer_states({"embedding": str(good)})
    capacity = 2**20 // (3 * 4 * 2)
    for content in (good.read_bytes()[:-4], good.read_bytes() + bytes(4), b""):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(RuntimeError, match=f"(?s)bad.*{capacity}"):
            model.load_sparse_optimizer_states([str(tmp_path / "bad")])
    with pytest.raises(RuntimeError, match="2.*1|1.*2"):
        model.load_sparse_optimizer_states([str(good)] * 2)
    with pytest.raises(RuntimeError, match="other.*embedding"):
        model.load_sparse_optimizer_states({"other": str(good)})


def test_keys_are_64_bit_whatever_the_input(tmp_path):
    """Keys with the top bit of 32 set are widened without a sign."""
    declaration = tiny()
    big = np.array([2**31 + 5, 300])
    source = training.write_norm(tmp_path, declaration, [tiny_batch([[1, 2]] * 4, [1, 0, 0, 1], big)])
    model = training.create_model(declaration, SGD, source, batch_size=4)
    model.start_data_reading()
    training.train(model, 1)
    model.save_params_to_files(str(tmp_path / "out"))
    assert sorted(np.fromfile(tmp_path / "out0_sparse_0.model" / "key", "<i8")) == sorted(big)


def test_statistics_of_another_layer_type_are_rejected(tmp_path):
    model = batch_norm_model(tmp_path)
    model.save_params_to_files(str(tmp_path / "out"))
    file = tmp_path / "out_dense_0.model.ntp.json"
    file.write_text(file.read_text().replace("BatchNorm", "LayerNorm", 1))
    with pytest.raises(RuntimeError, match="ntp.json"):
        model.load_dense_weights(str(tmp_path / "out_dense_0.model"))


def as_16_bit(path):
    """What an older release with mixed precision left: half the size, no files beside it."""
    np.fromfile(path, "<f4").astype("<f2").tofile(path)
    for side_file in (".step", ".json"):
        path.with_name(path.name + side_file).unlink()


def test_16_bit_states_of_older_releases(tmp_path):
    model = model_of(tiny(), tmp_path, Optimizer("Adam"))
    model.start_data_reading()
    training.train(model, 3)
    model.save_params_to_files(str(tmp_path / "a"))
    for name in ("a_opt_dense_0.model", "a0_opt_sparse_0.model"):
        as_16_bit(tmp_path / name)
    other = model_of(tiny(), tmp_path, Optimizer("Adam"))
    other.load_sparse_weights([str(tmp_path / "a0_sparse_0.model")])
    other.load_dense_optimizer_states(str(tmp_path / "a_opt_dense_0.model"))
    other.load_sparse_optimizer_states([str(tmp_path / "a0_opt_sparse_0.model")])
    other.save_params_to_files(str(tmp_path / "b"))
    for name in ("_opt_dense_0", "0_opt_sparse_0"):
        got = np.fromfile(tmp_path / f"b{name}.model", "<f4")
        np.testing.assert_array_equal(got, np.fromfile(tmp_path / f"a{name}.model", "<f2"))


@pytest.mark.parametrize("kind", ["MomentumSGD", "Nesterov", "AdaGrad"])
def test_states_of_another_optimizer_are_refused(kind, tmp_path):
    saved = model_of(tiny(), tmp_path, Optimizer(kind))
    saved.save_params_to_files(str(tmp_path / "a"))
    model = model_of(tiny(), tmp_path, Optimizer("Adam"))
    model.start_data_reading()
    with pytest.raises(hugectr.HugectrError, match="another model or optimizer"):
        model.load_dense_optimizer_states(str(tmp_path / "a_opt_dense_0.model"))
    with pytest.raises(hugectr.HugectrError, match="optimizer states"):
        model.load_sparse_optimizer_states([str(tmp_path / "a0_opt_sparse_0.model")])


def test_weights_are_no_optimizer_states(tmp_path):
    declaration = small("dcn")
    source = training.write_norm(
        tmp_path / "d", declaration, [reference.random_batch(declaration, 8, np.random.default_rng(1))]
    )
    model = training.create_model(declaration, Optimizer("Adam"), source, batch_size=8)
    model.save_params_to_files(str(tmp_path / "a"))
    with pytest.raises(hugectr.HugectrError, match="which no state of"):
        model.load_dense_optimizer_states(str(tmp_path / "a_dense_0.model"))


def test_impossible_step_counters_are_refused(tmp_path):
    model = model_of(tiny(), tmp_path, Optimizer("Adam"))
    model.save_params_to_files(str(tmp_path / "a"))
    np.array([-5, 1, 1], "<i8").tofile(tmp_path / "a_opt_dense_0.model.step")
    with pytest.raises(hugectr.HugectrError, match=r"a_opt_dense_0.model.step.*entry 0 is -5"):
        model.load_dense_optimizer_states(str(tmp_path / "a_opt_dense_0.model"))


def table_of(model, folder):
    model.save_params_to_files(str(folder / "probe"))
    return [a.tolist() for a in training.read_table(folder / "probe0_sparse_0.model", 2)]


@pytest.mark.parametrize("bad", ["too many for rank 1", "twice"])
def test_a_sparse_load_that_fails_changes_no_rank(bad, tmp_path):
    model = model_of(tiny(), tmp_path, ranks=2)
    model.start_data_reading()
    training.train(model, 1)
    before = table_of(model, tmp_path)
    keys = np.r_[0:8:2, 1:300_001:2] if bad != "twice" else np.array([2, 1, 4, 5, 1])
    (tmp_path / "bad").mkdir()
    keys.astype("<i8").tofile(tmp_path / "bad" / "key")
    np.ones(2 * len(keys), "<f4").tofile(tmp_path / "bad" / "emb_vector")
    error = r"150000 rows for rank 1, which can hold" if bad != "twice" else "rows 1 and 4 have the same key 1"
    with pytest.raises(hugectr.HugectrError, match=error):
        model.load_sparse_weights([str(tmp_path / "bad")])
    assert table_of(model, tmp_path) == before
