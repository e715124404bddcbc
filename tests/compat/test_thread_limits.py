# SPDX-License-Identifier: Apache-2.0
"""A system that starts no more threads: fewer do the work, or one clear error says so."""

import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
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


COLUMNS = {"y": [0, 1] * 500, "x": [0.5] * 1000, "k": [f"a{i % 50}" for i in range(1000)], "j": list(range(1000))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_data(tmp_path_factory.mktemp("limits"))
    (path / "shim.c").write_text("#define _GNU_SOURCE\n" + SHIM)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "shim.so", "shim.c", "-ldl"], cwd=path, check=True)
    table = pa.table(COLUMNS)
    pa.csv.write_csv(table, path / "table.csv")
    pa.parquet.write_table(table, path / "table.parquet")
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


SOURCES = {
    "dictionary": "columns",
    "text": "'table.csv'",
    "file": "'table.parquet'",
    "stream": "pa.table(columns).to_reader()",
}


@pytest.mark.parametrize("left", [0, 1, 2, 3])
@pytest.mark.parametrize("source", SOURCES)
def test_data_preparation_with_few_threads(folder: Path, source: str, left: int) -> None:
    """Arrow needs two of its own, and would wait for ever without."""
    script = f"""
import pyarrow as pa, pyarrow.csv, pyarrow.parquet
from hugectr.tools import Cross, to_parquet
columns = {COLUMNS!r}
source = {SOURCES[source]}
allow({left})
try:
    made = to_parquet(source, "made", labels="y", numeric=["x"], categorical=["k", "j", Cross("k", "j")])
    print("made:", made.num_rows, made.slot_size_array)
except hugectr.HugectrError as error:
    print("error:", type(error).__name__, error)
"""
    line = run_limited(folder, script, threads=2)[-1]
    if left < 2:
        assert line.startswith(f"error: OutOfMemoryError to_parquet(): the system starts {left} more threads")
    else:
        assert line == "made: 1000 [52, 1002, 1002]"
