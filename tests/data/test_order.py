# SPDX-License-Identifier: Apache-2.0
"""Which batch comes when: files over workers, rotation, epochs, rewinding, errors, threads."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from harness.readers import batches, make_reader, read_all, samples, write_files, write_parquet
from hugectr.errors import FileError
from hugectr.tools import write_file_list, write_norm, write_raw


def write(folder, counts):
    """File f holds samples with labels 10 f, 10 f + 1, ..."""
    files = []
    for f, n in enumerate(counts):
        files.append(folder / f"{f}.data")
        write_norm(files[-1], [10 * f + i for i in range(n)], None, [[[i] for i in range(n)]])
    write_file_list(folder / "list.txt", files)
    return folder / "list.txt"


def reader_of(source, **fields):
    return make_reader("norm", source, [("d", [1])], check_sum=True, **fields)


def labels(batch):
    return [int(row[0][0]) for row in samples(batch)]


def test_batch_order_of_the_worked_example(tmp_path):
    reader = reader_of(write(tmp_path, [3, 3, 2, 4]), num_workers=2)
    expected = [[0, 1], [10, 11], [2, 20], [12, 30], [21], [31, 32], [33]]
    for _ in range(2):  # the second time rewound
        assert [labels(b) for b in batches(reader)] == expected
        assert reader.at_end() and reader.next() is None and reader.next() is None


@pytest.mark.parametrize("format", ["norm", "raw", "parquet"])
@pytest.mark.parametrize(("rows", "sizes"), [(3, [3]), (4, [4]), (9, [4, 4, 1])])
def test_an_epoch_ends_with_a_batch_of_its_true_size(tmp_path, format, rows, sizes):
    values = np.arange(rows, dtype="f4")
    keys = np.arange(rows)[:, None]
    if format == "norm":
        write_norm(tmp_path / "x", values, None, [keys], check_sum=False)
        source = write_files(tmp_path, {"x.data": (tmp_path / "x").read_bytes()})
    elif format == "raw":
        source = tmp_path / "x"
        write_raw(source, values, None, keys, float_label_dense=True)
    else:
        columns = {"y": pa.array(values), "k": pa.array(keys[:, 0])}
        source = write_parquet(tmp_path / "d", [pa.table(columns)], {"labels": [0], "cats": [1]})
    reader = make_reader(format, source, [("d", [1])], batch_size=4, float_label_dense=True, num_workers=2)
    for _ in range(2):
        got = list(batches(reader))
        assert [b["size"] for b in got] == sizes
        assert sum([labels(b) for b in got], []) == list(range(rows))


def test_repeat_never_ends_and_never_has_an_incomplete_batch(tmp_path):
    reader = reader_of(write(tmp_path, [3, 3, 2, 4]), num_workers=2, repeat=True)
    w0, w1 = [0, 1, 2, 20, 21], [10, 11, 12, 30, 31, 32, 33]
    got = [labels(b) for b in batches(reader, 20)]
    assert sum(got[0::2], []) == (w0 * 4)[:20] and sum(got[1::2], []) == (w1 * 3)[:20]
    assert not reader.at_end()


def test_a_worker_wraps_into_the_files_of_others(tmp_path):
    reader = reader_of(write(tmp_path, [1, 1, 1]), num_workers=2, repeat=True, batch_size=1)
    assert [labels(b)[0] for b in batches(reader, 8)] == [0, 10, 20, 0, 10, 20, 0, 10]


def test_an_empty_file_does_not_stop_the_others(tmp_path):
    reader = reader_of(write(tmp_path, [1, 0]), num_workers=2, repeat=True, batch_size=1)
    assert [labels(b)[0] for b in batches(reader, 5)] == [0] * 5


@pytest.mark.parametrize("repeat", [False, True])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_no_sample_at_all_is_an_error(tmp_path, repeat, workers):
    reader = reader_of(write(tmp_path, [0, 0, 0]), num_workers=workers, repeat=repeat)
    reader.start()
    for _ in range(2):
        assert not reader.at_end()
        with pytest.raises(FileError, match='list.txt": no usable sample in the whole data set'):
            reader.next()


def test_more_workers_than_files(tmp_path, capfd):
    reader = reader_of(write(tmp_path, [2, 2]), num_workers=12)
    assert [labels(b) for b in batches(reader)] == [[0, 1], [10, 11]]
    assert "has 2 data files: using 2 of 12 reader workers" in capfd.readouterr().out


def test_at_end_looks_ahead_without_losing_the_batch(tmp_path):
    reader = reader_of(write(tmp_path, [3]), prefetch=1)
    assert not reader.started() and not reader.at_end()
    reader.start()
    assert reader.started() and not reader.at_end()
    assert labels(reader.next()) == [0, 1] and not reader.at_end() and not reader.at_end()
    assert labels(reader.next()) == [2] and reader.at_end()
    assert reader.next() is None


def test_padding_is_clean_in_recycled_batches(tmp_path):
    reader = reader_of(write(tmp_path, [9]), batch_size=2, prefetch=1)
    sizes = [b["size"] for b in batches(reader) if samples(b)]  # samples() checks the padding
    assert sizes == [2, 2, 2, 2, 1]


def test_switching_the_source(tmp_path):
    (tmp_path / "b").mkdir()
    reader = reader_of(write(tmp_path, [2]))
    assert read_all(reader) and reader.source == str(tmp_path / "list.txt")
    other = write(tmp_path / "b", [1])
    reader.start(str(other))
    assert labels(reader.next()) == [0] and reader.source == str(other)
    with pytest.raises(FileError, match="No such file"):
        reader.start("/no/list")
    assert reader.source == str(other)  # which goes on
    assert reader.next() is None


def test_an_error_comes_at_its_place_and_stays(tmp_path):
    source = write(tmp_path, [3, 4])
    content = (tmp_path / "1.data").read_bytes()
    write_files(tmp_path, {"0.data": (tmp_path / "0.data").read_bytes(), "1.data": content[:-3]})
    reader = reader_of(source, num_workers=2, batch_size=1)
    reader.start()
    got = []
    with pytest.raises(FileError, match='1.data", sample 3 .* truncated'):
        while True:
            got += labels(reader.next())
    assert got == [0, 10, 1, 11, 2, 12]
    with pytest.raises(FileError, match="truncated"):
        reader.next()
    (tmp_path / "1.data").write_bytes(content)
    assert sorted(row[0][0] for row in read_all(reader)) == [0, 1, 2, 10, 11, 12, 13]


def test_starting_and_stopping_often(tmp_path):
    source = write(tmp_path, [5, 4, 3])
    expected = [labels(b) for b in batches(reader_of(source, num_workers=3))]
    for i in range(100):
        reader = reader_of(source, num_workers=3, prefetch=1 + i % 3)
        reader.start()
        taken = [labels(reader.next()) for _ in range(i % 4)]
        assert taken == expected[: i % 4]
        if i % 2:
            assert [labels(b) for b in batches(reader)] == expected
        del reader
