# SPDX-License-Identifier: Apache-2.0
"""A system that starts no more threads: fewer do the work, or one clear error says so."""

import subprocess
from pathlib import Path

import pytest
from harness.scripts import make_data, run

SHIM = """
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

static int limited = 0, threads_left = 0;

void allow_threads(int count) {
  limited = count >= 0;
  threads_left = count;
}

struct work {
  void *(*start)(void *);
  void *argument;
};

static void *run(void *given) { /* a thread that ends makes room for another */
  struct work work = *(struct work *)given;
  free(given);
  void *result = work.start(work.argument);
  __sync_fetch_and_add(&threads_left, 1);
  return result;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument) {
  int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) = dlsym(RTLD_NEXT, "pthread_create");
  if (__sync_fetch_and_sub(&threads_left, 1) <= 0 && limited) {
    __sync_fetch_and_add(&threads_left, 1);
    return EAGAIN;
  }
  struct work *work = malloc(sizeof *work);
  work->start = start;
  work->argument = argument;
  return create(thread, attributes, run, work);
}
"""
LIMIT = """
import ctypes
def allow(threads):
    ctypes.CDLL(None).allow_threads(threads)

def loss_of(model):
    for _ in range(3):
        model.train()
    return model.get_current_loss()

"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_data(tmp_path_factory.mktemp("limits"))
    (path / "shim.c").write_text("#define _GNU_SOURCE\n" + SHIM)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "shim.so", "shim.c", "-ldl"], cwd=path, check=True)
    return path


def run_limited(folder: Path, script: str, threads: int) -> list[str]:
    environment = {"LD_PRELOAD": str(folder / "shim.so"), "HUGECTR_DEVICE": "cpu", "HUGECTR_NUM_THREADS": str(threads)}
    return run(folder, LIMIT + script, **environment)[0].splitlines()


@pytest.mark.parametrize("left, members", [(0, 1), (2, 3)])
def test_training_goes_on_with_fewer_threads(folder: Path, left: int, members: int) -> None:
    """Also when the limit comes after compile; the results are the same bits."""
    script = f"""
model = build_wide()
model.start_data_reading()
allow({left})
print("loss", loss_of(model))
"""
    lines = run_limited(folder, script, threads=6)
    (warning,) = (line for line in lines if "limit on threads" in line)
    assert warning.endswith(f"computing with {members} instead of 6")
    unlimited = run_limited(folder, script.replace("allow", "print"), threads=6)
    assert lines[-1] == unlimited[-1] and not any("limit on threads" in line for line in unlimited)


@pytest.mark.parametrize("left", [0, 1, 2])
def test_ranks_without_threads(folder: Path, left: int) -> None:
    """What was started ends, and the next model works."""
    script = f"""
import os
threads = len(os.listdir("/proc/self/task"))
allow({left})
try:
    build_wide(devices=4)
except hugectr.OutOfMemoryError as error:
    print("error:", error)
print("threads left behind:", len(os.listdir("/proc/self/task")) - threads)
allow(-1)
model = build_wide(devices=4)
model.start_data_reading()
print("trained:", loss_of(model) > 0)
"""
    *_, error, left_behind, trained = (
        line
        for line in run_limited(folder, script, threads=4)
        if line.startswith(("error: ", "threads left behind: ", "trained: "))
    )
    assert error.startswith("error: vvgpu has 4 devices, each a thread of its own, but the system starts only")
    assert f" only {left + 1}: the limit on threads is reached" in error
    assert left_behind == "threads left behind: 0" and trained == "trained: True"


def test_data_preparation_without_threads(folder: Path) -> None:
    script = """
from hugectr.tools.threads import in_threads
calls = []

def square(x):
    calls.append(x)
    return x * x

allow(0)
print(in_threads(square, range(20)) == [x * x for x in range(20)], sorted(calls) == list(range(20)))
"""
    assert run_limited(folder, script, threads=1)[-1] == "True True"


PREPARATION = """
import sys
import pyarrow as pa
import pyarrow.parquet as pq
from hugectr import tools

table = pa.table({"y": [0, 1, 0] * 100, "x": [1.0, 2.0, 3.0] * 100, "c": ["a", "b", "a"] * 100})
pq.write_table(table, "source.parquet")
with open("source.csv", "w") as file:
    file.write("y,x,c\\n" + "0,1,a\\n1,2,b\\n0,3,a\\n" * 100)
source = {"table": table, "stream": table.to_reader(), "columns": table.to_pydict()}.get(SOURCE, SOURCE)
allow(LEFT)
try:
    made = tools.to_parquet(source, f"set of {SOURCE}", labels="y", numeric={"x": "standard"},
                            categorical=["c", tools.Bins("x", 2), tools.Cross("c", "x")])
    if isinstance(source, str):
        made = made.apply(source, "again")
    print(made.num_rows, made.mappings.categorical[0].ids, made.slot_size_array)
except hugectr.OutOfMemoryError as error:
    print("error:", error)
"""
PREPARED = "300 {'a': 2, 'b': 3} [4, 4, 5]"


def prepare(folder: Path, source: str, left: int) -> list[str]:
    return run_limited(folder, f"SOURCE, LEFT = {source!r}, {left}\n" + PREPARATION, threads=1)


@pytest.mark.parametrize("source", ["table", "stream", "columns"])
@pytest.mark.parametrize("left", [0, 1, 2])
def test_tables_are_prepared_without_threads(folder: Path, source: str, left: int) -> None:
    assert prepare(folder, source, left) == [PREPARED]


@pytest.mark.parametrize("source", ["source.parquet", "source.csv"])
@pytest.mark.parametrize("left", [0, 1, 2, 3, 5, -1])
def test_files_are_prepared_with_two_threads(folder: Path, source: str, left: int) -> None:
    """Arrow has threads of its own; it would wait for ever for those that do not start."""
    lines = prepare(folder, source, left)
    if left in (0, 1):
        (error,) = lines
        assert error.startswith(
            f'error: cannot read "{source}": Arrow needs 2 threads to read files, the system starts'
        )
        assert f"starts {left}: the limit on threads is reached" in error
    else:
        assert lines[-1] == PREPARED and ("the limit on threads is reached" in lines[0]) == (left > 0)


@pytest.mark.parametrize("left", [0, 1, 2, 5, 6, 20, -1])
def test_parquet_is_read_with_two_threads(folder: Path, left: int) -> None:
    """Besides the four of the readers."""
    script = f"""
import pyarrow  # has a thread of its own
allow({left})
try:
    model = build()
    model.start_data_reading()
    print(f"trained: {{loss_of(model) > 0}}")
except hugectr.OutOfMemoryError as error:
    print(f"error: {{error}}")
"""
    last = run_limited(folder, script, threads=1)[-1]
    if left < 2 and left >= 0:
        assert last.startswith("error: cannot read Parquet files: Arrow needs 2 threads to read files, the system ")
        assert f"starts {left}: the limit on threads is reached" in last
    elif left in (2, 5):
        assert last.startswith('error: "parquet/') and "cannot start reader thread" in last
    else:
        assert last == "trained: True"


@pytest.mark.parametrize("workers", [1, 2])
def test_advice_that_can_be_followed(folder: Path, workers: int) -> None:
    script = f"""
from hugectr._core import testing
spec = testing.ReaderSpec()
spec.source, spec.batch_size, spec.dense_dim, spec.i64_keys, spec.check_sum = "norm/train.txt", 4, 2, True, True
spec.sparse, spec.num_workers = [testing.SparseInputSpec("data", [1] * 3)], {workers}
reader = testing.Reader(spec)
allow(0)
try:
    reader.start()
except hugectr.OutOfMemoryError as error:
    print(error)
"""
    message = run_limited(folder, script, threads=1)[-1]
    assert f"cannot start reader thread 1 of {workers}: the limit on threads is reached" in message
    assert ("smaller num_workers" in message) == (workers > 1)
