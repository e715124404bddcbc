# SPDX-License-Identifier: Apache-2.0
"""How a whole script behaves: threads, signals, output, and leaving while readers run."""

import re
import signal
import threading
import time
from pathlib import Path

import hugectr
import pandas as pd
import pytest
from harness.scripts import PRELUDE, make_data, run, start


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("process"))


def test_models_may_be_dropped_while_their_readers_run(folder: Path) -> None:
    script = """
for i in range(10):
    model = build()
    model.start_data_reading()
    if i % 2:
        model.train()
    del model
print("done")
"""
    assert run(folder, script)[0].endswith("done\n")


def test_a_readers_own_thread_may_drop_the_last_reference(folder: Path) -> None:
    """As garbage collection does, which runs on any thread."""
    script = """
import os, threading, time, weakref
from hugectr import _core, arrow
ready, dropped, held = threading.Event(), threading.Event(), []

class Opener:
    def __call__(self, file, columns):
        ready.wait()
        if held:
            held.clear()
            dropped.set()
        return arrow.open_stream(file, columns)

opener = Opener()
held.append(_core.Engine(build()._graph.text(), opener))
held[0].start_reading()
opener = weakref.ref(opener)
ready.set()
assert dropped.wait(60)
while opener():  # the engine goes last
    time.sleep(0.01)
print("done")
os._exit(0)
"""
    out, _ = run(folder, script)
    assert out.splitlines()[-1] == "done"


def test_exit_with_running_readers(folder: Path) -> None:
    out, err = run(folder, "model = build(); model.start_data_reading(); model.train(); print('leaving')")
    assert out.endswith("leaving\n") and err == ""


def test_streams_of_a_program(folder: Path) -> None:
    """They may have no more than write(), or be closed."""
    script = """
import io, sys

class Stream:
    lines = []
    def write(self, text):
        self.lines.append(text)

real, sys.stdout = sys.stdout, Stream()
build().fit(max_iter=3, display=1, eval_interval=0, snapshot=0)
sys.stdout = io.StringIO()
sys.stdout.close()
build()
sys.stdout = None
build()
sys.stdout = real
print(sum("Iter: " in line for line in Stream.lines))
"""
    assert run(folder, script)[0].splitlines()[-1] == "2"


def test_a_pipe_gets_the_log_lines_only(folder: Path) -> None:
    out, err = run(folder, "build().fit(max_iter=41, display=20, eval_interval=20, snapshot=0)")
    lines = out.splitlines()
    assert err == ""
    shown = [line for line in lines if "Iter: " in line]
    assert len(shown) == 2
    assert re.search(r"\[INFO\]\[RK0\]\[main\]: Iter: 20 Time\(20 iters\): [\d.e-]+s Loss: [\d.]+ lr:0.001$", shown[0])
    assert sum("Evaluation, AUC: " in line for line in lines) == 2
    assert re.search(r"Finish 41 iterations with batchsize: 32 in [\d.]+s\.$", lines[-1])


def test_a_terminal_gets_a_live_line(folder: Path) -> None:
    out, err = run(folder, "build().fit(max_iter=300, display=100, snapshot=0)", HUGECTR_PROGRESS="1")
    assert "samples/s" in err and re.search(r"loss \d+\.\d", err) and "/9.60k" in err
    assert sum("Iter: " in line for line in out.splitlines()) == 2


def test_ctrl_c_stops_fit_and_leaves_the_model_usable(folder: Path) -> None:
    script = """
model = build()
print("ready")
try:
    model.fit(max_iter=100_000_000, display=0, eval_interval=0, snapshot=0)
except KeyboardInterrupt:
    print("interrupted", model.train(), model.get_current_loss() > 0)
"""
    process = start(folder, script)
    assert process.stdout
    while process.stdout.readline() != "ready\n":
        pass
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=100)
    assert out.endswith("interrupted True True\n"), err


STALLED = """
import time, hugectr.arrow
hugectr.arrow.open_stream = lambda *_: time.sleep(1000)
model = build()
"""


def test_exit_while_a_source_does_not_respond(folder: Path) -> None:
    out, _ = run(folder, STALLED + "model.start_data_reading(); time.sleep(0.2); print('leaving')")
    assert "leaving\n" in out


def test_ctrl_c_while_a_source_does_not_respond(folder: Path) -> None:
    script = """
model.start_data_reading()
print("ready")
try:
    model.fit(max_iter=10)
except KeyboardInterrupt:
    print("interrupted")
"""
    process = start(folder, STALLED + script)
    assert process.stdout
    while process.stdout.readline() != "ready\n":
        pass
    time.sleep(0.5)
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    while (line := process.stdout.readline()) != "interrupted\n":
        assert line
    assert time.monotonic() - sent < 5
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err


def test_training_in_another_thread(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    exec(PRELUDE, names)
    metrics: list[object] = []

    def train() -> None:
        model = names["build"](repeat=False)  # type: ignore[operator]
        model.fit(num_epochs=2, display=10, eval_interval=10, snapshot=0)
        metrics.extend(model.get_eval_metrics())

    thread = threading.Thread(target=train)
    thread.start()
    thread.join(timeout=100)
    assert not thread.is_alive() and metrics


def test_low_level_epochs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    exec(PRELUDE, names)
    model = names["build"](repeat=False, format=hugectr.Norm)  # type: ignore[operator]
    schedule, train, evaluation = (
        model.get_learning_rate_scheduler(), model.get_data_reader_train(), model.get_data_reader_eval()
    )  # fmt: skip
    evaluation.set_source("norm/test.txt")
    for _ in range(2):
        train.set_source("norm/train.txt")
        steps = 0
        while True:
            model.set_learning_rate(schedule.get_next())
            if model.train() == False:  # noqa: E712 (as scripts write it)
                break
            steps += 1
        assert steps == 4 * 256 // 32 and train.is_eof()
    batches = 0
    while model.eval():
        batches += 1
    evaluation.set_source()
    assert batches == 2 * 256 // 32 and model.eval()
    ((name, auc),) = model.get_eval_metrics()
    assert name == "AUC" and 0 < auc < 1
    assert schedule.get_step() == 2 * (32 + 1)


def test_pandas_and_numpy_sizes(folder: Path) -> None:
    sizes = pd.DataFrame({"c": [3, 4]}).c
    reader = hugectr.DataReaderParams(
        hugectr.Parquet, "a", eval_source="b", check_type=hugectr.Check_t.Non, slot_size_array=sizes.values.flatten()
    )
    assert reader.slot_size_array == [3, 4]


def test_threads_may_share_a_model(folder: Path) -> None:
    """Their calls follow each other: no step is lost, and what is saved is the state after one of them."""
    script = """
import sys, threading
sys.setswitchinterval(1e-5)
model = build()
model.start_data_reading()

def train():
    for _ in range(300):
        model.train()
        model.get_current_loss()

threads = [threading.Thread(target=train) for _ in range(2)]
for thread in threads:
    thread.start()
for i in range(20):
    model.save_params_to_files("shared/m", i)
    model.eval()
    model.get_eval_metrics()
for thread in threads:
    thread.join()
model.save_params_to_files("shared/m", 600)
print("steps", int.from_bytes(open("shared/m_opt_dense_600.model.step", "rb").read()[:8], "little"))
for i in (*range(20), 600):
    model.load_dense_weights(f"shared/m_dense_{i}.model")
    model.load_sparse_weights([f"shared/m0_sparse_{i}.model"])
"""
    assert run(folder, script)[0].splitlines()[-1] == "steps 600"


def test_ctrl_c_while_another_thread_trains(folder: Path) -> None:
    script = """
import sys, threading
model = build()
fit = dict(max_iter=100_000_000, display=0, eval_interval=0, snapshot=0)
threading.Thread(target=lambda: model.fit(**fit), daemon=True).start()
try:
    while True:
        sys.stdout.write("waiting\\n")
        model.get_current_loss()
except KeyboardInterrupt:
    print("interrupted")
    import os
    os._exit(0)
"""
    process = start(folder, script)
    assert process.stdout
    while "waiting" not in process.stdout.readline():  # amid what the other thread logs
        pass
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert out.endswith("interrupted\n"), err


@pytest.mark.parametrize("choice", ["1", "2"])
def test_log_lines_in_a_file(choice: str, folder: Path) -> None:
    script = "import os; build().fit(max_iter=5); print(os.getpid())"
    out, _ = run(folder, script, HUGECTR_LOG_TO_FILE=choice)
    log = (folder / f"hctr_{out.splitlines()[-1]}.log").read_text()
    assert log.startswith("HugeCTR Version: ") and "Finish 5 iterations" in log
    assert ("Finish 5 iterations" in out) is (choice == "1")


def test_threads_environment(folder: Path) -> None:
    script = """
for value in ("abc", "0", "-3", "2x"):
    os.environ["HUGECTR_NUM_THREADS"] = value
    try:
        build()
    except ValueError as error:
        print(error)
"""
    lines = run(folder, "import os" + script)[0].splitlines()
    assert [line for line in lines if "must be a positive number, got" in line] == [
        f'HUGECTR_NUM_THREADS must be a positive number, got "{value}"' for value in ("abc", "0", "-3", "2x")
    ]
