# SPDX-License-Identifier: Apache-2.0
"""Training speed on a GPU, ours and PyTorch's in one run on the same batches, beside the floor of the chip.

    python benchmarks/gpu/bench.py [--write benchmarks/baselines/NAME.json] [--embedding-bench PATH]

Ours starts from batches in host memory: row lookup, copies and everything else of a step are in its time. PyTorch's
batches lie on the device. The floor is the larger of bytes over memory rate and operations over matrix rate, both
measured here.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "train"))

import models  # noqa: E402
import sources  # noqa: E402
import workload  # noqa: E402
from hugectr.tools.formats import write_file_list  # noqa: E402

SLICES, STEPS, READERS = 11, 20, 12
MIXED = {"use_mixed_precision": True, "scaler": 1024}
ROWS = (
    ("dlrm", "dlrm_one_hot", 65536, workload.ONE_HOT_SLOT_SIZE),
    ("dcn", "dcn", 16384, workload.SLOT_SIZE),
    ("dcn", "dcn", 512, workload.SLOT_SIZE),
)


def data_of(model_name: str, size: int, slot_size: int) -> list[workload.Batch]:
    data = workload.batches(size, slot_size=slot_size)
    if not model_name.endswith("one_hot"):
        return data
    first = np.arange(workload.SLOTS) * slot_size
    return [dataclasses.replace(b, keys=b.keys - first) for b in data]


def ours(model_name: str, size: int, slot_size: int, format: str = "") -> dict[str, float]:
    """Milliseconds a step, median, p10 and p90 over slices of STEPS steps: from memory, or through the readers from
    files of ``format`` that lie in memory."""
    data = data_of(model_name, size, slot_size)
    with tempfile.TemporaryDirectory(dir=sources.MEMORY) as folder:
        source, reader = sources.write(format or "Norm", Path(folder) / "data", data)
        if format:
            reader["num_workers"] = READERS
        if format == "Norm":  # a file for each worker
            source = str(Path(folder) / "list.txt")
            write_file_list(Path(source), [Path(folder) / "data" / "train.data"] * READERS)
        model = models.create(model_name, source, reader, size, "SGD", **MIXED)
        model.start_data_reading()

        def seconds(steps: int) -> float:
            if not format:
                return model._engine.time_steps(len(data), steps)
            start = time.perf_counter()
            for _ in range(steps):
                model.train()
            model.get_current_loss()  # waits for the device
            return time.perf_counter() - start

        seconds(3 * len(data))
        ms = sorted(1e3 * seconds(STEPS) / STEPS for _ in range(SLICES))
    return {"median_ms": ms[SLICES // 2], "p10_ms": ms[SLICES // 10], "p90_ms": ms[SLICES * 9 // 10]}


def floor_ms(name: str, size: int, slot_size: int, rates: dict[str, float]) -> float:
    """Rows read and written once (f32), vectors and gradients once (16 bits); or the products at full rate."""
    shape = workload.SHAPES[name]
    keys = workload.batches(size, slot_size=slot_size)[0].keys
    rows, vectors = len(np.unique(keys)) * shape.dim, keys.size * shape.dim
    return 1e3 * max((rows * 4 * 3 + vectors * 2 * 2) / rates["bytes"], workload.flops(name) * size / rates["flops"])


def lines(command: list[str]) -> list[dict[str, Any]]:
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def machine_rates() -> dict[str, Any]:
    """Copy rate and 16-bit matrix rate of the card, by PyTorch."""
    code = """
import torch, time, json
def best(f):
    times = []
    for _ in range(10):
        a, b = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        a.record(); f(); b.record(); torch.cuda.synchronize(); times.append(a.elapsed_time(b) / 1e3)
    return sorted(times)[3]
x = torch.randn(1 << 30, device="cuda"); y = torch.empty_like(x)
m = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
print(json.dumps({"device": torch.cuda.get_device_name(), "torch": torch.__version__,
                  "bytes": 2 * x.nbytes / best(lambda: y.copy_(x)), "flops": 2 * 8192**3 / best(lambda: m @ m)}))
"""
    return lines([sys.executable, "-c", code])[0]


def embedding_rows(binary: str, rates: dict[str, float]) -> list[dict[str, Any]]:
    rows = [{**r, "variant": "ours", "floor_ms": 1e3 * r.pop("bytes") / rates["bytes"]} for r in lines([binary])]
    return rows + lines([sys.executable, str(HERE / "torch_peer.py"), "embedding"])


def table(rows: list[dict[str, Any]], rates: dict[str, Any]) -> str:
    text = [f"{rates['device']}: {rates['bytes'] / 1e12:.2f} TB/s, {rates['flops'] / 1e12:.0f} TFLOP/s (16 bits)"]
    for r in rows:
        speed = f"{r['batch'] / r['median_ms'] / 1e3:8.2f} M samples/s" if "batch" in r else ""
        floor = f"  floor {r['floor_ms']:.3f}" if "floor_ms" in r else ""
        text.append(
            f"{r['name']:26} {r['variant']:30} {r['median_ms']:8.3f} ms"
            f" [{r['p10_ms']:.3f}, {r['p90_ms']:.3f}]{floor} {speed}"
        )
    return "\n".join(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--embedding-bench", help="the program hugectr_bench_gpu")
    args = parser.parse_args()
    rates = machine_rates()
    rows: list[dict[str, Any]] = []
    for name, model_name, size, slot_size in ROWS:
        row = {"name": f"{name} {size} f16", "variant": "ours", "floor_ms": floor_ms(name, size, slot_size, rates)}
        rows.append({**row, "batch": size, **ours(model_name, size, slot_size)})
        peer = [sys.executable, str(HERE / "torch_peer.py"), name, str(size), str(slot_size)]
        rows += [{**r, "batch": size} for r in lines(peer)]
    for name, model_name, size, slot_size in ROWS[:2]:
        for format in ("Raw", "Norm"):
            row = {"name": f"{name} {size} f16", "variant": f"ours, from {format} files", "batch": size}
            rows.append({**row, **ours(model_name, size, slot_size, format)})
    if args.embedding_bench:
        rows += embedding_rows(args.embedding_bench, rates)
    print(table(rows, rates))
    if args.write:
        document = {"rates": rates, "date": time.strftime("%Y-%m-%d"), "rows": rows}
        args.write.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
