# SPDX-License-Identifier: Apache-2.0
"""A float64 NumPy trainer for a :class:`harness.declaration.Declaration`: the second opinion for the engine.

Nothing here shares code with the engine. Initial weights are given, never drawn, so both sides start from the same
numbers; results are those of one device, to which any number of ranks must agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from harness.declaration import Declaration, Embedding, Node
from harness.reference_layers import LAYERS, Array, Layer, regularizer
from harness.reference_optimizers import DenseUpdate, Optimizer, RowUpdate


@dataclass
class Bags:
    """Keys of one sparse input: row ``sample * slots + slot`` holds ``keys[offsets[row] : offsets[row + 1]]``."""

    slots: int
    offsets: Array
    keys: Array

    @property
    def counts(self) -> Array:
        return np.diff(self.offsets)


@dataclass
class Batch:
    label: Array  # [batch, columns of all labels]
    dense: Array  # [batch, dense_dim]
    sparse: dict[str, Bags]


class Table:
    """One embedding: a dictionary from key to row, and the rows' optimizer."""

    def __init__(self, spec: Embedding, keys: Array, vectors: Array, optimizer: Optimizer) -> None:
        self.spec, self.keys = spec, np.asarray(keys)
        self.row_of = {int(k): i for i, k in enumerate(keys)}
        self.update = RowUpdate(optimizer, np.array(vectors, np.float64))

    @property
    def vectors(self) -> Array:
        return self.update.rows

    def forward(self, bags: Bags) -> Array:
        """[batch, slots, dim]; a key that is not in the table adds nothing but counts in a mean."""
        self.rows = np.array([self.row_of.get(int(k), -1) for k in bags.keys], np.int64)
        self.bag_of = np.repeat(np.arange(len(bags.counts)), bags.counts)
        self.weight = np.ones(len(bags.counts))
        if self.spec.combiner == "mean":
            self.weight = 1.0 / np.maximum(bags.counts, 1)
        out = np.zeros((len(bags.counts), self.vectors.shape[1]))
        known = self.rows >= 0
        np.add.at(out, self.bag_of[known], self.vectors[self.rows[known]])
        return (out * self.weight[:, None]).reshape(-1, bags.slots, out.shape[1])

    def row_gradients(self, g: Array) -> tuple[Array, Array]:
        """The distinct rows of the last forward and their gradients, summed over all occurrences."""
        g = g.reshape(-1, g.shape[-1]) * self.weight[:, None]
        hit, where = np.unique(self.rows, return_inverse=True)
        grads = np.zeros((len(hit), g.shape[1]))
        np.add.at(grads, where, g[self.bag_of])
        return hit, grads


class Model:
    def __init__(
        self,
        declaration: Declaration,
        optimizer: Optimizer,
        dense_weights: Array,
        tables: dict[str, tuple[Array, Array]],
        batch_size: int,
    ) -> None:
        """``dense_weights``: the flat vector of the dense model file; ``tables``: keys and vectors by embedding."""
        self.declaration, self.batch_size = declaration, batch_size
        self.layers: list[Layer] = [LAYERS[n.type](**n.args) for n in declaration.nodes]
        for layer, n in zip(self.layers, declaration.nodes):
            layer.name, layer.batch = n.tops[0], batch_size
        self.weights: list[list[Array]] = []
        rest = np.asarray(dense_weights, np.float64)
        for shapes in weight_shapes(declaration):
            self.weights.append([])
            for shape in shapes:
                self.weights[-1].append(rest[: np.prod(shape)].reshape(shape).copy())
                rest = rest[np.prod(shape) :]
        assert len(rest) == 0
        self.tables = [Table(e, *tables[e.name], e.optimizer or optimizer) for e in declaration.embeddings]
        self.dense_update = DenseUpdate(optimizer, self.flat_weights())

    def flat_weights(self) -> list[Array]:
        return [w for layer in self.weights for w in layer]

    def dense_vector(self) -> Array:
        return np.concatenate([w.ravel() for w in self.flat_weights()])

    def forward(self, batch: Batch, training: bool) -> tuple[float, Array]:
        """Displayed loss and the first loss' probabilities."""
        values = label_values(self.declaration, batch.label) | {"dense": batch.dense}
        for table in self.tables:
            values[table.spec.name] = table.forward(batch.sparse[table.spec.bottom])
        total, predictions = 0.0, None
        self.penalty = [np.zeros_like(w) for w in self.flat_weights()]
        for node, layer, weights in zip(self.declaration.nodes, self.layers, self.weights):
            layer.training = training
            values |= zip(node.tops, outputs := layer.forward(weights, [values[b] for b in node.bottoms]))
            if node.type.endswith("Loss"):
                predictions = outputs[1] if predictions is None else predictions
                total += self._weight_of(node) * outputs[0] + self._regularize(node.args)
        return total, predictions

    def _weight_of(self, loss: Node) -> float:
        return next(label.weight for label in self.declaration.labels if label.name == loss.bottoms[1])

    def _regularize(self, args: dict[str, object]) -> float:
        if not args.get("use_regularizer"):
            return 0.0
        value, grads = regularizer(args["regularizer_type"], args["lambda"], self.batch_size, self.flat_weights())
        self.penalty = [p + g for p, g in zip(self.penalty, grads)]
        return value

    def backward(self) -> tuple[list[Array], list[tuple[Array, Array]]]:
        """Gradients of the dense weights, and (rows, gradients) of each table."""
        d_values = {n.tops[0]: self._weight_of(n) for n in self.declaration.nodes if n.type.endswith("Loss")}
        d_weights: list[list[Array]] = []
        for node, layer in zip(reversed(self.declaration.nodes), reversed(self.layers)):
            d_x, d_w = layer.backward([d_values.get(top) for top in node.tops])
            for bottom, d in zip(node.bottoms, d_x):
                d_values[bottom] = d_values[bottom] + d if bottom in d_values else d
            d_weights.insert(0, d_w)
        flat = [d for layer in d_weights for d in layer]
        rows = [t.row_gradients(d_values[t.spec.name]) for t in self.tables]
        return [d + p for d, p in zip(flat, self.penalty)], rows

    def step(self, batch: Batch, lr: float) -> float:
        loss, _ = self.forward(batch, training=True)
        d_weights, rows = self.backward()
        flat = self.flat_weights()
        self.dense_update(flat, d_weights, lr)
        for layer in self.layers:
            layer.step += 1
        for layer in self.weights:
            layer[:] = [flat.pop(0) for _ in layer]
        for table, (hit, grads) in zip(self.tables, rows):
            table.update(hit, grads, lr)
        return loss


def label_values(declaration: Declaration, columns: Array) -> dict[str, Array]:
    """Each label's own columns."""
    ends = np.cumsum([label.dim for label in declaration.labels])[:-1]
    return dict(zip([label.name for label in declaration.labels], np.split(columns, ends, 1)))


def weight_shapes(declaration: Declaration) -> list[list[tuple[int, ...]]]:
    """Shapes of the trainable tensors of each layer, found by pushing one zero sample through."""
    columns = sum(label.dim for label in declaration.labels)
    values = label_values(declaration, np.zeros((1, columns))) | {"dense": np.zeros((1, declaration.dense_dim))}
    for e in declaration.embeddings:
        values[e.name] = np.zeros((1, len(declaration.input_of(e).slot_sizes), e.dim))
    result = []
    for node in declaration.nodes:
        layer, inputs = LAYERS[node.type](**node.args), [values[b] for b in node.bottoms]
        result.append(layer.weight_shapes([x.shape for x in inputs]))
        layer.training = False
        values |= zip(node.tops, layer.forward([np.zeros(s) for s in result[-1]], inputs))
    return result


def initial_weights(declaration: Declaration, seed: int) -> Array:
    """A flat float32 dense vector with weights of a usual size."""
    rng = np.random.default_rng(seed)
    shapes = [s for layer in weight_shapes(declaration) for s in layer]
    scales = [1 / np.sqrt(s[0]) if s[0] > 1 else 0.1 for s in shapes]
    return np.concatenate([rng.normal(0, scale, s).ravel() for s, scale in zip(shapes, scales)]).astype(np.float32)


def initial_tables(declaration: Declaration, seed: int) -> dict[str, tuple[Array, Array]]:
    """Keys 0 .. of each sparse input with small float32 vectors."""
    rng = np.random.default_rng(seed)
    tables = {}
    for e in declaration.embeddings:
        count = sum(declaration.input_of(e).slot_sizes)
        tables[e.name] = np.arange(count), rng.uniform(-0.3, 0.3, (count, e.dim)).astype(np.float32)
    return tables


def random_batch(declaration: Declaration, size: int, rng: np.random.Generator) -> Batch:
    """Labels that a linear rule of the first keys explains, skewed keys; keys of one input do not overlap."""
    dense = rng.normal(0, 1, (size, declaration.dense_dim)).astype(np.float32)
    sparse, score = {}, dense.sum(1) * 0.5
    for spec in declaration.inputs:
        sizes = np.array(spec.slot_sizes)
        starts = np.cumsum(sizes) - sizes
        rows = size * len(sizes)
        counts = np.full(rows, spec.nnz) if spec.fixed else rng.integers(0, spec.nnz + 1, rows)
        slot = np.repeat(np.tile(np.arange(len(sizes)), size), counts)
        local = (sizes[slot] * rng.random(len(slot)) ** 3).astype(np.int64)
        keys = starts[slot] + local
        sparse[spec.name] = Bags(len(sizes), np.concatenate([[0], np.cumsum(counts)]), keys)
        np.add.at(score, np.repeat(np.arange(rows) // len(sizes), counts), np.where(local % 2, 0.4, -0.4))
    columns = sum(label.dim for label in declaration.labels)
    label = rng.random((size, columns)) < 1 / (1 + np.exp(-score[:, None]))
    return Batch(label.astype(np.float32), dense, sparse)
