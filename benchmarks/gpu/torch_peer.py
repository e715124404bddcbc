# SPDX-License-Identifier: Apache-2.0
"""PyTorch's side of the GPU benchmark, with its batches on the device: eager, and compiled and replayed as a graph.

``python torch_peer.py NAME BATCH SLOT_SIZE`` trains "dlrm" or "dcn" in 16 bits with SGD; ``NAME`` "embedding" is the
lookup alone. Prints one JSON object a line: variant and milliseconds a step (median, p10, p90).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "train"))

import torch_models  # noqa: E402
import workload  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.nn import functional as F  # noqa: E402

STEPS, LR = 200, 0.01


def times(step: Callable[[int], None]) -> dict[str, float]:
    """Milliseconds of ``step(i)`` by CUDA events, after a warm-up."""
    for i in range(20):
        step(i)
    events = [torch.cuda.Event(enable_timing=True) for _ in range(STEPS + 1)]
    events[0].record()
    for i in range(STEPS):
        step(i)
        events[i + 1].record()
    torch.cuda.synchronize()
    ms = sorted(a.elapsed_time(b) for a, b in zip(events, events[1:]))
    return {"median_ms": ms[STEPS // 2], "p10_ms": ms[STEPS // 10], "p90_ms": ms[STEPS * 9 // 10]}


def report(name: str, variant: str, step: Callable[[int], None]) -> None:
    print(json.dumps({"name": name, "variant": variant, **times(step)}), flush=True)


def replayed(step: Callable[..., None], inputs: list[Tensor]) -> Callable[..., None]:
    """The step as a CUDA graph over its own copy of the inputs."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(5):
            step(*inputs)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step(*inputs)

    def replay(*new: Tensor) -> None:
        for target, source in zip(inputs, new):
            target.copy_(source)
        graph.replay()

    return replay


def train(name: str, size: int, slot_size: int) -> None:
    data = [
        tuple(torch.from_numpy(part).cuda() for part in (b.keys, b.dense, b.label))
        for b in workload.batches(size, slot_size=slot_size)
    ]
    for compiled in (False, True):
        network = torch_models.MODELS[name][0]().cuda()
        dim = torch_models.MODELS[name][1]
        table = torch.empty(slot_size * workload.SLOTS, dim, device="cuda").uniform_(-0.05, 0.05)
        optimizer = torch.optim.SGD(network.parameters(), lr=LR, fused=True)

        def loss_of(rows: Tensor, dense: Tensor, label: Tensor, network: torch.nn.Module = network) -> Tensor:
            with torch.autocast("cuda", torch.bfloat16):
                logit = network(rows.bfloat16(), dense)
            return F.binary_cross_entropy_with_logits(logit.float(), label)

        forward = torch.compile(loss_of) if compiled else loss_of

        def step(keys: Tensor, dense: Tensor, label: Tensor) -> None:
            rows = F.embedding(keys, table).requires_grad_()  # noqa: B023
            forward(rows, dense, label).backward()  # noqa: B023
            optimizer.step()  # noqa: B023
            optimizer.zero_grad(set_to_none=False)  # noqa: B023
            table.index_add_(0, keys.flatten(), rows.grad.view(-1, dim), alpha=-LR)  # noqa: B023

        run = replayed(step, [t.clone() for t in data[0]]) if compiled else step
        variant = "PyTorch compiled, CUDA graph" if compiled else "PyTorch eager"
        report(f"{name} {size} bf16", variant, lambda i: run(*data[i % len(data)]))  # noqa: B023


def embedding() -> None:
    tables, rows, keys_each, dim = 10, 1_677_721, 104_857, 128
    table = torch.empty(tables * rows, dim, device="cuda").uniform_(-0.05, 0.05)
    power = 1 - workload.EXPONENT
    sets = []
    for _ in range(4):
        rank = ((rows**power - 1) * torch.rand(tables, keys_each, device="cuda", dtype=torch.float64) + 1) ** (
            1 / power
        )
        keys = (rank.long() - 1).clamp_(0, rows - 1) * 1_000_003 % rows
        sets.append((keys + torch.arange(tables, device="cuda")[:, None] * rows).flatten())
    gradient = torch.randn(tables * keys_each, dim, device="cuda")
    out = torch.empty_like(gradient)

    def forward(keys: Tensor) -> None:
        torch.index_select(table, 0, keys, out=out)

    def sgd(keys: Tensor) -> None:
        forward(keys)
        table.index_add_(0, keys, gradient, alpha=-LR)

    for name, step in (("embedding forward", forward), ("embedding forward + SGD", sgd)):
        report(name, "PyTorch eager", lambda i, step=step: step(sets[i % 4]))
        run = replayed(step, [sets[0].clone()])
        report(name, "PyTorch CUDA graph", lambda i, run=run: run(sets[i % 4]))
    parameter = torch.nn.Parameter(table)
    optimizer = torch.optim.SparseAdam([parameter], lr=LR)

    def adam(keys: Tensor) -> None:
        F.embedding(keys, parameter, sparse=True).backward(gradient)
        optimizer.step()
        optimizer.zero_grad()

    report("embedding forward + Adam", "PyTorch eager", lambda i: adam(sets[i % 4]))


def main() -> None:
    torch.backends.cuda.matmul.allow_tf32 = True
    if sys.argv[1] == "embedding":
        embedding()
    else:
        train(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))


if __name__ == "__main__":
    main()
