# SPDX-License-Identifier: Apache-2.0
"""Where the time of a training step goes on a GPU: kernels in groups, microseconds a step, by CUPTI.

    python benchmarks/gpu/kernel_times.py dcn:512 dcn:16384 dlrm_one_hot:65536
    python benchmarks/gpu/kernel_times.py --timeline dcn:16384    # also one step, kernel by kernel

CUPTI is reached through PyTorch's profiler. Groups may run beside each other: their sum may be more than the step.
"""

from __future__ import annotations

import argparse
import collections
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "train")]

import bench  # noqa: E402  (the one of this folder)
import models  # noqa: E402
import sources  # noqa: E402
import workload  # noqa: E402

STEPS = 20
GROUPS = (  # the first pattern that a kernel's name has names its group
    ("products", r"nvjet|cutlass|gemm|splitK"),
    ("sort of the rows", r"cub|list_hits"),
    ("interaction", r"interaction|Layout"),
    ("cross layers", r"Weights|sum_gradients|offsets"),
    ("ReLU and bias gradients", r"backward_packs|column_finish"),
    ("logit", r"row_dots|weighted_columns|outer"),
    ("key lookup", r"claim|fresh|find_kernel"),
    ("gather", r"combine_kernel"),
    ("row update", r"tiles_kernel|crossing_kernel|others_kernel|last_step"),
    ("dense update", r"update_kernel"),
    ("copies of columns", r"copy_kernel"),
    ("input", r"move_kernel|memcpy HtoD|Memcpy"),
    ("loss", r"[Ss]igmoid|forward_cuda|backward_into"),
)


def group_of(kernel: str) -> str:
    return next((name for name, pattern in GROUPS if re.search(pattern, kernel)), "other")


def traced(run: Any, folder: str) -> list[dict[str, Any]]:
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        run()
    path = Path(folder) / "trace.json"
    profile.export_chrome_trace(str(path))
    kinds = ("kernel", "gpu_memcpy", "gpu_memset")
    return [e for e in json.loads(path.read_text())["traceEvents"] if e.get("cat") in kinds]


def print_timeline(events: list[dict[str, Any]]) -> None:
    """One step in the middle: microseconds from its begin, duration, stream, kernel."""
    events = sorted(events, key=lambda event: event["ts"])
    per_step = len(events) // STEPS
    step = events[per_step * (STEPS // 2) : per_step * (STEPS // 2 + 1)]
    for event in step:
        name = re.sub(r"void |ctr::|\(anonymous namespace\)::|<unnamed>::", "", event["name"])
        stream = event["args"].get("stream", "")
        print(f"  {event['ts'] - step[0]['ts']:9.1f} {event['dur']:8.1f} {stream:>4}  {name[:100]}")


def show(model_name: str, size: int, timeline: bool) -> None:
    slot_size = workload.ONE_HOT_SLOT_SIZE if model_name.endswith("one_hot") else workload.SLOT_SIZE
    data = bench.data_of(model_name, size, slot_size)
    with tempfile.TemporaryDirectory(dir=sources.MEMORY) as folder:
        source, reader = sources.write("Norm", Path(folder) / "data", data)
        model = models.create(model_name, source, reader, size, "SGD", **bench.MIXED)
        model.start_data_reading()
        model._engine.time_steps(len(data), 4 * len(data))
        step = 1e6 * model._engine.time_steps(len(data), 10 * STEPS) / (10 * STEPS)
        events = traced(lambda: model._engine.time_steps(len(data), STEPS), folder)
    time, count = collections.Counter[str](), collections.Counter[str]()
    for event in events:
        time[group_of(event["name"])] += event["dur"] / STEPS
        count[group_of(event["name"])] += 1 / STEPS
    print(
        f"{model_name} {size}: {step:.1f} us a step, {sum(count.values()):.0f} kernels of {sum(time.values()):.1f} us"
    )
    for name, microseconds in time.most_common():
        print(f"  {name:26} {microseconds:9.1f} us {count[name]:6.1f}")
    if timeline:
        print_timeline(events)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("cases", nargs="+", metavar="MODEL:BATCH")
    arguments.add_argument("--timeline", action="store_true", help="also prints one step, kernel by kernel")
    given = arguments.parse_args()
    for case in given.cases:
        name, batch = case.split(":")
        show(name, int(batch), given.timeline)
