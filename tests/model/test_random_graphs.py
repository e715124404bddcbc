# SPDX-License-Identifier: Apache-2.0
"""Random networks follow the NumPy reference: tensors with many consumers, views, fused and unfused neighbours."""

from __future__ import annotations

import random

import numpy as np
import pytest
from harness import reference, training
from harness.declaration import Declaration, Embedding, Node, SparseInput, node
from harness.reference_optimizers import Optimizer
from hugectr._core.testing import plan_like_gpu

BATCH, STEPS, DENSE, DIM, SLOTS = 12, 4, 5, 4, (9, 5, 12)


class Draw:
    """Adds random layers to a pool of [batch, width] tensors; everything left over ends in the loss."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.nodes: list[Node] = []
        self.widths = {"dense": DENSE}
        self.unused = {"dense"}

    def take(self, count: int = 1, width: int | None = None) -> list[str]:
        names = [n for n, w in self.widths.items() if width in (None, w)]
        taken = [self.random.choice(names) for _ in range(count)]  # one tensor may be taken twice
        self.unused -= set(taken)
        return taken

    def put(self, kind: str, bottoms: list[str], widths: list[int], **args: object) -> list[str]:
        tops = [f"t{len(self.nodes)}_{i}" for i in range(len(widths))]
        self.nodes.append(Node(kind, tuple(bottoms), tuple(tops), args))
        self.widths |= zip(tops, widths)
        self.unused |= set(tops)
        return tops

    def inside(self, bottoms: list[str], kind: str, **args: object) -> str:
        """A tensor that only the next layer sees."""
        name = f"t{len(self.nodes)}_inside"
        self.nodes.append(Node(kind, tuple(bottoms), (name,), args))
        return name

    def layer(self) -> None:
        pick, (x,) = self.random.choice, self.take()
        width = self.widths[x]
        kind = pick(
            [
                "InnerProduct",
                "InnerProduct",
                "ReLU",
                "ReLU",
                "Sigmoid",
                "Add",
                "Concat",
                "Concat",
                "Slice",
                "Slice",
                "MultiCross",
                "WeightMultiply",
                "FmOrder2",
                "ReduceSum",
                "BatchNorm",
                "Dropout",
                "folded",
                "Interaction",
            ]
        )
        if kind == "InnerProduct":
            top = self.put(kind, [x], [n := pick([1, 3, 4, 8])], num_output=n)
            if pick([True, False]):  # a neighbour that may be fused
                self.unused -= set(top)
                self.put("ReLU", top, [n])
        elif kind in ("ReLU", "Sigmoid", "BatchNorm"):
            self.put(kind, [x], [width])
        elif kind == "Dropout":
            self.put(kind, [x], [width], dropout_rate=0.0)
        elif kind == "Add":
            self.put(kind, [x, *self.take(pick([1, 2]), width)], [width])
        elif kind == "Concat":
            parts = [x, *self.take(pick([0, 1, 3]))]
            self.put(kind, parts, [sum(self.widths[p] for p in parts)])
        elif kind == "Slice":
            ranges = [(begin := pick(range(width)), pick(range(begin + 1, width + 1))) for _ in range(pick([1, 2, 3]))]
            self.put(kind, [x], [end - begin for begin, end in ranges], ranges=[*ranges])
        elif kind == "MultiCross":
            self.put(kind, [x], [width], num_layers=pick([1, 2]))
        elif kind == "WeightMultiply":
            self.put(kind, [x], [width * (v := pick([1, 2]))], weight_dims=[width, v])
        elif kind == "FmOrder2":
            self.put(kind, [x], [d := pick(self.divisors(width))], out_dim=d)
        elif kind == "ReduceSum":
            self.put(kind, [x], [1], axis=1)
        elif kind == "folded":  # rows of another width in between
            folded = self.inside([x], "Reshape", leading_dim=(k := pick(self.divisors(width))))
            folded = self.inside([folded], "InnerProduct", num_output=k)
            self.put("Reshape", [self.inside([folded], "ReLU")], [width], leading_dim=width)
        else:
            e = pick([w for w in self.divisors(width) if w in self.widths.values()])
            (m,) = self.take(width=e)
            vectors = self.inside([x], "Reshape", time_step=width // e, leading_dim=e)
            n = width // e
            self.put("Interaction", [m, vectors], [e + n * (n + 1) // 2 + 1])

    @staticmethod
    def divisors(width: int) -> list[int]:
        return [d for d in range(1, width + 1) if width % d == 0]

    def declaration(self) -> Declaration:
        self.put("Reshape", ["embedding"], [len(SLOTS) * DIM], leading_dim=len(SLOTS) * DIM)
        self.put("Reshape", ["embedding"], [2 * DIM], selected=True, selected_slots=[2, 0])
        for _ in range(self.random.randint(4, 14)):
            self.layer()
        rest = sorted(self.unused)
        self.random.shuffle(rest)
        self.nodes += [
            node("Concat", " ".join(rest), "rest"),
            node("InnerProduct", "rest", "logit", num_output=1),
            node("BinaryCrossEntropyLoss", "logit label", "loss"),
        ]
        return Declaration(
            "random",
            DENSE,
            (SparseInput("data1", SLOTS, 2, False),),
            (Embedding("embedding", "data1", DIM),),
            tuple(self.nodes),
        )


@pytest.fixture(params=["plain", "like_gpu"])
def memory(request):
    """Models lie in memory as on a CPU; or as on a GPU, with rows that are aligned and sums taken where they lie."""
    plan_like_gpu(request.param == "like_gpu")
    yield
    plan_like_gpu(False)


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.usefixtures("memory")
def test_random_graph(seed, tmp_path):
    declaration = Draw(seed).declaration()
    ranks = 1 if any(n.type == "BatchNorm" for n in declaration.nodes) else 1 + seed % 2
    rng = np.random.default_rng(seed)
    batches = [reference.random_batch(declaration, BATCH, rng) for _ in range(STEPS)]
    dense, tables = reference.initial_weights(declaration, seed), reference.initial_tables(declaration, seed)
    optimizer, lr = Optimizer("MomentumSGD", "Local", momentum_factor=0.5), 0.02
    expected = reference.Model(declaration, optimizer, dense, tables, BATCH)
    losses = [expected.step(batch, lr) for batch in batches]

    model = training.create_model(
        declaration,
        optimizer,
        training.write_norm(tmp_path, declaration, batches),
        batch_size=BATCH,
        ranks=ranks,
        lr=lr,
    )
    training.load_weights(model, tmp_path / "start", declaration, dense, tables)
    model.start_data_reading()
    np.testing.assert_allclose(training.train(model, STEPS), losses, rtol=1e-5)
    model.save_params_to_files(str(tmp_path / "end"))
    got = np.fromfile(tmp_path / "end_dense_0.model", "<f4")
    np.testing.assert_allclose(got, expected.dense_vector(), rtol=1e-4, atol=1e-5)
    _, vectors = training.read_table(tmp_path / "end0_sparse_0.model", DIM)
    np.testing.assert_allclose(vectors, expected.tables[0].vectors, rtol=1e-4, atol=1e-5)
