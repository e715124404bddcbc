# SPDX-License-Identifier: Apache-2.0
"""From data frames to Parquet data sets: ids, numbers, labels, metadata, and the same again for the next frame."""

import json
from collections import Counter

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from hugectr.errors import FileError, InvalidArgumentError, NotFoundError
from hugectr.tools import Bins, Categorical, Cross, Mappings, Numeric, Threshold, to_parquet
from hypothesis import given, settings
from hypothesis import strategies as st

COLUMNS = {
    "clicked": [1, 0, 0, 1, 0, 1],
    "city": ["Paris", "Rome", "Paris", None, "Oslo", "Rome"],
    "age": [20.0, 30.0, 40.0, 50.0, 60.0, 70.0],
    "device": [7, 7, 8, 9, 9, 9],
}
SPEC = dict(labels="clicked", numeric={"age": "minmax"}, categorical=["city", "device"])


def read(data_set):
    return pa.concat_tables([pq.read_table(file) for file in data_set.files])


def column(data_set, name):
    return read(data_set)[name].to_pylist()


def ids(values, tmp_path, **options):
    """Ids of a column learned from itself."""
    data = {"y": [0] * len(values), "c": values}
    return column(to_parquet(data, tmp_path / "ids", labels="y", categorical=[Categorical("c", **options)]), "c")


def test_files_and_metadata(tmp_path):
    data_set = to_parquet(pd.DataFrame(COLUMNS), tmp_path / "train", rows_per_file=4, **SPEC)
    folder = tmp_path / "train"
    assert sorted(file.name for file in folder.iterdir()) == [
        "_file_list.txt", "_metadata.json", "mappings.json", "part_0.parquet", "part_1.parquet",
    ]  # fmt: skip
    assert (folder / "_file_list.txt").read_text().split("\n") == [
        "2", str(folder / "part_0.parquet"), str(folder / "part_1.parquet"), "",
    ]  # fmt: skip
    assert json.loads((folder / "_metadata.json").read_text()) == {
        "file_stats": [{"file_name": "part_0.parquet", "num_rows": 4}, {"file_name": "part_1.parquet", "num_rows": 2}],
        "labels": [{"col_name": "clicked", "index": 0}],
        "conts": [{"col_name": "age", "index": 1}],
        "cats": [{"col_name": "city", "index": 2}, {"col_name": "device", "index": 3}],
    }
    schema = pq.read_schema(folder / "part_0.parquet")
    assert schema.names == data_set.column_names == ["clicked", "age", "city", "device"]
    assert schema.types == [pa.float32(), pa.float32(), pa.int64(), pa.int64()]
    assert (data_set.label_dim, data_set.dense_dim, data_set.num_rows) == (1, 1, 6)
    assert data_set.slot_size_array == [5, 5] and data_set.nnz_per_slot == [1, 1]
    assert data_set.source == str(folder / "_file_list.txt")


def test_ids_go_by_frequency_then_text_and_missing_has_its_own(tmp_path):
    assert ids(["b", "a", "c", "a", None, "c"], tmp_path) == [4, 2, 3, 2, 1, 3]
    assert ids([7.0, float("nan"), 7.0, 3.0], tmp_path) == [2, 1, 2, 3]
    assert ids(["b", "a", "a", "b", "c"], tmp_path, min_frequency=2) == [3, 2, 2, 3, 0]


@pytest.mark.parametrize("make", [
    pd.DataFrame, pl.DataFrame, pa.table, dict,
    lambda data: pa.table(data).to_reader(),
    lambda data: pa.dataset.dataset(pa.table(data)),
    lambda data: pa.table(data).to_batches()[0],
    lambda data: pl.DataFrame(data).with_columns(pl.col("city").cast(pl.Categorical)),
    lambda data: pd.DataFrame(data).astype({"city": "category", "device": "float64", "clicked": "bool"}),
])  # fmt: skip
def test_every_source_gives_the_same_files(make, tmp_path):
    expected = to_parquet(pa.table(COLUMNS), tmp_path / "expected", **SPEC)
    data_set = to_parquet(make(COLUMNS), tmp_path / "train", **SPEC)
    assert read(data_set).equals(read(expected))
    assert data_set.mappings == expected.mappings


@pytest.mark.parametrize("name", ["data.csv", "data.csv.gz", "data.tsv", "data.parquet", "folder"])
def test_files_as_sources(name, tmp_path):
    table, path = pa.table(COLUMNS), tmp_path / name
    if name.startswith("data.csv"):
        pd.DataFrame(COLUMNS).to_csv(path, index=False)
    elif name == "data.tsv":
        pd.DataFrame(COLUMNS).to_csv(path, index=False, sep="\t")
    elif name == "folder":
        path.mkdir()
        pq.write_table(table.slice(0, 2), path / "a.parquet")
        pq.write_table(table.slice(2), path / "b.parquet")
    else:
        pq.write_table(table, path)
    expected = to_parquet(table, tmp_path / "expected", **SPEC)
    assert read(to_parquet(str(path), tmp_path / "train", **SPEC)).equals(read(expected))
    assert read(to_parquet(path, tmp_path / "again", mappings=expected)).equals(read(expected))


def test_csv_keeps_leading_zeros(tmp_path):
    (tmp_path / "zip.csv").write_text("y,zip\n1,007\n0,7\n0,007\n")
    data_set = to_parquet(tmp_path / "zip.csv", tmp_path / "train", labels="y", categorical=["zip"])
    assert data_set.mappings.categorical[0].ids == {"007": 2, "7": 3}


@pytest.mark.parametrize("stored", [
    lambda values: values,
    lambda values: values.cast(pa.float64()),
    lambda values: values.cast(pa.string()),
    lambda values: values.cast(pa.string()).dictionary_encode(),
    lambda values: pa.array(np.arange(len(values)) % 3, mask=np.arange(len(values)) % 7 == 0),
])  # fmt: skip
def test_many_values_over_many_batches(stored, tmp_path, monkeypatch):
    monkeypatch.setattr("hugectr.tools.arrow._PENDING", 1000)
    rng, rows = np.random.default_rng(4), 300_000
    values = stored(pa.array(rng.integers(-50, 40_000, rows), mask=rng.random(rows) < 0.01))
    train = to_parquet({"y": np.zeros(rows), "c": values}, tmp_path / "train", labels="y",
                       categorical=[Categorical("c", min_frequency=2)])  # fmt: skip
    texts = [None if value is None else str(value).removesuffix(".0") for value in values.to_pylist()]
    counts = Counter(text for text in texts if text is not None)
    frequent = sorted((text for text in counts if counts[text] >= 2), key=lambda text: (-counts[text], text))
    expected = {None: 1, **{text: 2 + i for i, text in enumerate(frequent)}}
    assert column(train, "c") == [expected.get(text, 0) for text in texts]
    assert list(train.mappings.categorical[0].ids.items()) == list(expected.items())[1:]
    groups = pq.ParquetFile(train.files[0]).metadata
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [65536] * 4 + [rows - 4 * 65536]


def test_next_frame_unknown_and_missing_values(tmp_path):
    train = to_parquet(pd.DataFrame(COLUMNS), tmp_path / "train", **SPEC)
    following = pl.DataFrame({"clicked": [1, 0, 1], "city": ["Oslo", "Atlantis", None], "age": [45.0, 70.0, 95.0],
                              "device": [9, 10, None]})  # fmt: skip
    test = train.apply(following, tmp_path / "test")
    assert column(test, "city") == [4, 0, 1]
    assert column(test, "device") == [2, 0, 1]
    assert column(test, "age") == [0.5, 1.0, 1.5]
    assert test.slot_size_array == train.slot_size_array
    for mappings in [train, train.mappings, tmp_path / "train", str(tmp_path / "train" / "mappings.json")]:
        assert read(to_parquet(following, tmp_path / "again", mappings=mappings)).equals(read(test))


def test_mappings_file_gives_the_same_object(tmp_path):
    data_set = to_parquet(
        {"y": ["no", "yes"], "z": [3, 5], "w": [0, 1], "a": [1.5, 2.5], "b": [1.0, None], "t": [["x"], ["y", "x"]]},
        tmp_path / "train",
        labels={"y": {"no": 0, "yes": 1}, "z": Threshold(4), "w": None},
        numeric=[Numeric("a", "standard"), Numeric("b", "log", missing="mean")],
        categorical=[Categorical("t", max_length=3), Bins("a", 2), Cross("y", "z")],
    )
    assert Mappings.load(tmp_path / "train") == data_set.mappings
    data_set.mappings.save(tmp_path / "copy.json")
    assert (tmp_path / "copy.json").read_bytes() == (tmp_path / "train" / "mappings.json").read_bytes()


def test_serving_data_has_no_label(tmp_path):
    train = to_parquet(COLUMNS, tmp_path / "train", **SPEC)
    frame = pd.DataFrame(COLUMNS).drop(columns="clicked")
    served = train.apply(frame, tmp_path / "serve", labeled=False)
    assert column(served, "clicked") == [0.0] * 6
    assert read(served).drop(["clicked"]).equals(read(train).drop(["clicked"]))
    with pytest.raises(NotFoundError, match='unknown column "clicked"'):
        train.apply(frame, tmp_path / "serve")


def test_numeric_scales(tmp_path):
    x = np.array([0.0, 1.0, 2.0, 5.0])
    scaled = {"none": x, "standard": (x - x.mean()) / x.std(), "minmax": x / 5, "log": np.log1p(x)}
    for scale, expected in scaled.items():
        data_set = to_parquet({"y": [0] * 4, "x": x}, tmp_path / scale, labels="y", numeric={"x": scale})
        np.testing.assert_array_equal(column(data_set, "x"), np.float32(expected))
    constant = to_parquet({"y": [0, 1], "x": [3, 3]}, tmp_path / "constant", labels="y", numeric={"x": "standard"})
    assert column(constant, "x") == [0.0, 0.0]


def test_missing_numbers(tmp_path):
    data = {"y": [0, 0, 0], "x": [1.0, None, 4.0]}
    mean = to_parquet(data, tmp_path / "mean", labels="y", numeric=[Numeric("x", missing="mean")])
    assert column(mean, "x") == [1.0, 2.5, 4.0]
    value = to_parquet(data, tmp_path / "value", labels="y", numeric=[Numeric("x", missing=-1)])
    assert column(value, "x") == [1.0, -1.0, 4.0]
    with pytest.raises(InvalidArgumentError, match=r'"x": a value is missing; .*Numeric\("x", missing=.*row 1\)'):
        to_parquet(data, tmp_path / "none", labels="y", numeric=["x"])


def test_bins_are_equally_filled_and_keep_outliers(tmp_path):
    x = np.random.default_rng(1).permutation(1000).astype(float)
    data_set = to_parquet({"y": np.zeros(1000), "x": x}, tmp_path / "train", labels="y", categorical=[Bins("x", 10)])
    assert data_set.column_names == ["y", "x_bin"] and data_set.slot_size_array == [12]
    np.testing.assert_array_equal(column(data_set, "x_bin"), 2 + x // 100)
    test = data_set.apply({"y": [0] * 4, "x": [-1e9, 1e9, np.nan, 250]}, tmp_path / "test")
    assert column(test, "x_bin") == [2, 11, 1, 4]
    few = to_parquet({"y": [0] * 4, "x": [1, 1, 1, 2]}, tmp_path / "few", labels="y", categorical=[Bins("x", 10)])
    assert column(few, "x_bin") == [2, 2, 2, 3] and few.slot_size_array == [4]


def test_large_columns_are_sampled_for_bins(tmp_path, monkeypatch):
    monkeypatch.setattr("hugectr.tools.learners.SAMPLE_SIZE", 1000)
    x = np.random.default_rng(2).random(150_000)
    data_set = to_parquet({"y": np.zeros(len(x)), "x": x}, tmp_path / "train", labels="y", categorical=[Bins("x", 4)])
    counts = np.bincount(column(data_set, "x_bin"))[2:]
    assert np.abs(counts / len(x) - 0.25).max() < 0.05


def test_lists(tmp_path):
    lists = [["b", "a"], [], None, ["a"], ["c", None, "a"]]
    assert ids(lists, tmp_path) == [[3, 2], [], [1], [2], [4, 1, 2]]
    data_set = to_parquet({"y": [0] * 5, "c": lists}, tmp_path / "train", labels="y", categorical=["c"])
    assert data_set.nnz_per_slot == [3] and read(data_set)["c"].type == pa.list_(pa.int64())
    with pytest.raises(InvalidArgumentError, match=r"at most 3 entries, got 4; .*max_length.*\(row 1\)"):
        data_set.apply({"y": [0, 0], "c": [["a"], list("abcd")]}, tmp_path / "test")
    with pytest.raises(InvalidArgumentError, match='column "c": the mapping was made of lists, got single values'):
        data_set.apply({"y": [0], "c": ["a"]}, tmp_path / "test")
    assert ids([[1, 2, 3], [], None, [3], [2]], tmp_path, max_length=2) == [[3, 2], [], [1], [4], [2]]


def test_crosses(tmp_path):
    data = {"y": [0] * 4, "a": ["u", "u", "v", None], "b": [1, 1, 2, 2]}
    data_set = to_parquet(data, tmp_path / "train", labels="y", categorical=[Cross("a", "b")])
    assert data_set.column_names == ["y", "a_x_b"] and column(data_set, "a_x_b") == [2, 2, 3, 1]
    test = data_set.apply({"y": [0], "a": ["u"], "b": [2]}, tmp_path / "test")
    assert column(test, "a_x_b") == [0]


@pytest.mark.parametrize("rule, values, expected", [
    (None, [0, 1.5, True], [0, 1.5, 1]),
    (">50K", ["<=50K", ">50K", "?"], [0, 1, 0]),
    (2, [1, 2, 3], [0, 1, 0]),
    (True, [True, False], [1, 0]),
    (Threshold(4), [3, 4, 5], [0, 1, 1]),
    ({"no": 0, "yes": 1}, ["yes", "no"], [1, 0]),
    ({1: 0, 2: 1}, [2.0, 1.0], [1, 0]),
])  # fmt: skip
def test_label_rules(rule, values, expected, tmp_path):
    values = pa.array(values, pa.float64()) if rule is None else values
    assert column(to_parquet({"y": values}, tmp_path, labels={"y": rule}), "y") == expected


@pytest.mark.parametrize("rule, values, message", [
    (None, [0, None], r'label "y": expected a finite number, got None \(row 1\)'),
    (None, ["0", "1"], r'column "y": expected numbers, got text, for example \'0\''),
    (">50K", ["<=50K", None], r'label "y": expected a value, got None \(row 1\)'),
    ({"no": 0, "yes": 1}, ["no", "maybe"], r"label \"y\": expected one of 'no', 'yes', got 'maybe' \(row 1\)"),
])  # fmt: skip
def test_labels_that_do_not_fit(rule, values, message, tmp_path):
    with pytest.raises(InvalidArgumentError, match=message):
        to_parquet({"y": values}, tmp_path, labels={"y": rule})


def test_row_of_an_error_counts_over_batches(tmp_path):
    y = np.zeros(70_000)
    y[68_123] = np.nan
    with pytest.raises(InvalidArgumentError, match=r"\(row 68123\)"):
        to_parquet({"y": y}, tmp_path, labels="y")


def test_of_two_columns_that_do_not_fit_the_first_is_named(tmp_path):
    data = {"y": [0, 0], "b": [None, 1.0], "a": [1.0, None]}
    for first, row in (("a", 1), ("b", 0)):
        with pytest.raises(InvalidArgumentError, match=rf'column "{first}": a value is missing.*\(row {row}\)'):
            to_parquet(data, tmp_path, labels="y", numeric=sorted("ab", reverse=first == "b"))


@pytest.mark.parametrize("error, message, options", [
    (NotFoundError, 'unknown column "ctiy"; did you mean "city"? Known: clicked, city, age, device',
     dict(labels="clicked", categorical=["ctiy"])),
    (NotFoundError, 'column "age": unknown scale "standart". Known: none, standard, minmax, log',
     dict(labels="clicked", numeric={"age": "standart"})),
    (InvalidArgumentError, 'column "city": expected numbers, got', dict(labels="clicked", numeric=["city"])),
    (InvalidArgumentError, '"age" is used twice', dict(labels="clicked", numeric=["age"], categorical=["age"])),
    (InvalidArgumentError, "labels is missing", dict(categorical=["city"])),
    (InvalidArgumentError, "either mappings or labels", dict(labels="clicked", mappings="mappings.json")),
    (FileError, "does not exist", dict(mappings="mappings.json")),
])  # fmt: skip
def test_wrong_arguments(error, message, options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as caught:
        to_parquet(pd.DataFrame(COLUMNS), tmp_path / "train", **options)
    assert message in str(caught.value)


@pytest.mark.parametrize("source, message", [
    (object(), "cannot read a builtins.object"),
    ("nowhere.csv", "does not exist"),
    ({"clicked": [], "city": [], "age": [], "device": []}, "the source has no rows"),
    (pd.DataFrame({**COLUMNS, "city": ["a", 1, 2, 3, 4, 5]}), 'cannot read column "city": Expected bytes'),
])  # fmt: skip
def test_wrong_sources(source, message, tmp_path):
    with pytest.raises((InvalidArgumentError, FileError), match=message):
        to_parquet(source, tmp_path, labels="clicked", categorical=["city"])


def test_wrong_csv_value_names_column(tmp_path):
    (tmp_path / "data.csv").write_text("y,x\n1,2\n0,many\n")
    with pytest.raises(InvalidArgumentError, match="many"):
        to_parquet(tmp_path / "data.csv", tmp_path / "train", labels="y", numeric=["x"])


@pytest.mark.parametrize("text", ["", "{}", '{"version": 2}', '{"version": 1, "labels": [{"nam": "y"}]}', "[1]"])
def test_damaged_mappings(text, tmp_path):
    (tmp_path / "mappings.json").write_text(text)
    with pytest.raises(FileError, match=r'mappings\.json"'):
        Mappings.load(tmp_path)


def test_an_error_leaves_the_old_data_set(tmp_path):
    old = to_parquet(COLUMNS, tmp_path / "train", rows_per_file=2, **SPEC)
    before = {file.name: file.read_bytes() for file in (tmp_path / "train").iterdir()}
    with pytest.raises(InvalidArgumentError):
        to_parquet({**COLUMNS, "clicked": [None] * 6}, tmp_path / "train", **SPEC)
    assert {file.name: file.read_bytes() for file in (tmp_path / "train").iterdir()} == before
    fewer = to_parquet(COLUMNS, tmp_path / "train", **SPEC)
    assert len(old.files) == 3 and len(list((tmp_path / "train").glob("part_*"))) == len(fewer.files) == 1


values = st.one_of(st.none(), st.text(max_size=3), st.sampled_from(["a", "b"]))


@settings(max_examples=50, deadline=None)
@given(
    train=st.lists(values, min_size=1, max_size=30),
    test=st.lists(values, min_size=1, max_size=30),
    chunk=st.integers(1, 10),
    order=st.randoms(),
)
def test_ids_are_a_function_of_the_values(train, test, chunk, order, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ids")
    whole = pa.table({"y": pa.array([0] * len(train)), "c": pa.array(train, pa.string())})
    data_set = to_parquet(whole, folder / "train", labels="y", categorical=["c"])
    encoded = dict(zip(train, column(data_set, "c")))
    known = {value for value in train if value is not None}
    assert sorted(encoded[value] for value in known) == list(range(2, 2 + len(known)))
    assert encoded.get(None, 1) == 1
    # the order of rows, chunks and reading as a stream change nothing
    shuffled = order.sample(range(len(train)), len(train))
    chunks = pa.Table.from_batches(whole.take(shuffled).combine_chunks().to_batches(max_chunksize=chunk), whole.schema)
    assert to_parquet(chunks.to_reader(), folder / "again", labels="y", categorical=["c"]).mappings == data_set.mappings
    following = data_set.apply({"y": [0] * len(test), "c": pa.array(test, pa.string())}, folder / "test")
    assert column(following, "c") == [1 if value is None else encoded.get(value, 0) for value in test]
