# SPDX-License-Identifier: Apache-2.0
"""The same four models in PyTorch, as fast as its CPU back end gets: eager or compiled, sparse row gradients.

``python torch_models.py MODEL BATCH BATCHES OPTIMIZER PRECISION THREADS`` tries all variants and prints
their samples a second as JSON. Then it trains as many steps with the fastest one as each line of its input says,
and answers in seconds.
"""

from __future__ import annotations

import itertools
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


TRIAL_SECONDS = 1.0
MODELS = {"wdl": (WideAndDeep, 17), "dcn": (DCN, 16), "deepfm": (DeepFM, 11), "dlrm": (DLRM, 128)}


Step = Callable[[Tensor, Tensor, Tensor], None]


def make_steps(name: str, optimizer: str, bf16: bool, lr: float = 0.01) -> dict[str, Step]:
    """Training steps of one network in the variants that may be the fastest: eager or compiled, and row gradients as
    sparse tensors or (SGD) added with index_add_."""
    network, dim = MODELS[name][0](), MODELS[name][1]
    table = nn.Parameter(torch.empty(workload.KEYS, dim).uniform_(-0.05, 0.05))

    def loss_of(rows: Tensor, dense: Tensor, label: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logit = network(rows, dense)
        return F.binary_cross_entropy_with_logits(logit.float(), label)

    dense_optimizer = {"SGD": torch.optim.SGD, "Adam": torch.optim.Adam}[optimizer](
        network.parameters(), lr=lr, fused=True
    )
    row_optimizer = {"SGD": torch.optim.SGD, "Adam": torch.optim.SparseAdam}[optimizer]([table], lr=lr)

    def make_step(forward: Callable[..., Tensor], grouped: bool) -> Step:
        def step(keys: Tensor, dense: Tensor, label: Tensor) -> None:
            rows = F.embedding(keys, table.detach() if grouped else table, sparse=True)
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

    forwards = {"eager": loss_of, "compiled": torch.compile(loss_of)}
    groupings = {"sparse": False, "index_add": True} if optimizer == "SGD" else {"sparse": False}
    return {
        f"{forward}, {rows}": make_step(forwards[forward], grouped)
        for forward, (rows, grouped) in itertools.product(forwards, groupings.items())
    }


def main() -> None:
    name, size, batches, optimizer, precision, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    data = itertools.cycle(
        (torch.from_numpy(b.keys), torch.from_numpy(b.dense), torch.from_numpy(b.label))
        for b in workload.batches(int(size), count=int(batches))
    )

    def seconds_of(step: Step, steps: int) -> float:
        start = time.perf_counter()
        for batch in itertools.islice(data, steps):
            step(*batch)
        return time.perf_counter() - start

    trials = {}
    variants = make_steps(name, optimizer, precision == "bf16")
    for variant, step in variants.items():
        seconds_of(step, 2)
        steps = max(2, round(TRIAL_SECONDS / seconds_of(step, 1)))
        trials[variant] = steps * int(size) / seconds_of(step, steps)
    print(json.dumps({"version": torch.__version__, "trials": trials}), flush=True)
    fastest = variants[max(trials, key=lambda variant: trials[variant])]
    for line in sys.stdin:
        print(seconds_of(fastest, int(line)), flush=True)


if __name__ == "__main__":
    main()
