# SPDX-License-Identifier: Apache-2.0
"""Processes forked from one that uses the library: they work, or say at once what does not."""

from pathlib import Path

import pytest
from harness.scripts import make_data, run

# in_child(f) runs f in a forked child and prints what it returned or raised, or that it hangs.
FORK = """
import gc, multiprocessing, os, queue, sys
fork = multiprocessing.get_context("fork")

def say(line):  # at once, whoever else writes
    sys.stdout.write(line + "\\n")

def in_child(function):
    answers = fork.Queue()

    def job():
        try:
            answers.put(function())
        except Exception as error:
            answers.put(f"{type(error).__name__}: {error}")

    child = fork.Process(target=job)
    child.start()
    try:
        say(f"child: {answers.get(timeout=60)}")
    except queue.Empty:
        say("child: hangs")
        child.kill()
    child.join(10)
    say(f"exit: {child.exitcode}")

def train(**options):
    model = build(**options)
    model.fit(max_iter=30, num_epochs=1, display=0, eval_interval=10, snapshot=0)
    return model.get_current_loss()

"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("fork"))


def answers(folder: Path, script: str) -> list[str]:
    out, _ = run(folder, FORK + script, HUGECTR_NUM_THREADS="3", HUGECTR_DEVICE="cpu")
    return [line for line in out.splitlines() if line.startswith(("child: ", "exit: ", "parent: "))]


@pytest.mark.parametrize("format", ["Parquet", "Norm"])
def test_a_model_of_the_child_trains(folder: Path, format: str) -> None:
    """Before and after the parent trained, and after its model is gone, with the loss that the parent gets."""
    script = f"""
options = dict(format=hugectr.{format})
in_child(lambda: train(**options))
model = build(**options)
model.fit(max_iter=30, display=0, eval_interval=10, snapshot=0)
loss = model.get_current_loss()
in_child(lambda: train(**options))
in_child(lambda: train(repeat=False, **options) > 0)
del model
in_child(lambda: train(**options))
print("child:", loss)
"""
    *lines, loss = answers(folder, script)
    assert lines == [loss, "exit: 0", loss, "exit: 0", "child: True", "exit: 0", loss, "exit: 0"]


def test_a_wide_model_of_the_child_trains(folder: Path) -> None:
    """One whose loops are shared among threads, which the child does not have."""
    script = """
def train_wide():
    model = build_wide()
    model.fit(max_iter=5, display=0, eval_interval=0, snapshot=0)
    return model.get_current_loss()

in_child(train_wide)
print("child:", train_wide())
in_child(lambda: [train_wide(), in_child(train_wide)][0])
"""
    first, code, parent, grandchild, *rest = answers(folder, script)
    assert first == parent == grandchild and rest == [code, first, code] == ["exit: 0", first, "exit: 0"]


@pytest.mark.parametrize(
    "use",
    ["train()", "eval()", "get_current_loss()", "save_params_to_files('m', 1)", "start_data_reading()", "summary()"],
)
def test_the_parents_model_is_refused(folder: Path, use: str) -> None:
    script = f"""
model = build()
model.start_data_reading()
model.train()
in_child(lambda: model.{use})
print("parent:", model.train(), os.getpid())
"""
    error, code, parent = answers(folder, script)
    assert error.startswith("child: UnsupportedError: this model belongs to process ")
    assert f"process {parent.split()[-1]}," in error and '"spawn"' in error
    assert code == "exit: 0" and parent.startswith("parent: True")


@pytest.mark.parametrize("model", ["build()", "build_wide(devices=2)"])
@pytest.mark.parametrize("end", ["sys.exit(3)", "del model; gc.collect(); sys.exit(3)", "os._exit(3)"])
def test_a_child_with_the_parents_model_ends(folder: Path, model: str, end: str) -> None:
    """Readers and rank threads are the parent's: nobody waits for them."""
    script = f"""
model = {model}
model.fit(max_iter=3, display=0, eval_interval=0, snapshot=0)
child = os.fork()
if child == 0:
    {end}
print("exit:", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print("parent:", model.train())
"""
    assert answers(folder, script) == ["exit: 3", "parent: True"]


def test_a_pool_of_forked_processes(folder: Path) -> None:
    script = """
model = build()
model.fit(max_iter=3, display=0, eval_interval=0, snapshot=0)
with fork.Pool(2) as pool:
    print("parent:", pool.map(abs, [-1, -2]))
"""
    assert answers(folder, script) == ["parent: [1, 2]"]


def test_a_fork_while_another_thread_trains(folder: Path) -> None:
    script = """
import threading
model = build()
thread = threading.Thread(target=lambda: model.fit(max_iter=10**9, display=1, eval_interval=0, snapshot=0), daemon=True)
thread.start()
for _ in range(5):
    in_child(lambda: train() > 0)
"""
    assert answers(folder, script) == ["child: True", "exit: 0"] * 5


def test_data_preparation_in_both(folder: Path) -> None:
    script = """
from hugectr.tools import to_parquet
columns = {"y": [0, 1] * 50, "a": list(range(100)), "b": [0.5] * 100}

def prepare(name):
    return to_parquet(columns, name, labels="y", numeric=["b"], categorical=["a"]).slot_size_array

print("parent:", prepare("of_parent"))
in_child(lambda: prepare("of_child"))
"""
    parent, child, code = answers(folder, script)
    assert child == parent.replace("parent", "child") and code == "exit: 0"
