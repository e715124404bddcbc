# SPDX-License-Identifier: Apache-2.0
"""A value keeps its id whatever the next table stores it as, and what is lost is said."""

import datetime
import decimal
import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hugectr.errors import InvalidArgumentError
from hugectr.tools import Cross, Mappings, to_parquet
from hugectr.tools.kinds import KINDS, NUMBER, all_canonical, canonical
from hypothesis import given
from hypothesis import strategies as st

DAYS = [datetime.date(2020, 1, 1), datetime.date(2020, 1, 2), datetime.date(2020, 1, 3)]
NAIVE = [datetime.datetime(day.year, day.month, day.day, 7, 30) for day in DAYS]
ZONED = pd.to_datetime(NAIVE).tz_localize("Europe/Paris")
USERS = [1099511627777, 1099511627778, 5]
GROUPS = {
    "times": [
        pa.array(NAIVE, pa.timestamp("ns")), pa.array(NAIVE, pa.timestamp("us")), pa.array(NAIVE, pa.timestamp("ms")),
        pa.array(NAIVE, pa.timestamp("s")),
        pa.array(["2020-01-01 07:30", "2020-01-02T07:30:00", "2020-01-03 07:30:00.0"]),
    ],
    "days": [
        pa.array(DAYS), pa.array(DAYS, pa.date64()), pa.array(DAYS).cast(pa.timestamp("ns")), pa.array(map(str, DAYS)),
        pa.array(["2020-01-01 00:00:00", "2020-01-02 00:00:00.000000000", "2020-01-03"]),
    ],
    "zones": [
        pa.array(ZONED), pa.array(ZONED.tz_convert("UTC").as_unit("s")), pa.array(ZONED.tz_convert("Asia/Tokyo")),
        pa.array(map(str, ZONED)),
    ],
    "times of day": [
        pa.array([datetime.time(1), datetime.time(2), datetime.time(3)], kind)
        for kind in (pa.time32("s"), pa.time64("us"), pa.time64("ns"))
    ] + [pa.array(["01:00", "02:00:00", "03:00:00.0"])],
    "durations": [pa.array([1, 2, 3], pa.duration("s")), pa.array([10**9, 2 * 10**9, 3 * 10**9], pa.duration("ns"))],
    "truth": [
        pa.array([True, False, True]), pa.array(["True", "False", "True"]), pa.array(["true", "FALSE", "true"]),
        pa.array([1, 0, 1]), pa.array([1.0, 0.0, 1.0]), pa.array(["1", "0", "1"]),
    ],
    "whole numbers": [
        pa.array(USERS), pa.array(USERS, pa.uint64()), pa.array(USERS, pa.float64()), pa.array(map(str, USERS)),
        pa.array(["1.099511627777e+12", "1099511627778.0", "05"]), pa.array([decimal.Decimal(user) for user in USERS]),
        pa.array([decimal.Decimal(user) for user in USERS], pa.decimal128(20, 2)),
        pa.array([decimal.Decimal(user) for user in USERS], pa.decimal256(60, 30)),
        pa.array(USERS).dictionary_encode(),
    ],
    "fractions": [
        pa.array([0.1, -2.5, 1e-7]), pa.array([0.1, -2.5, 1e-7], pa.float32()), pa.array(["0.1", "-2.50", "0.0000001"]),
        pa.array([decimal.Decimal("0.1"), decimal.Decimal("-2.5"), decimal.Decimal("1e-7")]),
    ],
    "text": [
        pa.array(["a", "b", "007"]), pa.array(["a", "b", "007"], pa.large_string()), pa.array([b"a", b"b", b"007"]),
        pa.array(["a", "b", "007"], pa.string_view()), pa.array(["a", "b", "007"]).dictionary_encode(),
    ],
}  # fmt: skip
# Two spellings as text stay two values: "007" is not "7".
PAIRS = [
    (group, i, j)
    for group, forms in GROUPS.items()
    for i in range(len(forms))
    for j in range(len(forms))
    if group == "text" or i == j or not forms[i].type == forms[j].type == pa.string()
]


@pytest.mark.parametrize("text, spelled", [
    ("7", "7"), ("-7", "-7"), ("007", "7"), ("+7", "7"), ("7.0", "7"), ("-0", "0"), ("00", "0"), ("7e2", "700"),
    ("1" + "0" * 45, "1" + "0" * 45), ("-1" + "0" * 45, "-1E+45"), ("-1" + "0" * 38, "-1" + "0" * 38),
    (" 7 ", "7"), ("7\n", "7"), ("-2.50", "-2.5"), ("inf", "inf"), ("nan", "nan"), ("", ""), ("7a", "7a"),
])  # fmt: skip
def test_spelling_of_numbers(text, spelled):
    assert canonical(text, NUMBER) == spelled


def warnings(capfd):
    return [line for line in capfd.readouterr().out.splitlines() if "[WARNING]" in line]


def ids(data_set, name="c"):
    return [value for file in data_set.files for value in pq.read_table(file)[name].to_pylist()]


@pytest.mark.parametrize("group, learned, applied", PAIRS)
def test_ids_do_not_depend_on_how_values_are_stored(group, learned, applied, tmp_path):
    table = {"y": [0] * 4, "c": pa.concat_arrays([GROUPS[group][learned], GROUPS[group][learned][:1]])}
    train = to_parquet(table, tmp_path / "train", labels="y", categorical=["c"])
    expected = ids(train)[:3]
    assert min(expected) >= 2 and expected[0] == 2
    mappings = Mappings.load(tmp_path / "train")
    for column, wanted in [
        (GROUPS[group][applied], expected),
        (pa.concat_arrays([GROUPS[group][applied], pa.nulls(1, GROUPS[group][applied].type)]), [*expected, 1]),
    ]:
        test = to_parquet({"y": [0] * len(column), "c": column}, tmp_path / "test", mappings=mappings)
        assert ids(test) == wanted


numbers = st.from_regex(r"[+-]?(0|[0-9]{1,3}|[1-9][0-9]{36,42})(\.[0-9]*)?(e-?[0-9])?\s?", fullmatch=True)


@pytest.mark.parametrize("kind", KINDS)
@given(texts=st.lists(st.none() | numbers | st.sampled_from(["true", "FALSE", "2020-01-02", "x\n", "٣"]) | st.text()))
def test_columns_are_spelled_as_single_values(kind, texts):
    expected = [None if text is None else canonical(text, kind) for text in texts]
    assert all_canonical(pa.array(texts, pa.string()), kind).to_pylist() == expected


def test_a_pandas_frame_and_what_it_becomes(tmp_path):
    frame = pd.DataFrame({"y": [0, 1, 0], "flag": [True, False, True], "day": pd.to_datetime(DAYS), "user": USERS})
    names = ["flag", "day", "user"]
    train = to_parquet(frame, tmp_path / "train", labels="y", categorical=[*names, Cross("flag", "day", "user")])
    frame.to_csv(tmp_path / "same.csv", index=False)
    other = frame.astype({"day": "datetime64[ns]", "user": "float64", "flag": "object"})
    missing = other.assign(user=[USERS[0], None, USERS[2]])
    for source in [frame, other, pl.from_pandas(frame), tmp_path / "same.csv"]:
        test = train.apply(source, tmp_path / "test")
        for name in train.column_names:
            assert ids(test, name) == ids(train, name)
    assert ids(train.apply(missing, tmp_path / "test"), "user") == [ids(train, "user")[0], 1, ids(train, "user")[2]]
    learned = to_parquet(tmp_path / "same.csv", tmp_path / "csv", mappings=None, labels="y",
                         categorical=[*names, Cross("flag", "day", "user")])  # fmt: skip
    test = learned.apply(frame, tmp_path / "test")
    assert all(ids(test, name) == ids(learned, name) for name in learned.column_names)


def test_mappings_written_without_kinds_are_read(tmp_path):
    to_parquet({"y": [0, 1], "c": NAIVE[:2]}, tmp_path / "train", labels={"y": 1}, categorical=["c"])
    document = json.loads((tmp_path / "train" / "mappings.json").read_text())
    assert document["categorical"][0].pop("kinds") == ["time"] and document["labels"][0].pop("kind") == "number"
    document["categorical"][0]["ids"] = {f"{time}.000000000": 2 + i for i, time in enumerate(NAIVE[:2])}
    (tmp_path / "old.json").write_text(json.dumps(document))
    test = to_parquet({"y": [1.0, 0.0], "c": NAIVE[:2]}, tmp_path / "test", mappings=tmp_path / "old.json")
    assert ids(test) == [2, 3] and ids(test, "y") == [1, 0]


def test_text_that_is_no_time_is_unknown(tmp_path):
    train = to_parquet({"y": [0, 0], "c": DAYS[:2]}, tmp_path / "train", labels="y", categorical=["c"])
    test = train.apply({"y": [0] * 4, "c": ["2020-01-02", "never", "25:00", ""]}, tmp_path / "test")
    assert ids(test) == [3, 0, 0, 0]


def test_a_cross_of_kinds(tmp_path):
    train = to_parquet({"y": [0, 0], "a": USERS[:2], "b": DAYS[:2]}, tmp_path / "train", labels="y",
                       categorical=[Cross("a", "b")])  # fmt: skip
    test = train.apply(
        {"y": [0, 0], "a": [float(USERS[0]), None], "b": ["2020-01-01", "2020-01-02"]}, tmp_path / "test"
    )
    assert ids(train, "a_x_b") == [2, 3] and ids(test, "a_x_b") == [2, 1]


def test_ids_that_a_float_cannot_hold_are_rejected(tmp_path):
    train = to_parquet({"y": [0], "c": [2**53 + 1]}, tmp_path / "train", labels="y", categorical=["c"])
    with pytest.raises(InvalidArgumentError, match='column "c": 9007199254740992 is stored as a 64-bit float.*Int64'):
        train.apply(pd.DataFrame({"y": [0, 1], "c": [2**53 + 1, None]}), tmp_path / "test")
    frame = pd.DataFrame({"y": [0, 1], "c": pd.array([2**53 + 1, None], dtype="Int64")})
    assert ids(train.apply(frame, tmp_path / "test")) == [2, 1]


@pytest.mark.parametrize("values, message", [
    (["x", "x", "a"], 'column "c": 2 of 3 values are unknown to the mappings, for example \'x\', \'x\''),
    (["x", None, None], 'column "c": 1 of 1 values are unknown to the mappings, for example \'x\''),
    (["x", "a"], None),
    ([None, None], None),
])  # fmt: skip
def test_mostly_unknown_values_are_a_warning(values, message, capfd, tmp_path):
    train = to_parquet({"y": [0, 1], "c": ["a", "b"]}, tmp_path / "train", labels="y", categorical=["c"])
    train.apply({"y": [0] * len(values), "c": pa.array(values, pa.string())}, tmp_path / "test")
    lines = warnings(capfd)
    assert len(lines) == bool(message) and all(message in line for line in lines)


def test_mostly_unknown_lists_are_a_warning(capfd, tmp_path):
    train = to_parquet({"y": [0, 1], "c": [["a"], ["b", "c"]]}, tmp_path / "train", labels="y", categorical=["c"])
    train.apply({"y": [0, 1, 0], "c": [["a"], [], ["q", "r"]]}, tmp_path / "test")
    [line] = warnings(capfd)
    assert "2 of 3 values" in line and "['q', 'r']" in line


def test_a_label_that_never_occurs_is_a_warning(capfd, tmp_path):
    to_parquet({"y": ["no", "yes"], "c": [1, 2]}, tmp_path, labels={"y": "Yes"}, categorical=["c"])
    [line] = warnings(capfd)
    assert "label \"y\": no row has the value 'Yes'" in line


@pytest.mark.parametrize("rule, values, expected", [
    (1.5, [1.0, 1.5, 2], [0, 1, 0]),
    (np.int64(1), [1, 2, 3], [1, 0, 0]),
    (1, [True, False], [1, 0]),
    (True, ["True", "False"], [1, 0]),
    ({1: 0.25, 2.5: 1}, [2.5, 1.0], [1, 0.25]),
    ({"1": 1, "0": 0}, [1, 0], [1, 0]),
])  # fmt: skip
def test_label_rules_compare_values(rule, values, expected, tmp_path):
    data_set = to_parquet({"y": values, "c": values}, tmp_path, labels={"y": rule}, categorical=[])
    assert ids(data_set, "y") == expected


@pytest.mark.parametrize("kind", [pa.list_view, pa.large_list_view])
def test_views_of_lists(kind, tmp_path):
    """Also of slices, and with entries that overlap or stand in another order."""
    views = pa.array([["x"], ["a", "b"], None, [], ["b", "c", "d"]], kind(pa.string())).slice(1)
    made = to_parquet(pa.table({"y": [0, 1, 0, 1], "k": views}), tmp_path / "a", labels="y", categorical=["k"])
    same = {"y": [0, 1, 0, 1], "k": [["a", "b"], None, [], ["b", "c", "d"]]}
    expected = to_parquet(same, tmp_path / "b", labels="y", categorical=["k"])
    assert made.mappings == expected.mappings
    assert pq.read_table(made.files[0]).equals(pq.read_table(expected.files[0]))
    if kind is pa.list_view:
        offsets, sizes = pa.array([2, 0, 1], pa.int32()), pa.array([1, 2, 2], pa.int32())
        views = pa.ListViewArray.from_arrays(offsets, sizes, pa.array([10, 20, 30])).slice(1)
        made = to_parquet(pa.table({"y": [0, 1], "k": views}), tmp_path / "c", labels="y", categorical=["k"])
        assert [len(ids) for ids in pq.read_table(made.files[0])["k"].to_pylist()] == [2, 2]
        assert made.slot_size_array == [5]
