# SPDX-License-Identifier: Apache-2.0
"""The end of the interpreter while threads work, and interrupts at bad moments: a clean stop, the right exit status."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness.scripts import PACKAGE, make_data, run, start

FIT = "max_iter=10**9, num_epochs=10**9, display=0, eval_interval=0, snapshot=0"
DAEMON = """
import sys, threading, time

def in_daemon(function):
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    time.sleep(1)
    print("leaving", flush=True)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("exit"))


def finish(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, out, err


@pytest.mark.parametrize("options", ["", "repeat=False", "format=hugectr.Norm"])
def test_fit_in_a_daemon_thread(folder: Path, options: str) -> None:
    out, err = run(folder, DAEMON + f"in_daemon(lambda: build({options}).fit({FIT}))")
    assert "leaving\n" in out and err == ""


def test_a_loop_in_a_daemon_thread(folder: Path) -> None:
    script = """
def loop():
    model = build()
    model.start_data_reading()
    while True:
        model.train()
        model.eval()

in_daemon(loop)
sys.exit(5)
"""
    code, out, err = finish(start(folder, DAEMON + script))
    assert (code, err) == (5, "") and "leaving\n" in out


def test_models_made_in_a_daemon_thread(folder: Path) -> None:
    script = """
def loop():
    while True:
        build()

in_daemon(loop)
"""
    code, _, err = finish(start(folder, DAEMON + script))
    assert (code, err) == (0, "")


def test_a_daemon_thread_that_sleeps_on_a_model(folder: Path) -> None:
    """It holds the model until the process is gone: that is no leak."""
    script = """
def loop():
    model = build()
    while True:
        time.sleep(1)

in_daemon(loop)
"""
    code, _, err = finish(start(folder, DAEMON + script))
    assert (code, err) == (0, "")


def test_a_thread_that_keeps_going_after_its_call_was_ended(folder: Path) -> None:
    """It may even ask for the interpreter's lock when that is gone."""
    script = f"""
def stubborn():
    model = build()
    while True:
        try:
            model.fit({FIT})
        except BaseException:
            pass

in_daemon(stubborn)
"""
    code, _, err = finish(start(folder, DAEMON + script))
    assert code == 0 and "terminate" not in err


def test_models_cannot_be_used_after_the_end(folder: Path) -> None:
    script = """
import atexit
model = build()
model.start_data_reading()
atexit._run_exitfuncs()
try:
    model.train()
except hugectr.HugectrError as error:
    print("error:", error)
"""
    assert run(folder, script)[0].endswith("error: the interpreter is ending, and models cannot be used any more\n")


@pytest.mark.parametrize("pause", [0.0, 0.002, 0.02, 0.2])
def test_ctrl_c_twice(folder: Path, pause: float) -> None:
    script = f"""
model, other = build(), build(format=hugectr.Norm)
other.start_data_reading()
print("ready", flush=True)
model.fit({FIT})
"""
    process = start(folder, script)
    assert process.stdout
    while process.stdout.readline() != "ready\n":
        pass
    time.sleep(0.5)
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(pause)
    code, _, err = finish(process)
    assert code == -signal.SIGINT, err
    assert "KeyboardInterrupt" in err and "terminate" not in err


def test_ctrl_c_while_the_native_module_loads(tmp_path: Path) -> None:
    script = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "hugectr._core":
            sys.modules.pop("enum")
        if name == "enum":  # which the module imports
            os.kill(os.getpid(), signal.SIGINT)

import signal
sys.meta_path.insert(0, Finder())
import hugectr
print("not reached")
"""
    environment = {**os.environ, "PYTHONPATH": PACKAGE}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == -signal.SIGINT and done.stdout == "" and "KeyboardInterrupt" in done.stderr


@pytest.mark.parametrize("after", [0.05, 0.15, 0.3, 0.5, 0.7])
def test_ctrl_c_while_importing_and_building(folder: Path, after: float) -> None:
    process = start(folder, "while True: build(vvgpu=[[0, 1]])", HUGECTR_DEVICE="cpu")
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    assert code in (-signal.SIGINT, 1), err
    assert "terminate" not in err
