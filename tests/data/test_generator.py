# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os

import numpy as np
import pyarrow.parquet as pq
import pytest
from harness.readers import make_reader, read_all
from hugectr import DataReaderType_t
from hugectr.enums import Check_t, Distribution_t, PowerLaw_t
from hugectr.errors import InvalidArgumentError
from hugectr.tools import DataGenerator, DataGeneratorParams
from hugectr.tools.generator import power_law

SIZES = [4, 30, 100]
SPARSE = [("d", [1, 3, 2])]


def params(folder, format, **fields):
    values = {
        "format": getattr(DataReaderType_t, format), "label_dim": 2, "dense_dim": 3, "num_slot": 3,
        "i64_input_key": False, "source": str(folder / "t" / "list.txt"), "eval_source": str(folder / "e" / "list.txt"),
        "slot_size_array": SIZES, "nnz_array": [1, 3, 2], "num_files": 3, "eval_num_files": 2,
        "num_samples_per_file": 50, "num_samples": 70, "eval_num_samples": 20, "seed": 1, **fields,
    }  # fmt: skip
    return DataGeneratorParams(**values)


def generate(*args, **fields):
    p = params(*args, **fields)
    DataGenerator(p).generate()
    return p


def read(format, source, sparse=SPARSE, **fields):
    return read_all(make_reader(format, source, sparse, label_dim=2, dense_dim=3, batch_size=32, **fields))


def check_floats(rows):
    labels = np.array([row[0] for row in rows])
    dense = np.array([row[1] for row in rows])
    assert set(np.unique(labels)) == {0, 1} and dense.min() >= 0 and dense.max() < 1 and dense.std() > 0.2


@pytest.mark.parametrize("check_type", Check_t)
@pytest.mark.parametrize("i64", [False, True])
def test_norm(tmp_path, check_type, i64):
    p = generate(tmp_path, "Norm", check_type=check_type, i64_input_key=i64)
    expected = [str(tmp_path / "t" / "train" / f"gen_{k}.data") for k in range(3)]
    assert (tmp_path / "t" / "list.txt").read_text().split() == ["3", *expected]
    fields = {"check_sum": check_type == Check_t.Sum, "i64_keys": i64}
    rows = read("norm", p.source, **fields)
    assert len(rows) == 150 and len(read("norm", p.eval_source, **fields)) == 100
    check_floats(rows)
    first = [0, 4, 34]
    for row in rows:
        for slot, keys in enumerate(row[2][0]):
            assert len(keys) == p.nnz_array[slot]
            assert all(first[slot] <= key < first[slot] + SIZES[slot] for key in keys)


@pytest.mark.parametrize("format", ["Norm", "Parquet"])
def test_an_existing_data_set_is_kept(format, tmp_path, capfd):
    p = generate(tmp_path, format)
    before = read(format.lower(), p.source, check_sum=True)
    p.seed = 2
    os.remove(p.eval_source)
    DataGenerator(p).generate()
    out = capfd.readouterr()
    assert f'File list "{p.source}" exists' in out.out
    assert out.err == ""  # progress bars are for terminals
    assert read(format.lower(), p.source, check_sum=True) == before
    assert os.path.exists(p.eval_source)


@pytest.mark.parametrize("eval_source", ["t/list.txt", "t/../t/list.txt", "link"])
def test_one_raw_file_for_both_is_an_error_before_anything_is_written(eval_source, tmp_path):
    (tmp_path / "t").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "t" / "list.txt")
    p = params(tmp_path, "Raw", nnz_array=[])
    p.eval_source = str(tmp_path / eval_source)
    with pytest.raises(InvalidArgumentError, match='source and eval_source name one Raw file, ".*/t/list.txt"'):
        DataGenerator(p).generate()
    assert not list((tmp_path / "t").iterdir())


@pytest.mark.parametrize("format", ["Norm", "Parquet"])
def test_one_file_list_for_both_lists_the_training_data(format, tmp_path):
    p = generate(tmp_path, format, eval_source=str(tmp_path / "t" / "list.txt"))
    assert len(read(format.lower(), p.source, check_sum=True)) == 150
    assert not (tmp_path / "t" / "val").exists()


@pytest.mark.parametrize("i64", [False, True])
def test_parquet(tmp_path, i64):
    p = generate(tmp_path, "Parquet", i64_input_key=i64)
    metadata = json.loads((tmp_path / "t" / "train" / "_metadata.json").read_text())
    assert metadata["file_stats"] == [{"file_name": f"gen_{k}.parquet", "num_rows": 50} for k in range(3)]
    names = ["label0", "label1", "C2", "C3", "C4", "C5", "C6", "C7"]
    entries = metadata["labels"] + metadata["conts"] + metadata["cats"]
    assert [(e["col_name"], e["index"]) for e in entries] == [(n, i) for i, n in enumerate(names)]
    schema = pq.read_schema(tmp_path / "t" / "train" / "gen_0.parquet")
    key = "int64" if i64 else "int32"
    assert schema.names == names
    assert [str(t) for t in schema.types[4:]] == ["float", key, f"list<element: {key}>", f"list<element: {key}>"]
    rows = read("parquet", p.source, i64_keys=i64, slot_size_array=SIZES)
    assert len(rows) == 150
    check_floats(rows)
    assert {len(row[2][0][1]) for row in rows} == {1, 2, 3}


@pytest.mark.parametrize("is_float", [False, True])
def test_raw(tmp_path, is_float):
    p = generate(tmp_path, "Raw", nnz_array=[], float_label_dense=is_float)
    sparse = [("d", [1, 1, 1])]
    rows = read("raw", p.source, sparse, num_samples=70, float_label_dense=is_float, slot_size_array=SIZES)
    dense = np.arange(3, dtype=np.float32)
    expected = (dense if is_float else np.log1p(dense)).tolist()
    assert [row[0] for row in rows] == [[i % 2.0, i % 2.0] for i in range(70)]
    np.testing.assert_allclose([row[1] for row in rows], [expected] * 70, rtol=1e-6)
    assert len(read("raw", p.eval_source, sparse, num_samples=20, float_label_dense=is_float)) == 20


def test_relative_sources_and_seed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    contents = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4), ("d", None), ("e", None)):
        generate(tmp_path, "Norm", source=f"{name}/list.txt", eval_source=f"{name}/eval.txt", seed=seed)
        assert (tmp_path / name / "list.txt").read_text().split()[1] == f"{name}/train/gen_0.data"
        contents.append((tmp_path / name / "train" / "gen_0.data").read_bytes())
    assert contents[0] == contents[1] and len(set(contents)) == 4
    files = {(tmp_path / "a" / part / f"gen_{k}.data").read_bytes() for part in ("train", "val") for k in (0, 1)}
    assert len(files) == 4


@pytest.mark.parametrize(
    ("alpha", "expected"),
    [
        (0.9, {0: 0, 0.1: 2, 0.25: 8, 0.5: 56, 0.75: 263, 0.9: 598, 0.99: 950, 0.999: 994}),
        (1.1, {0: 0, 0.1: 1, 0.25: 3, 0.5: 17, 0.75: 107, 0.9: 386, 0.99: 905, 0.999: 989}),
        (1.2, {0: 0, 0.1: 0, 0.25: 2, 0.5: 9, 0.75: 61, 0.9: 270, 0.999: 984}),
        (1.3, {0: 0, 0.1: 0, 0.25: 1, 0.5: 6, 0.75: 34, 0.9: 171, 0.99: 799, 0.999: 976}),
    ],
)
def test_power_law_values(alpha, expected):
    assert power_law(np.array(list(expected), float), 1000, alpha).tolist() == list(expected.values())


def test_power_law_of_a_small_range():
    assert power_law(np.array([0, 0.3, 0.5, 0.9]), 100, 1.2).tolist() == [0, 2, 5, 48]
    assert power_law(np.array([0, 0.5, 0.999999]), 1, 1.2).tolist() == [0, 0, 0]
    assert power_law(np.array([np.nextafter(1, 0)]), 1000, 0.9).tolist() == [999]


@pytest.mark.parametrize(
    ("fields", "p0", "below_ten"),
    [
        ({"power_law_type": PowerLaw_t.Long}, 0.0415767, 0.2663446),
        ({"power_law_type": PowerLaw_t.Medium}, 0.0796601, 0.4200732),
        ({"power_law_type": PowerLaw_t.Short}, 0.1310279, 0.5789852),
        ({"alpha": 1.2}, 0.1040210, 0.5010202),
        ({"dist_type": Distribution_t.Uniform}, 0.001, 0.01),
    ],
)
def test_distributions(tmp_path, fields, p0, below_ten):
    n = 40000
    p = generate(tmp_path, "Norm", num_files=1, eval_num_files=1, num_samples_per_file=n, num_slot=1, label_dim=1,
                 dense_dim=0, slot_size_array=[1000], nnz_array=[], **fields)  # fmt: skip
    reader = make_reader("norm", p.source, [("d", [1])], check_sum=True, batch_size=n)
    reader.start()
    keys = reader.next()["sparse"][0][1]
    for share, expected in (((keys == 0).mean(), p0), ((keys < 10).mean(), below_ten)):
        assert abs(share - expected) < 5 * np.sqrt(expected * (1 - expected) / n)


@pytest.mark.parametrize(
    ("format", "fields", "message"),
    [
        ("Norm", {"slot_size_array": [1]}, "slot_size_array has 1 entries, num_slot is 3"),
        ("Norm", {"nnz_array": [1]}, "nnz_array has 1 entries, num_slot is 3"),
        ("Norm", {"slot_size_array": [1, 0, 1]}, "slot_size_array must be positive"),
        ("Norm", {"nnz_array": [1, 0, 1]}, "nnz_array must be positive"),
        ("Norm", {"alpha": 1}, "alpha must be positive and not 1, got 1"),
        ("Norm", {"alpha": -0.5}, "alpha must be positive"),
        ("Norm", {"num_files": 0}, "num_files must be positive, got 0"),
        ("Norm", {"dense_dim": -1}, "dense_dim must not be negative"),
        ("Norm", {"slot_size_array": [2**31, 2**31, 5]}, "leads to key 4294967300.*i64_input_key=True"),
        ("Raw", {}, "Raw files have one key a slot"),
        ("Raw", {"nnz_array": [], "i64_input_key": True}, "Raw requires 32-bit keys"),
        ("RawAsync", {}, "format must be Norm, Parquet or Raw"),
    ],
)
def test_rejected_parameters(tmp_path, format, fields, message):
    with pytest.raises(InvalidArgumentError, match=message):
        params(tmp_path, format, **fields)


@pytest.mark.parametrize("fields, message", [
    (dict(slot_size_array=[2**62] * 3, i64_input_key=True), "slot_size_array leads to key .*, 64-bit keys end at"),
    (dict(num_samples_per_file=2**62), "samples at a time have .* values, more than"),
    (dict(label_dim=2**40), "samples at a time have .* values, more than"),
])  # fmt: skip
def test_sizes_that_no_memory_holds(fields, message, tmp_path):
    with pytest.raises(InvalidArgumentError, match=message):
        generate(tmp_path, "Norm", **fields)


def test_parameters_are_attributes(tmp_path):
    p = params(tmp_path, "Norm")
    assert (p.label_dim, p.slot_size_array, p.check_type, p.alpha) == (2, SIZES, Check_t.Sum, 1.2)
    p.alpha = 1
    with pytest.raises(InvalidArgumentError, match="alpha"):
        DataGenerator(p).generate()
    with pytest.raises(TypeError, match="argument 'check_type' must be Check_t, got str"):
        params(tmp_path, "Norm", check_type="Sum")
