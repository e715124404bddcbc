# SPDX-License-Identifier: Apache-2.0
"""A source that does not respond holds up its reader's thread and nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow as pa
import pytest
from harness.readers import make_reader, samples, write_parquet
from hugectr.arrow import open_stream

GROUPS = {"labels": [0], "conts": [], "cats": [1]}


class Interrupted(Exception):
    pass


@pytest.fixture
def alarm():
    """Interrupts the main thread after a while, as Ctrl-C does."""

    def interrupt(*_):
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def stalled(tmp_path):
    """A started reader whose second file opens once `responds` is set."""
    responds, hangs = threading.Event(), threading.Event()

    def open_arrow(file, columns):
        if os.fspath(file).endswith("1.parquet"):
            hangs.set()
            assert responds.wait(timeout=100)
        return open_stream(file, columns)

    data = pa.table({"y": [0.0, 1.0], "k": [1, 2]})
    source = write_parquet(tmp_path / "d", [data, data], GROUPS)
    reader = make_reader("parquet", source, [("d", [1])], label_dim=1, num_workers=2, open_arrow=open_arrow)
    reader.start()
    assert hangs.wait(timeout=100)
    yield reader, responds
    responds.set()


@pytest.mark.parametrize("wait", ["next", "at_end"])
def test_an_interrupt_ends_the_wait_and_nothing_else(stalled, alarm, wait):
    reader, responds = stalled
    assert samples(reader.next())[0][0] == [0.0]
    for _ in range(2):
        start = time.monotonic()
        alarm(0.2)
        with pytest.raises(Interrupted):
            getattr(reader, wait)()
        assert time.monotonic() - start < 5
    responds.set()
    assert not reader.at_end()
    assert len(samples(reader.next())) == 2
    assert reader.at_end()


def test_a_reader_leaves_a_thread_that_hangs_behind(stalled, capfd):
    reader, responds = stalled
    start = time.monotonic()
    reader.start()  # stops the threads of the first start
    assert len(samples(reader.next())) == 2
    assert time.monotonic() - start < 10
    assert 'list.txt" does not respond: a thread that reads from it is left behind' in capfd.readouterr().out
    responds.set()
    assert len(samples(reader.next())) == 2 and reader.next() is None


SCRIPT = """
import sys, time
sys.path.insert(0, {tests!r})
from harness.readers import make_reader
import hugectr.arrow

def open_arrow(path, columns):
    time.sleep(1000)

reader = make_reader("parquet", {source!r}, [("d", [1])], num_workers=2, open_arrow=open_arrow)
reader.start()
time.sleep(0.2)
{end}
print("leaving")
"""


@pytest.mark.parametrize("end", ["", "del reader", "reader.start(); reader = None"])
def test_the_interpreter_ends(tmp_path, end):
    data = pa.table({"y": [0.0, 1.0], "k": [1, 2]})
    source = write_parquet(tmp_path / "d", [data, data], GROUPS)
    script = SCRIPT.format(tests=str(Path(__file__).parents[1]), source=str(source), end=end)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "leaving" in done.stdout
