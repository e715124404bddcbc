# SPDX-License-Identifier: Apache-2.0
"""Training speed of the four models: from batches in memory, from files, on two ranks, and beside PyTorch."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import measure
import models
import report
import sources
import workload

SAMPLES = 32768


@dataclass(frozen=True)
class Case:
    """One model in one setting."""

    model: str
    batch: int
    optimizer: str
    precision: str
    samples: int  # of the data set, where batches are not larger

    def __str__(self) -> str:
        return f"{self.model} {self.batch} {self.optimizer} {self.precision}"

    @property
    def solver(self) -> dict[str, Any]:
        type_of = {"bf16": "bf16", "mixed": "auto"}
        if self.precision not in type_of:
            return {}
        return {"use_mixed_precision": True, "scaler": 1024, "mixed_precision_type": type_of[self.precision]}

    @property
    def count(self) -> int:
        """Number of batches."""
        return max(4, self.samples // self.batch)

    def data(self) -> list[workload.Batch]:
        """The batches of every contestant."""
        return workload.batches(self.batch, count=self.count)


class Contestant:
    """A compiled model on a data set; construction trains on every batch once, which inserts all keys."""

    def __init__(self, case: Case, source: str, reader: dict[str, Any], ranks: int = 1) -> None:
        self._model = models.create(case.model, source, reader, case.batch, case.optimizer, ranks, **case.solver)
        self._model.start_data_reading()
        self._batches = case.count
        self.from_memory(self._batches)

    def from_memory(self, steps: int) -> float:
        """Seconds for ``steps`` steps on batches held in memory."""
        return float(self._model._engine.time_steps(self._batches, steps))

    def from_files(self, steps: int) -> float:
        """Seconds for ``steps`` steps through the reader."""
        start = time.perf_counter()
        for _ in range(steps):
            self._model.train()
        return time.perf_counter() - start


class TorchPeer:
    """PyTorch in a process of its own: its fastest variant, chosen when it starts."""

    def __init__(self, python: str, case: Case, threads: int) -> None:
        script = str(Path(__file__).parent / "torch_models.py")
        sizes = [str(case.batch), str(case.count)]
        command = [python, script, case.model, *sizes, case.optimizer, case.precision, str(threads)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        first = self._answer()
        self.version: str = first["version"]
        self.trials: dict[str, float] = first["trials"]  # samples a second of each variant

    @property
    def variant(self) -> str:
        return max(self.trials, key=lambda name: self.trials[name])

    def __call__(self, steps: int) -> float:
        assert self._process.stdin
        print(steps, file=self._process.stdin, flush=True)
        return float(self._answer())

    def _answer(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"PyTorch's side ended with status {self._process.wait()}: {self._process.args}")
        return json.loads(line)

    def close(self) -> None:
        self._process.communicate()


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=sources.MEMORY) as folder:
        yield Path(folder)


def row(case: Case, what: str, rates: list[float], flops_per_s: float | None, **more: Any) -> dict[str, Any]:
    """One line of the results. ``rates`` are steps a second."""
    speed = measure.spread([rate * case.batch for rate in rates])
    share = {"of_gemm": speed["median"] * workload.flops(case.model) / flops_per_s} if flops_per_s else {}
    return {"name": f"train {case} {what}", "unit": "samples/s", **speed, **share, **more}


def rows(
    case: Case, formats: list[str], seconds: float, ceiling: float | None, torch_python: str | None, threads: int
) -> Iterator[dict[str, Any]]:
    """From memory, beside fp32 if it is not that and PyTorch if there is one; then from each of the formats, beside
    memory again."""
    batches = case.data()
    with folder_in_memory() as folder:
        for i, format in enumerate(formats or ["Norm"]):
            report.doing(f"{case} {format}")
            data_set = sources.write(format, folder / format, batches)
            ours = Contestant(case, *data_set)
            peer = TorchPeer(torch_python, case, threads) if torch_python and i == 0 else None
            turns: dict[str, measure.SecondsOf] = {"memory": ours.from_memory}
            if formats:
                turns["files"] = ours.from_files
            if peer:
                turns["torch"] = peer
            if i == 0 and case.precision != "fp32":
                turns["fp32"] = Contestant(replace(case, precision="fp32"), *data_set).from_memory
            rates = dict(zip(turns, measure.in_turn(list(turns.values()), seconds)))
            if i == 0:
                more: dict[str, Any] = {}
                if peer:
                    peer.close()
                    speed = measure.spread([rate * case.batch for rate in rates["torch"]])
                    torch = {**speed, "version": peer.version, "variant": peer.variant, "trials": peer.trials}
                    more = {"torch": torch, "of_torch": measure.ratio(rates["memory"], rates["torch"])}
                if "fp32" in rates:
                    more["of_fp32"] = measure.ratio(rates["memory"], rates["fp32"])
                yield row(case, "memory", rates["memory"], ceiling, **more)
            if formats:
                yield row(
                    case, format, rates["files"], ceiling, of_memory=measure.ratio(rates["files"], rates["memory"])
                )
            turns.clear()
            del ours


def rank_rows(case: Case, seconds: float, ceiling: float | None) -> Iterator[dict[str, Any]]:
    """One rank with all threads, then two ranks with half of them each."""
    report.doing(f"{case} on ranks")
    with folder_in_memory() as folder:
        data_set = sources.write("Norm", folder / "Norm", case.data())
        one, two = (Contestant(case, *data_set, ranks=ranks).from_memory for ranks in (1, 2))
        rates = measure.in_turn([one, two], seconds)
    yield row(case, "1 rank", rates[0], ceiling)
    yield row(case, "2 ranks", rates[1], ceiling, of_one_rank=measure.ratio(rates[1], rates[0]))
