# SPDX-License-Identifier: Apache-2.0
"""kill -9 while files are written over older ones: they are the old ones or the new ones, and nothing else is left."""

import json
import multiprocessing
import os
import random
import resource
import signal
import time

import hugectr
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from harness.readers import make_reader, read_all
from hugectr.errors import FileError
from hugectr.tools import DataGenerator, DataGeneratorParams, Mappings, to_parquet, write_file_list

from tools import victim


@pytest.fixture(scope="module")
def processes():
    """Copies of one process that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["hugectr.tools"])
    return context


def version_of_set(folder):
    """The version of the data set, checked in every file."""
    source = folder / "set" / "_file_list.txt"
    rows = read_all(make_reader("parquet", str(source), [("c", [1])], label_dim=1, dense_dim=1, batch_size=8,
                                i64_keys=True))  # fmt: skip
    version = int(rows[0][0][0])
    assert [row[0][0] for row in rows] == [version] * (3 + version % 4)
    names = ["y", "xz"[version % 2], "c"]
    metadata = json.loads((folder / "set" / "_metadata.json").read_text())
    files = source.read_text().splitlines()[1:]
    assert [entry["file_name"] for entry in metadata["file_stats"]] == [file.rsplit("/")[-1] for file in files]
    assert [metadata[group][0]["col_name"] for group in ("labels", "conts", "cats")] == names
    assert all(pq.read_schema(file).names == names for file in files)
    mappings = Mappings.load(folder / "set")
    assert mappings.column_names == names and mappings.categorical[0].ids == {f"{version}": 2}
    return version


def version_of_file(folder):
    rows = read_all(make_reader("norm", one_file(folder), [("s", [1])], label_dim=1, dense_dim=0, batch_size=8,
                                check_sum=True))  # fmt: skip
    version = int(rows[0][0][0])
    assert [row[0][0] for row in rows] == [version] * (3 + version % 4)
    return version


def one_file(folder):
    (folder / "list.txt").write_text(f"1\n{folder / 'file'}\n")
    return str(folder / "list.txt")


def nothing_else_is_left(folder):
    known = {"set", "file", "list.txt", "_file_list.txt", "_metadata.json", "mappings.json"}
    listed = {name.rsplit("/")[-1] for list_ in folder.glob("set/_file_list.txt") for name in list_.read_text().split()}
    assert {file.name for file in folder.rglob("*")} <= known | listed


KINDS = [(victim.data_set, version_of_set), (victim.norm_file, version_of_file)]


def test_kill_at_every_line(processes, tmp_path):
    victim.data_set(tmp_path, 0)
    before, line = 0, 0
    while True:
        process = processes.Process(target=victim.kill_at, args=(line, victim.data_set, tmp_path, line + 1))
        process.start()
        process.join()
        now = version_of_set(tmp_path)
        if process.exitcode == 0:
            assert now == line + 1
            break
        assert process.exitcode == -signal.SIGKILL and now in (before, line + 1)
        before, line = now, line + 1
    assert line > 10, "nothing was killed"
    nothing_else_is_left(tmp_path)


@pytest.mark.parametrize("work, version_of", KINDS)
def test_kill_at_any_moment(work, version_of, processes, tmp_path):
    moments = random.Random(1)
    for kill in range(15):
        ready, send = processes.Pipe(duplex=False)
        process = processes.Process(target=victim.for_ever, args=(work, tmp_path, 1000 * kill, send))
        start = time.monotonic()
        process.start()
        send.close()
        ready.recv()
        time.sleep(moments.uniform(0, 0.3 * (time.monotonic() - start)))
        process.kill()
        process.join()
        assert 1000 * kill <= version_of(tmp_path) < 1000 * kill + 1000, "a finished version was lost"
    work(tmp_path, 1)
    assert version_of(tmp_path) == 1
    nothing_else_is_left(tmp_path)


def test_the_folder_of_a_living_writer_is_left_alone(tmp_path):
    def batch(value):
        return pa.record_batch({"y": [float(value)], "x": [0.5], "c": ["0"]})

    def batches():
        yield batch(0)
        victim.data_set(tmp_path, 1)  # another writer of the same set comes and goes
        yield batch(1)

    victim.data_set(tmp_path, 0)
    stream = pa.RecordBatchReader.from_batches(batch(0).schema, batches())
    slow = to_parquet(stream, tmp_path / "set", mappings=tmp_path / "set")
    assert [value for file in slow.files for value in pq.read_table(file)["y"].to_pylist()] == [0, 1]
    nothing_else_is_left(tmp_path)


def test_a_reader_of_the_old_list_is_told(tmp_path):
    victim.data_set(tmp_path, 0)
    source = (tmp_path / "set" / "_file_list.txt").read_text()
    victim.data_set(tmp_path, 2)
    (tmp_path / "set" / "old.txt").write_text(source)
    reader = make_reader("parquet", tmp_path / "set" / "old.txt", [("c", [1])], label_dim=1, dense_dim=1)
    with pytest.raises(FileError, match='old.txt", line 2: data file ".*part_0.parquet" does not exist'):
        reader.start()


@pytest.mark.parametrize("format", ["Raw", "Norm", "Parquet"])
def test_a_full_disk_leaves_the_old_file(format, tmp_path):
    """A limit of the size of files stands for the disk."""
    (tmp_path / "file").write_text("old")
    kind = getattr(hugectr.DataReaderType_t, format)
    params = DataGeneratorParams(kind, 1, 1, 1, False, tmp_path / "file", tmp_path / "eval", [5], num_samples=99,
                                 eval_num_samples=9, num_samples_per_file=99)  # fmt: skip
    table = {"y": [0.5] * 99}
    to_parquet(table, tmp_path / "set", labels="y")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(FileError, match='cannot write ".*": File too large'):
            params.source = str(tmp_path / ("file" if format == "Raw" else "new"))  # an existing list is kept
            DataGenerator(params).generate()
        with pytest.raises(FileError, match='cannot write in ".*set": File too large'):
            to_parquet(table, tmp_path / "set", labels="y")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "file").read_text() == "old"
    assert pq.read_table(tmp_path / "set" / "part_0.parquet")["y"].to_pylist() == table["y"]
    assert not [file for file in tmp_path.rglob(".*")]


def test_a_link_stays_one_and_a_folder_is_not_replaced(tmp_path):
    (tmp_path / "link").symlink_to("file")
    victim.norm_file(tmp_path, 0)
    os.rename(tmp_path / "link", tmp_path / "other")
    write_file_list(tmp_path / "other", ["a"])
    assert (tmp_path / "other").is_symlink() and (tmp_path / "file").read_text() == "1\na\n"
    with pytest.raises(FileError, match="not a regular file"):
        write_file_list(tmp_path, ["a"])
    with pytest.raises(FileError, match='cannot create the folder ".*/file": File exists'):
        write_file_list(tmp_path / "file" / "list", ["a"])
