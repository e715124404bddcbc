# SPDX-License-Identifier: Apache-2.0
"""The same four models in PyTorch, as fast as its CPU back end gets: eager or compiled, sparse row gradients.

``python torch_models.py MODEL BATCH OPTIMIZER PRECISION SECONDS THREADS`` prints {"variant": samples per second} as
JSON.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Callable

import torch
import workload
from torch import Tensor, nn
from torch.nn import functional as F


def mlp(widths: list[int]) -> list[nn.Module]:
    modules: list[nn.Module] = []
    for inputs, outputs in zip(widths, widths[1:]):
        modules += [nn.Linear(inputs, outputs), nn.ReLU()]
    return modules


class WideAndDeep(nn.Module):
    """The wide weight of a key is the last element of its row."""

    def __init__(self) -> None:
        super().__init__()
        self.deep = nn.Sequential(*mlp([429, 1024, 1024]), nn.Linear(1024, 1))

    def forward(self, rows: Tensor, dense: Tensor) -> Tensor:
        deep = self.deep(torch.cat([rows[:, :, :16].flatten(1), dense], 1))
        return deep[:, 0] + rows[:, :, 16].sum(1)


class DCN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.ParameterList([nn.Parameter(torch.randn(429) * 0.05) for _ in range(6)])
        self.b = nn.ParameterList([nn.Parameter(torch.zeros(429)) for _ in range(6)])
        self.deep = nn.Sequential(*mlp([429, 1024, 1024]))
        self.last = nn.Linear(1453, 1)

    def forward(self, rows: Tensor, dense: Tensor) -> Tensor:
        x0 = x = torch.cat([rows.flatten(1), dense], 1)
        for w, b in zip(self.w, self.b):
            x = x0 * (x @ w)[:, None] + x + b
        return self.last(torch.cat([self.deep(x0), x], 1))[:, 0]


class DeepFM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.deep = nn.Sequential(*mlp([273, 400, 400, 400]), nn.Linear(400, 1))

    def forward(self, rows: Tensor, dense: Tensor) -> Tensor:
        factors = rows[:, :, :10]
        second = 0.5 * (factors.sum(1) ** 2 - (factors**2).sum(1)).sum(1)
        deep = self.deep(torch.cat([factors.flatten(1), dense], 1))
        return deep[:, 0] + second + rows[:, :, 10].sum(1)


class DLRM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bottom = nn.Sequential(*mlp([13, 512, 256, 128]))
        self.top = nn.Sequential(*mlp([479, 1024, 1024, 512, 256]), nn.Linear(256, 1))
        rows, columns = torch.tril_indices(27, 27, -1)
        self.register_buffer("pairs", rows * 27 + columns)

    def forward(self, rows: Tensor, dense: Tensor) -> Tensor:
        bottom = self.bottom(dense)
        z = torch.cat([bottom[:, None], rows], 1)
        products = torch.bmm(z, z.transpose(1, 2)).flatten(1)[:, self.pairs]
        return self.top(torch.cat([bottom, products], 1))[:, 0]


MODELS = {"wdl": (WideAndDeep, 17), "dcn": (DCN, 16), "deepfm": (DeepFM, 11), "dlrm": (DLRM, 128)}


def make_step(
    name: str, optimizer: str, bf16: bool, compiled: bool, grouped: bool, lr: float = 0.01
) -> Callable[..., None]:
    """One training step; ``grouped`` adds row gradients with index_add_ instead of sparse tensors (SGD only)."""
    network, dim = MODELS[name][0](), MODELS[name][1]
    table = nn.Parameter(torch.empty(workload.KEYS, dim).uniform_(-0.05, 0.05), requires_grad=not grouped)

    def loss_of(rows: Tensor, dense: Tensor, label: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logit = network(rows, dense)
        return F.binary_cross_entropy_with_logits(logit.float(), label)

    forward = torch.compile(loss_of) if compiled else loss_of
    dense_optimizer = {"SGD": torch.optim.SGD, "Adam": torch.optim.Adam}[optimizer](
        network.parameters(), lr=lr, fused=True
    )
    row_optimizer = {"SGD": torch.optim.SGD, "Adam": torch.optim.SparseAdam}[optimizer]([table], lr=lr)

    def step(keys: Tensor, dense: Tensor, label: Tensor) -> None:
        rows = F.embedding(keys, table, sparse=True)
        if grouped:
            rows.requires_grad_()
        forward(rows, dense, label).backward()
        dense_optimizer.step()
        dense_optimizer.zero_grad(set_to_none=True)
        if grouped:
            table.data.index_add_(0, keys.flatten(), rows.grad.view(-1, dim), alpha=-lr)
        else:
            row_optimizer.step()
            row_optimizer.zero_grad(set_to_none=True)

    return step


def main() -> None:
    name, size, optimizer, precision, seconds, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    data = [
        (torch.from_numpy(b.keys), torch.from_numpy(b.dense), torch.from_numpy(b.label))
        for b in workload.batches(int(size))
    ]
    rates = {}
    for grouped in (False, True) if optimizer == "SGD" else (False,):
        for compiled in (False, True):
            step = make_step(name, optimizer, precision == "bf16", compiled, grouped)

            def seconds_of(steps: int, step: Callable[..., None] = step) -> float:
                start = time.perf_counter()
                for i in range(steps):
                    step(*data[i % len(data)])
                return time.perf_counter() - start

            seconds_of(2 * len(data))
            variant = ("compiled" if compiled else "eager") + (", index_add" if grouped else ", sparse")
            rates[variant] = workload.median_rate(seconds_of, int(size), float(seconds))
    print(json.dumps(rates))


if __name__ == "__main__":
    main()
