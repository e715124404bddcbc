# SPDX-License-Identifier: Apache-2.0
"""Tables, rules and files that do not fit: one clear error that names the column, or simply the right result."""

import datetime
import json
import os
import shutil

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hugectr import _core
from hugectr.arrow import open_stream
from hugectr.errors import FileError, HugectrError, InvalidArgumentError, NotFoundError
from hugectr.tools import (
    Bins,
    Categorical,
    Cross,
    Mappings,
    Numeric,
    Threshold,
    to_parquet,
    write_file_list,
    write_norm,
    write_raw,
)
from hugectr.tools.sources import _lists

Y = {"y": [0, 1, 0]}
PERIODS = pd.DataFrame({"y": [0, 1], "c": pd.period_range("2020-01", "2020-02", freq="M")})


def column(data_set, name="c"):
    return [value for file in data_set.files for value in pq.read_table(file)[name].to_pylist()]


@pytest.mark.parametrize("table, options, message", [
    ({**Y, "x": [1.0, 2.0, 1e300]}, dict(numeric=["x"]), r'column "x": 1e\+300 is too large for .*\(row 2\)'),
    ({**Y, "x": [1e300, 1.0, 2.0]}, dict(numeric={"x": "standard"}), 'column "x": values from 1 to 1e.300 .*standard'),
    ({**Y, "x": [1e308, -1e308, 2.0]}, dict(numeric={"x": "minmax"}), 'column "x": values from .* too far apart'),
    ({"y": [0, 1e300]}, {}, r'label "y": 1e\+300 is too large for a 32-bit float \(row 1\)'),
    ({**Y, "x": [datetime.date(2020, 1, 1)] * 3}, dict(numeric=["x"]), 'column "x": expected numbers, got times'),
    ({**Y, "x": [[1.0], [2.0], []]}, dict(numeric=["x"]), 'column "x": expected numbers, got lists of numbers'),
    ({**Y, "c": [{"a": 1}] * 3}, dict(categorical=["c"]), 'column "c": expected categories .*, got structs'),
    ({**Y, "c": [[["a"]], [["b"]], []]}, dict(categorical=["c"]), 'column "c": .* got lists of lists of text'),
    ({**Y, "c": [["a"]] * 3, "d": [1, 2, 3]}, dict(categorical=[Cross("c", "d")]), 'column "c": a Cross .* got lists'),
    (pa.table({**Y, "c": pa.array([[("a", 1)]] * 3, pa.map_(pa.string(), pa.int64()))}), dict(categorical=["c"]),
     'column "c": .* got maps'),
    (PERIODS, dict(categorical=["c"]), 'column "c": .* got pandas.period; make text or numbers of them'),
    ({**Y, "c": [b"\xff", b"a", None]}, dict(categorical=["c"]), 'column "c": cannot use bytes as categories'),
    (pd.DataFrame({**Y, "c": ["\ud800", "a", None]}, dtype=object), dict(categorical=["c"]),
     'cannot read column "c": .*surrogates'),
    (pd.DataFrame({**Y, "c": [1j, 2j, 3j]}), dict(categorical=["c"]), 'cannot read column "c"'),
    ({**Y, "c": [1]}, dict(categorical=["c"]), "cannot read the columns: .*named c expected length 3 but got length 1"),
    (pl.LazyFrame(Y), {}, r"cannot read a LazyFrame: pass what its collect\(\) returns"),
])  # fmt: skip
def test_tables_that_do_not_fit(table, options, message, tmp_path):
    with pytest.raises(InvalidArgumentError, match=message):
        to_parquet(table, tmp_path / "train", labels="y", **options)


@pytest.mark.parametrize("options, message", [
    (dict(rows_per_file=0), "rows_per_file must be at least 1, got 0"),
    (dict(rows_per_file=-1), "rows_per_file must be at least 1, got -1"),
    (dict(labels=0), "labels: expected a list of column names, got 0"),
    (dict(labels=Threshold(2)), r"labels: expected a list of column names, got Threshold"),
    (dict(labels=["y", 3]), "labels: expected column names, got 3"),
    (dict(labels={"y": [1, 2]}), r'label "y": a rule is a value .* got \[1, 2\]'),
    (dict(labels={"y": float("nan")}), 'label "y": a rule is a value .* got nan'),
    (dict(labels={"y": {1: "x"}}), 'label "y": the label of 1 must be a finite number, got \'x\''),
    (dict(labels={"y": {1: None}}), 'label "y": the label of 1 must be a finite number, got None'),
    (dict(labels={"y": {None: 1}}), 'label "y": a rule is a value .* got None'),
    (dict(categorical=None), "categorical: expected a list of column names, Categorical.*, got None"),
    (dict(categorical=[1]), "categorical: expected column names, .* got 1"),
    (dict(numeric=[Bins("y")]), r"numeric: expected column names, Numeric\(...\), got Bins"),
    (dict(categorical=["y"], min_frequency=0), 'column "y": min_frequency must be at least 1, got 0'),
])  # fmt: skip
def test_wrong_options(options, message, tmp_path):
    with pytest.raises(InvalidArgumentError, match=message):
        to_parquet(Y, tmp_path / "train", **{"labels": "y", **options})
    assert not (tmp_path / "train").exists()


@pytest.mark.parametrize("make", [
    lambda ids: {**Y, "c": ids},
    lambda ids: pd.DataFrame({**Y, "c": ids}),
    lambda ids: pd.DataFrame({**Y, "c": pd.Series(ids, dtype=object)}),
])  # fmt: skip
def test_ids_beyond_signed_ones(make, tmp_path):
    data_set = to_parquet(make([2**63, 5, 2**64 - 1]), tmp_path, labels="y", categorical=["c"])
    assert {int(text) for text in data_set.mappings.categorical[0].ids} == {2**63, 5, 2**64 - 1}
    for ids in ([2**64, 1, 5], [2**63, -1, 5]):
        with pytest.raises(InvalidArgumentError, match='cannot read column "c": it has whole numbers beyond 64 bits'):
            to_parquet(make(ids), tmp_path, labels="y", categorical=["c"])


def test_lists_ids_beyond_signed_ones(tmp_path):
    data_set = to_parquet({**Y, "c": [[2**63], [2**63, 5], []]}, tmp_path, labels="y", categorical=["c"])
    assert column(data_set) == [[2], [2, 3], []]


@pytest.mark.parametrize("make, message", [
    (lambda: Numeric("x", missing=10**400), 'column "x": missing must be a finite number'),
    (lambda: Numeric("\udcff"), r"Numeric\(\): column must be text that UTF-8 can hold"),
    (lambda: Cross("a", "\udcff"), r"Cross\(\): column must be text that UTF-8 can hold"),
    (lambda: Threshold(10**400), r"Threshold\(\): value must be finite"),
    (lambda: Threshold(float("nan")), r"Threshold\(\): value must be finite, got nan"),
    (lambda: Categorical("c", min_frequency=2**70), 'column "c": min_frequency must be a whole number of 64 bits, got'),
    (lambda: Categorical("c", min_frequency=1.5), 'column "c": min_frequency must be a whole number of 64 bits, got'),
    (lambda: Categorical("c", max_length=2**70), 'column "c": max_length must be a whole number of 64 bits'),
    (lambda: Bins("x", "4"), "column \"x\": count must be a whole number of 64 bits, got '4'"),
    (lambda: Bins("x", 2**40), 'column "x": Bins needs a count of 2 to 1048576, got 1099511627776'),
    (lambda: write_norm("n", [0], None, [[[2**64]]], i64=True),
     rf"slot 0, row 0: key {2**64} is not in \[-{2**63}, {2**63 - 2}\], the range of 64-bit keys"),
    (lambda: write_norm("n", [0, 1], None, [[[1], [-1, 2**63]]], i64=True), f"slot 0, row 1: key {2**63} is not in"),
    (lambda: write_norm("n", [0, 1], None, [[[-1], [2**63]]], i64=True), f"slot 0, row 1: key {2**63} is not in"),
    (lambda: write_norm("n", [0, 1], None, [([0, 1, 3], [-1, 7, 2**63])], i64=True), f"row 1: key {2**63} is not in"),
    (lambda: write_norm("n", [0], None, [[[2**63 - 1]]], i64=True), "the largest value of the key type is reserved"),
    (lambda: write_norm("n", [0, 0], None, [[[1], [-1]]]), r"row 1: key -1 is not in \[0, 4294967294\], .* 32-bit"),
    (lambda: write_norm("n", [0, 0], None, [[[1], [1.5]]]), "slot 0, row 1: keys must be integers, got 1.5"),
    (lambda: write_norm("n", [0], None, [[[True]]]), "slot 0, row 0: keys must be integers, got True"),
    (lambda: write_norm("n", [0], None, [([0, 2**70], [1])]), "slot 0: offsets must be integers of 64 bits"),
    (lambda: write_norm("n", [0, 1], [[1, 2], [3, 1e39]], []),
     r"dense, row 1, column 1: 1e\+39 is too large for a 32-bit float"),
    (lambda: write_norm("n", [float("inf"), -1e300], None, []), r"labels, row 1, column 0: -1e\+300 is too large"),
    (lambda: write_norm("n", [0], None, [[["a"]]]), "slot 0 must be numbers, got <U1"),
    (lambda: write_norm("n", [10**400], None, []), "labels must be a matrix of numbers: int too large"),
    (lambda: write_raw("r", [0, 1e39], None, [[1], [1]], float_label_dense=True), "labels, row 1, .* too large"),
    (lambda: write_raw("r", [0, 1], None, [[1, 2], [3, 2**64]]), f"keys, row 1: key {2**64} is not in"),
    (lambda: to_parquet({5: [0, 1], None: [1, 2]}, "set", labels="y"), 'unknown column "y". Known: 5, None'),
    (lambda: to_parquet({"y": [0, 1], 5: [1, 2]}, "set", labels="y", numeric={5: "log"}),
     "numeric: expected column names, got 5"),
    (lambda: write_norm("n", ["a"], None, []), "labels must be numbers, got <U1"),
    (lambda: write_norm("n", [0], None, 5), "slots must be a list with the keys of each slot, got 5"),
    (lambda: write_raw("r", [0, 1], [[1], [1, 2]], [[1], [1]]), "dense must be a matrix of numbers"),
    (lambda: write_raw("r", [2**70], None, [[1]]), "labels must be numbers"),
    (lambda: to_parquet(Y, "", labels="y"), r"to_parquet\(\): path is empty"),
    (lambda: to_parquet(Y, "set", labels={"y": 10**400}), 'label "y": a rule is a value of the column'),
    (lambda: to_parquet(Y, "set", labels={"y": {0: 10**400}}), 'label "y": the label of 0 must be a finite number'),
    (lambda: to_parquet(Y, "set", labels={"y": "\udcff"}), r"labels\['y'\] must be text that UTF-8 can hold"),
    (lambda: to_parquet(Y, "set", labels="\udcff"), "labels must be text that UTF-8 can hold"),
    (lambda: to_parquet(Y, "set", labels="y", categorical=["\udcff"]), "categorical must be text that UTF-8 can hold"),
    (lambda: to_parquet(Y, "a\nb", labels="y"), r"'a\\nb' cannot stand on a line of a file list"),
    (lambda: Mappings.load("x" * 300), 'cannot read "x*": File name too long'),
    (lambda: to_parquet("x" * 300 + ".csv", "set", labels="y"), "does not exist"),
])  # fmt: skip
def test_what_cannot_be_is_named(make, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HugectrError, match=message):
        make()
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("make, message", [
    (lambda: Numeric("x", missing=float("nan")), 'column "x": missing must be a finite number, "mean" .* got nan'),
    (lambda: Numeric("x", missing="median"), "\"mean\" or None, got 'median'"),
    (lambda: Categorical("c", max_length=0), 'column "c": max_length must be at least 1, got 0'),
    (lambda: Categorical("c", max_length=-1), 'column "c": max_length must be at least 1, got -1'),
    (lambda: Cross("a", "b", min_frequency=0), 'column "a_x_b": min_frequency must be at least 1, got 0'),
])  # fmt: skip
def test_wrong_columns(make, message):
    with pytest.raises(InvalidArgumentError, match=message):
        make()


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "train").touch()
    for path in [tmp_path / "train", tmp_path / "train" / "deeper"]:
        with pytest.raises(FileError, match="a data set is a folder, and there is a file in its place"):
            to_parquet(Y, path, labels="y")


@pytest.mark.parametrize("group, change, message", [
    ("labels", {"threshold": "q"}, "threshold must be float, got 'q'"),
    ("numeric", {"offset": "q"}, "offset must be float, got 'q'"),
    ("numeric", {"offset": float("nan")}, "NaN is not a number"),
    ("numeric", {"log": 3}, "log must be bool, got 3"),
    ("categorical", {"ids": {"a": 7}}, 'the ids of "c" are not 2, 3, ...'),
    ("categorical", {"ids": {"a": "7"}}, r"ids\['a'\] must be int"),
    ("categorical", {"kinds": ["colour"]}, 'the entry of "c" is damaged'),
    ("categorical", {"nnz": 0}, 'the entry of "c" is damaged'),
    ("categorical", {"boundaries": [2, 1]}, "is not a mappings file"),
])  # fmt: skip
def test_damaged_entries_of_mappings(group, change, message, tmp_path):
    to_parquet({**Y, "x": [1, 2, 3], "c": [1, 2, 3]}, tmp_path, labels="y", numeric=["x"], categorical=["c"])
    document = json.loads((tmp_path / "mappings.json").read_text())
    document[group][0].update(change)
    (tmp_path / "mappings.json").write_text(json.dumps(document))
    with pytest.raises(FileError, match=message):
        Mappings.load(tmp_path)


def test_a_label_that_is_missing_is_none(tmp_path):
    with pytest.raises(InvalidArgumentError, match=r'label "y": expected a finite number, got None \(row 1\)'):
        to_parquet({"y": [0, None], "x": [1, 2]}, tmp_path, labels="y", numeric=["x"])


def test_names_that_are_numbers_are_found_by_their_text(tmp_path):
    table = {"y": [0, 1], 5: [1.0, 2.0]}
    assert to_parquet(table, tmp_path, labels="y", numeric=["5"]).dense_dim == 1
    with pytest.raises(NotFoundError, match='unknown column "z". Known: y, 5'):
        to_parquet(table, tmp_path, labels="y", numeric=["z"])


@pytest.mark.parametrize("content, message", [
    (b"\xff\xfe", "byte 0 is not UTF-8"),
    (b"[" * 100_000, "it is nested too deeply"),
    (b"", "not valid JSON at line 1, column 1"),
    (b'{"version": 1,\n "labels": [}', "not valid JSON at line 2, column 13"),
    (b"[]", r"the document must be an object, got \[\]"),
    (b"null", "the document must be an object, got None"),
    (b"{}", 'the document has no "version"'),
    (b'{"version": [1]}', r"expected version 1, got \[1\]"),
    (b'{"version": "1"}', "expected version 1, got '1'"),
    (b'{"version": ' + b"1" * 5000 + b"}", "a number has too many digits"),
    (b'{"version": 1, "labels": {}}', r'"labels" must be a list, got {}'),
    (b'{"version": 1, "labels": [5]}', r"labels\[0\] must be an object, got 5"),
    (b'{"version": 1, "labels": [{"nam": "y"}]}', r'labels\[0\] has no "name"'),
    (b'{"version": 1, "labels": [{"name": "y", "more": 1}]}', r'labels\[0\] has an unknown member "more"; known:'),
    (b'{"version": 1, "labels": [], "numeric": [], "categorical": [{"name": "c"}]}', r'\w+\[0\] has no "columns"'),
    (b'{"version": 1, "labels": [], "numeric": [], "categorical": []}', "there must be at least one label"),
])  # fmt: skip
def test_a_mappings_file_of_something_else(content, message, tmp_path):
    (tmp_path / "mappings.json").write_bytes(content)
    with pytest.raises(FileError, match=f'mappings.json" is not a mappings file: {message}'):
        Mappings.load(tmp_path)


class Alarm(TimeoutError):
    pass


@pytest.mark.parametrize("error", [TimeoutError("over"), Alarm(), InterruptedError("enough"), ValueError("mine")])
@pytest.mark.parametrize("call", [
    lambda path: Mappings.load(path), lambda path: to_parquet(Y, path, labels="y"), lambda path: open_source_of(path)
])  # fmt: skip
def test_what_a_signal_handler_raises_passes(call, error, tmp_path, monkeypatch):
    to_parquet(Y, tmp_path, labels="y")

    def interrupted(*_):
        raise error

    monkeypatch.setattr(_core, "recover_files", interrupted)  # in the middle of it
    with pytest.raises(type(error)) as caught:
        call(tmp_path)
    assert caught.value is error


def open_source_of(path):
    return to_parquet(path, path / "other", labels="y")


def test_writers_make_folders(tmp_path):
    write_norm(tmp_path / "a/b/n", [0], None, [])
    write_raw(tmp_path / "c/d/r", [0], None, [[1]])
    write_file_list(tmp_path / "e/f/list", ["a"])
    to_parquet(Y, tmp_path / "g/h", labels="y").mappings.save(tmp_path / "i/j/m.json")
    assert Mappings.load(tmp_path / "i/j/m.json").column_names == ["y"]
    assert sum(len(files) for _, _, files in os.walk(tmp_path)) == 8
    (tmp_path / "x").touch()
    with pytest.raises(FileError, match='cannot create the folder ".*/x": File exists'):
        write_norm(tmp_path / "x" / "n", [0], None, [])


LISTS = [["a", "b"], None, [], ["c"], ["b", None], ["a"] * 5]


@pytest.mark.parametrize("is_large", [False, True])
@pytest.mark.parametrize("rows", [slice(None), slice(1, 5), slice(3, None), slice(1, 3), slice(2, 2)])
def test_views_of_lists(rows, is_large, tmp_path):
    make = pa.large_list_view if is_large else pa.list_view
    views = pa.array(LISTS, make(pa.string()))[rows]
    plain = pa.array(LISTS[rows], pa.list_(pa.string()))
    assert _lists(views).to_pylist() == plain.to_pylist()
    if len(plain):
        data = [to_parquet(pa.table({"y": [0] * len(plain), "c": c}), tmp_path / str(i), labels="y", categorical=["c"])
                for i, c in enumerate([plain, views])]  # fmt: skip
        assert column(data[0]) == column(data[1]) and data[0].mappings == data[1].mappings


def test_views_in_any_order_and_of_a_stream(tmp_path):
    views = pa.ListViewArray.from_arrays([3, 0, 1], [2, 2, 1], pa.array([1, 2, 3, 4, 5]))
    table = pa.table({**Y, "c": views})
    for source, first in ((table, 0), (table.to_reader(), 0), (table.slice(1), 1), (table.slice(1).to_reader(), 1)):
        data_set = to_parquet(source, tmp_path, labels="y", categorical=["c"])
        ids = data_set.mappings.categorical[0].ids
        assert column(data_set) == [[ids[str(v)] for v in row] for row in views.to_pylist()[first:]]


def test_integers_beyond_the_exact_range_of_floats_are_numbers(tmp_path):
    table = {**Y, "x": pa.array([2**64 - 1, 1, 2**60 + 1], pa.uint64())}
    data_set = to_parquet(table, tmp_path, labels="y", numeric=["x"], categorical=[Bins("x", 2)])
    assert column(data_set, "x") == [2.0**64, 1.0, 2.0**60] and column(data_set, "x_bin") == [3, 2, 3]


def test_frames_in_unusual_forms(tmp_path):
    numbered = pd.DataFrame({0: [0, 1, 0], 1: ["a", "b", "a"]})
    assert column(to_parquet(numbered, tmp_path, labels="0", categorical=["1"]), "1") == [2, 3, 2]
    with pytest.raises(NotFoundError, match='unknown column "2"'):
        to_parquet(numbered, tmp_path, labels="2")
    sparse = pd.DataFrame({**Y, "c": pd.arrays.SparseArray([0, 5, 0])})
    assert column(to_parquet(sparse, tmp_path, labels="y", numeric=["c"])) == [0, 5, 0]
    runs = pa.table({**Y, "c": pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["a", "b"]))})
    assert column(to_parquet(runs, tmp_path, labels="y", categorical=["c"])) == [2, 2, 3]


def test_a_single_column_needs_no_list(tmp_path):
    table = {**Y, "city": ["a", "b", "a"], "age": [1, 2, 3]}
    data_set = to_parquet(table, tmp_path, labels="y", numeric="age", categorical="city")
    assert data_set.column_names == ["y", "age", "city"]
    assert to_parquet(table, tmp_path, labels="y", categorical=Bins("age", 2)).column_names == ["y", "age_bin"]


def test_lists_that_are_all_missing(tmp_path):
    train = to_parquet({**Y, "c": [["a"], [], ["b"]]}, tmp_path / "train", labels="y", categorical=["c"])
    assert column(train.apply({**Y, "c": [None] * 3}, tmp_path / "test")) == [[1]] * 3


def test_csv_fields_that_look_like_missing_values(tmp_path):
    (tmp_path / "a.csv").write_text('y,country,age\n0,NA,1\n1,null,NA\n0,"",3\n1,,nan\n')
    data_set = to_parquet(tmp_path / "a.csv", tmp_path / "train", labels="y", numeric=[Numeric("age", missing=-1)],
                          categorical=["country"])  # fmt: skip
    assert data_set.mappings.categorical[0].ids == {"NA": 2, "null": 3}
    assert column(data_set, "country") == [2, 3, 1, 1] and column(data_set, "age") == [1, -1, 3, -1]


def test_a_data_set_as_the_source_of_another(tmp_path):
    first = to_parquet({**Y, "c": [1, 2, 3]}, tmp_path / "first", labels="y", categorical=["c"], rows_per_file=2)
    (tmp_path / "first" / "_temporary").mkdir()
    (tmp_path / "first" / "_temporary" / "half.parquet").touch()
    assert column(to_parquet(first.path, tmp_path / "second", labels="y", categorical=["c"])) == [2, 3, 4]
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match='empty" holds no Parquet files'):
        to_parquet(tmp_path / "empty", tmp_path / "third", labels="y")


def labels_read(source):
    spec = _core.testing.ReaderSpec()
    spec.format, spec.source, spec.batch_size = _core.testing.DataFormat.parquet, os.fspath(source), 4
    spec.repeat, spec.num_workers, spec.sparse = False, 1, [_core.testing.SparseInputSpec("s", [1])]
    spec.open_arrow = open_stream
    reader = _core.testing.Reader(spec)
    reader.start()
    return reader.next()["labels"].ravel().tolist()


@pytest.mark.parametrize("relative", [True, False])
def test_a_data_set_that_was_moved(relative, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = "old" if relative else tmp_path / "old"
    data_set = to_parquet({**Y, "c": [1, 2, 3]}, folder, labels="y", categorical=["c"], rows_per_file=2)
    assert labels_read(data_set.source) == [0, 1, 0, 0]
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "old", tmp_path / "elsewhere" / "new")
    assert labels_read(tmp_path / "elsewhere" / "new" / "_file_list.txt") == [0, 1, 0, 0]
    (tmp_path / "elsewhere" / "new" / "part_1.parquet").unlink()
    with pytest.raises(HugectrError, match='line 3: data file ".*part_1.parquet" does not exist'):
        labels_read(tmp_path / "elsewhere" / "new" / "_file_list.txt")
