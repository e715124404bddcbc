# SPDX-License-Identifier: Apache-2.0
"""Float64 NumPy layers, written from the formulas alone: the second opinion for every layer of the four models.

A layer is ``forward(weights, inputs) -> outputs`` and ``backward(d_outputs) -> (d_inputs, d_weights)``; forward keeps
what backward needs. ``weight_shapes(input_shapes)`` gives the trainable tensors in the order of the dense model file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from harness.philox import kept

Array = np.ndarray
Shape = tuple[int, ...]


class Layer:
    name = ""  # its first top
    seed, step, batch = 1, 0, 1  # of the run, and samples in a batch

    def __init__(self, **args: Any) -> None:
        self.args = args
        self.training = True

    def weight_shapes(self, shapes: list[Shape]) -> list[Shape]:
        return []


class InnerProduct(Layer):
    def weight_shapes(self, shapes: list[Shape]) -> list[Shape]:
        width, n = shapes[0][1], self.args["num_output"]
        return [(width, n), (1, n)]

    def forward(self, w: list[Array], x: list[Array]) -> list[Array]:
        self.x, self.kernel = x[0], w[0]
        return [x[0] @ w[0] + w[1]]

    def backward(self, g: list[Array]) -> tuple[list[Array], list[Array]]:
        return [g[0] @ self.kernel.T], [self.x.T @ g[0], g[0].sum(0, keepdims=True)]


class ReLU(Layer):
    def forward(self, w: list[Array], x: list[Array]) -> list[Array]:
        self.positive = x[0] > 0
        return [np.where(self.positive, x[0], 0.0)]

    def backward(self, g: list[Array]) -> tuple[list[Array], list[Array]]:
        return [g[0] * self.positive], []


class Sigmoid(Layer):
    def forward(self, w: list[Array], x: list[Array]) -> list[Array]:
        self.y = sigmoid(x[0])
        return [self.y]

    def backward(self, g: list[Array]) -> tuple[list[Array], list[Array]]:
        return [g[0] * self.y * (1 - self.y)], []


class Dropout(Layer):
    def forward(self, w: list[Array], x: list[Array]) -> list[Array]:
        rate, shape = self.args.get("dropout_rate", 0.5), x[0].shape
        self.factor: Any = 1.0
        if self.training and rate not in (0.0, 1.0):
            # Where a row holds several samples, it counts as one.
            samples = self.batch if shape[0] % self.batch == 0 else shape[0]
            mask = kept((samples, x[0].size // samples), rate, seed=self.seed, name=self.name, step=self.step)
            self.factor = mask.reshape(shape) / (1 - rate)
        return [x[0] * self.factor]

    def backward(self, g: list[Array]) -> tuple[list[Array], list[Array]]:
        return [g[0] * self.factor], []


class BatchNorm(Layer):
    """Running statistics are kept on the layer (``mean``, ``var``)."""

    mean: Array | None = None
    var: Array | None = None

    def weight_shapes(self, shapes: list[Shape]) -> list[Shape]:
        return [(shapes[0][1], 1)] * 2

    def forward(self, w: list[Array], x: list[Array]) -> list[Array]:
        eps, factor, rows = self.args.get("eps", 1e-5), self.args.get("factor", 1.0), len(x[0])
        if self.mean is None:
            self.mean, self.var = np.zeros(x[0].shape[1]), np.ones(x[0].shape[1])
        mean, var = self.mean, self.var
        if self.training:
            mean, var = x[0].mean(0), x[0].var(0)
            self.mean = (1 - factor) * self.mean + factor * mean
            self.var = (1 - factor) * self.var + factor * var * rows / max(rows - 1, 1)
        self.scale = w[0][:, 0] / np.sqrt(var + eps)
        self.normal = (x[0] - mean) / np.sqrt(var + eps)
        return [self.normal * w[0][:, 0] + w[1][:, 0]]

    def backward(self, g: list[Array]) -> tuple[list[Array], list[Array]]:
        g0, normal = g[0], self.normal
        d_x = self.scale * (g0 - g0.mean(0) - normal * (g0 * normal).mean(0))
        return [d_x], [(g0 * normal).sum(0)[:, None], g0.sum(0)[:, None]]


class Concat(Layer):
    def forward(self, w: list[Array], x: list[Array]) -> list[Array]:
        self.axis = self.args.get("axis", 1)
        self.ends = np.cumsum([t.shape[self.axis] for t in x])[:-1]
        return [np.concatenate(x, self.axis)]

    def backward(self, g: list[Array]) -> tuple[list[Array], list[Array]]:
        return np.split(g[0], self.ends, self.axis), []


class Reshape(Layer):
    def forward(self, w: list[Array], x: list[Array]) -> list[Array]:
        self.shape, slots = x[0].shape, self.args.get("selected_slots", [])
        self.selected = list(slots) or list(range(x[0].shape[1])) if self.args.get("selected") else None
        if self.selected is not None:
            return [x[0][:, self.selected].reshape(len(x[0]), -1)]
        width, time = self.args.get("leading_dim", 0), self.args.get("time_step", 0)
        width = width if width > 0 else x[0].size // len(x[0])
        return [x[0].reshape((-1, time, width) if time > 0 else (-1, width))]

    def backward(self, g: list[Array]) -> tuple[list[Array], list[Array]]:
        if self.selected is None:
            return [g[0].reshape(self.shape)], []
        d_x = np.zeros(self.shape)
        for i, slot in enumerate(self.selected):
            d_x[:, slot] += g[0].reshape(len(g[0]), len(self.selected), -1)[:, i]
        return [d_x], []


class Slice(Layer):
    def forward(self, w: list[Array], x: list[Array]) -> list[Array]:
        self.shape = x[0].shape
        return [x[0][:, begin:end] for begin, end in self.args["ranges"]]

    def backward(self, g: list[Array]) -> tuple[list[Array], list[Array]]:
        d_x = np.zeros(self.shape)
        for (begin, end), part in zip(self.args["ranges"], g):
            d_x[:, begin:end] += part
        return [d_x], []


class Add(Layer):
    def forward(self, w: list[Array], x: list[Array]) -> list[Array]:
        self.count = len(x)
        return [np.sum(x, axis=0)]

    def backward(self, g: list[Array]) -> tuple[list[Array], list[Array]]:
        return [g[0]] * self.count, []


class ReduceSum(Layer):
    def forward(self, w: list[Array], x: list[Array]) -> list[Array]:
        self.shape = x[0].shape
        return [x[0].sum(self.args.get("axis", 1), keepdims=True)]

    def backward(self, g: list[Array]) -> tuple[list[Array], list[Array]]:
        return [np.broadcast_to(g[0], self.shape)], []


class WeightMultiply(Layer):
    def weight_shapes(self, shapes: list[Shape]) -> list[Shape]:
        return [tuple(self.args["weight_dims"])]

    def forward(self, w: list[Array], x: list[Array]) -> list[Array]:
        self.x, self.w = x[0], w[0]
        return [np.einsum("bs,sv->bsv", x[0], w[0]).reshape(len(x[0]), -1)]

    def backward(self, g: list[Array]) -> tuple[list[Array], list[Array]]:
        g3 = g[0].reshape(len(g[0]), *self.w.shape)
        return [np.einsum("bsv,sv->bs", g3, self.w)], [np.einsum("bsv,bs->sv", g3, self.x)]


class FmOrder2(Layer):
    def forward(self, w: list[Array], x: list[Array]) -> list[Array]:
        self.x = x[0].reshape(len(x[0]), -1, self.args["out_dim"])
        return [0.5 * (self.x.sum(1) ** 2 - (self.x**2).sum(1))]

    def backward(self, g: list[Array]) -> tuple[list[Array], list[Array]]:
        d_x = g[0][:, None, :] * (self.x.sum(1, keepdims=True) - self.x)
        return [d_x.reshape(len(d_x), -1)], []


class MultiCross(Layer):
    def weight_shapes(self, shapes: list[Shape]) -> list[Shape]:
        return [(1, shapes[0][1])] * (2 * self.args["num_layers"])

    def forward(self, w: list[Array], x: list[Array]) -> list[Array]:
        self.w, self.x = w[0::2], [x[0]]
        for weight, bias in zip(w[0::2], w[1::2]):
            last = self.x[-1]
            self.x.append(x[0] * (last @ weight.T) + last + bias)
        return [self.x[-1]]

    def backward(self, g: list[Array]) -> tuple[list[Array], list[Array]]:
        x0, d_x0, d_x, d_w = self.x[0], np.zeros_like(self.x[0]), g[0], []
        for weight, x in zip(reversed(self.w), reversed(self.x[:-1])):
            d_h = (d_x * x0).sum(1, keepdims=True)
            d_x0 = d_x0 + (x @ weight.T) * d_x
            d_w += [d_x.sum(0, keepdims=True), d_h.T @ x]
            d_x = d_x + d_h * weight
        return [d_x + d_x0], d_w[::-1]


class Interaction(Layer):
    def forward(self, w: list[Array], x: list[Array]) -> list[Array]:
        self.z = np.concatenate([x[0][:, None, :], x[1]], 1)
        self.rows, self.columns = np.tril_indices(self.z.shape[1], -1)
        pairs = np.einsum("bie,bje->bij", self.z, self.z)[:, self.rows, self.columns]
        return [np.concatenate([x[0], pairs, np.zeros((len(x[0]), 1))], 1)]

    def backward(self, g: list[Array]) -> tuple[list[Array], list[Array]]:
        batch, n, width = self.z.shape
        a = np.zeros((batch, n, n))
        a[:, self.rows, self.columns] = g[0][:, width:-1]
        d_z = np.einsum("bij,bje->bie", a + a.transpose(0, 2, 1), self.z)
        d_z[:, 0] += g[0][:, :width]
        return [d_z[:, 0], d_z[:, 1:]], []


class BinaryCrossEntropyLoss(Layer):
    """Losses have the outputs loss and probabilities; what flows back into the first is the weight of the loss."""

    def forward(self, w: list[Array], x: list[Array]) -> list[Array]:
        logit, label = x
        self.y, self.label = sigmoid(logit), label
        value = np.maximum(logit, 0) - logit * label + np.log1p(np.exp(-np.abs(logit)))
        return [value.mean(), self.y]

    def backward(self, g: list[Array]) -> tuple[list[Array], list[Array]]:
        return [g[0] * (self.y - self.label) / len(self.y), np.zeros_like(self.label)], []


class MultiCrossEntropyLoss(Layer):
    """A label below -0.5 is missing, but its element still counts in the mean."""

    def forward(self, w: list[Array], x: list[Array]) -> list[Array]:
        logit, self.label = x
        self.y, tau = sigmoid(logit), self.args.get("target_weight_vec") or [1.0] * logit.shape[1]
        self.scale = np.where(self.label < -0.5, 0.0, tau) / logit.size
        value = np.maximum(logit, 0) - logit * self.label + np.log1p(np.exp(-np.abs(logit)))
        return [(self.scale * value).sum(), self.y]

    def backward(self, g: list[Array]) -> tuple[list[Array], list[Array]]:
        return [g[0] * self.scale * (self.y - self.label), np.zeros_like(self.label)], []


class CrossEntropyLoss(Layer):
    """Two classes; the label [batch, 1] says whether it is the second."""

    def forward(self, w: list[Array], x: list[Array]) -> list[Array]:
        logit, label = x
        e = np.exp(logit - logit.max(1, keepdims=True))
        self.y = e / e.sum(1, keepdims=True)
        self.target = np.concatenate([label < 0.5, label >= 0.5], 1)
        return [-np.log(self.y[self.target]).mean(), self.y]

    def backward(self, g: list[Array]) -> tuple[list[Array], list[Array]]:
        return [g[0] * (self.y - self.target) / len(self.y), np.zeros((len(self.y), 1))], []


def sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, e) / (1 + e)


def regularizer(kind: str, strength: float, rows: int, weights: list[Array]) -> tuple[float, list[Array]]:
    """Value and gradient of the penalty that a loss with ``use_regularizer`` shows; ``rows``: of the whole batch."""
    scale = strength / rows
    if kind == "L1":
        return scale * sum(np.abs(w).sum() for w in weights), [scale * np.where(w > 0, 1.0, -1.0) for w in weights]
    return scale / 2 * sum((w**2).sum() for w in weights), [scale * w for w in weights]


LAYERS: dict[str, type[Layer]] = {cls.__name__: cls for cls in Layer.__subclasses__()}
