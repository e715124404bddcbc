# SPDX-License-Identifier: Apache-2.0
"""One harness for every layer: a float64 NumPy formula and a list of shapes give all the tests of a layer.

A test class derives from :class:`OpTests`, names the layer, and says what it computes. Modes: *compare* (outputs
against the formula), *gradient* (against central differences of the formula); besides them every layer shows that it
honours gradient modes and gives the same bits for any number of threads. All of it in f32 and in bf16, on a GPU also in
f16, where inputs, outputs and gradients are stored in 16 bits and the arithmetic stays as exact as in f32: what a test
tolerates beyond f32 is the rounding of the result. Matrix products in TF32 get factors that TF32 holds, and are exact.
"""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import pytest
from hugectr._core import default_device
from hugectr._core.testing import bf16_instructions, run_layer

Array = np.ndarray
Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.standard_normal(shape)


def bits(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.integers(0, 2, shape).astype(np.float64)


ROUNDING = {"f32": 0.0, "tf32": 0.0, "bf16": 2.0**-8, "f16": 2.0**-11}  # largest relative error of one rounding


class Case:
    """Input shapes of one call, and the layer's keywords."""

    def __init__(self, *shapes: tuple[int, ...], **params: Any) -> None:
        self.shapes, self.params = shapes, params

    def __repr__(self) -> str:
        shapes = " ".join("x".join(map(str, shape)) for shape in self.shapes)
        return " ".join([shapes, *(f"{key}={value}" for key, value in self.params.items())])


def f32(values: Any) -> Array:
    return np.ascontiguousarray(values, np.float32)


def rounded(values: Any, dtype: str) -> Array:
    """As `dtype` stores them, in float32; to nearest, ties to even."""
    v = f32(values)
    if dtype == "f32":
        return v
    if dtype == "f16":
        return v.astype(np.float16).astype(np.float32)
    u = v.view(np.uint32)
    if dtype == "tf32":
        return ((u + 0xFFF + ((u >> 13) & 1)) & 0xFFFFE000).view(np.float32)
    return ((u + 0x7FFF + ((u >> 16) & 1)) & 0xFFFF0000).view(np.float32)


def run(
    type: str,
    inputs: Any,
    *,
    weights: Any = None,
    d_outputs: Any = None,
    options: dict[str, Any] | None = None,
    **params: Any,
) -> dict[str, Any]:
    """Runs one layer on anything that converts to float32 arrays; `options` go to run_layer."""

    def arrays(values: Any) -> list[Array] | None:
        return None if values is None else [f32(v) for v in values]

    return run_layer(type, params, arrays(inputs), arrays(weights), arrays(d_outputs), **(options or {}))


def close(actual: Any, expected: Any, tol: float = 2e-5, at_least: float = 0) -> None:
    """Every element within tol times the largest magnitude expected: small results are as exact as large ones.

    `at_least` is a magnitude on the way to results that are differences of larger numbers.
    """
    expected = np.asarray(expected, np.float64)
    scale = float(np.abs(expected).max(initial=at_least))
    np.testing.assert_allclose(np.reshape(actual, expected.shape), expected, rtol=0, atol=tol * scale)


def as_printed(actual: Any, expected: Any, decimals: int = 6) -> None:
    """Worked numbers, as exact as they are written."""
    np.testing.assert_allclose(np.reshape(actual, np.shape(expected)), expected, rtol=0, atol=10.0**-decimals)


def same_bits(a: dict[str, Any], b: dict[str, Any]) -> None:
    for key in ("outputs", "d_inputs", "d_weights", "states"):
        for left, right in zip(a[key], b[key]):
            np.testing.assert_array_equal(left, right, err_msg=key)


class OpTests:
    type: str
    cases: list[Case]
    draw: tuple[Draw, ...] = ()  # of each input; normal beyond its end
    differentiable: int | None = None  # only the first so many inputs have a gradient
    is_loss = False
    tol = 2e-5
    roundings = 1  # to 16 bits, one after the other, on the way to a result: more than one in layers of several steps
    uses_gemm = False  # whose bf16 kernel needs instructions that not every CPU has

    @staticmethod
    def formula(x: list[Array], w: list[Array], **params: Any) -> Any:
        """The outputs (one array or a list) in float64."""
        raise NotImplementedError

    def rounding(self, dtype: str) -> float:
        """What storage adds to the tolerance; factors between the products of a layer are not what TF32 holds."""
        return (self.roundings - 1) * 2.0**-11 if dtype == "tf32" else self.roundings * ROUNDING[dtype]

    def pytest_generate_tests(self, metafunc: Any) -> None:
        if "case" in metafunc.fixturenames:
            metafunc.parametrize("case", self.cases, ids=repr)
        if "dtype" in metafunc.fixturenames:
            on_cpu = default_device() == "cpu"
            lacking = on_cpu and self.uses_gemm and not bf16_instructions()
            skip = pytest.mark.skipif(lacking, reason="no bf16 matrix instructions")
            on_gpu = [] if on_cpu else ["f16", *(["tf32"] if self.uses_gemm else [])]
            metafunc.parametrize("dtype", ["f32", pytest.param("bf16", marks=skip), *on_gpu])

    def outputs(self, case: Case, x: list[Array], w: list[Array]) -> list[Array]:
        y = self.formula(x, w, **case.params)
        return [v.copy() for v in y] if isinstance(y, list) else [y.copy()]

    def magnitude(self, x: list[Array]) -> float:
        """Of the terms that outputs are sums of, where they cancel."""
        return 0.0

    def data(self, case: Case, dtype: str) -> tuple[list[Array], list[Array], list[Array]]:
        """Inputs, weights and upstream gradients, all exact in `dtype`."""
        rng = np.random.default_rng(len(repr(case)))
        draws = [*self.draw, *[normal] * len(case.shapes)]
        x = [rounded(draw(rng, shape), dtype) for draw, shape in zip(draws, case.shapes)]
        shapes = run(self.type, x, **case.params)
        w = [rounded(rng.uniform(-1, 1, weight.shape), dtype) for weight in shapes["weights"]]
        return x, w, [rounded(rng.standard_normal(y.shape), dtype) for y in shapes["outputs"]]

    def run_case(self, case: Case, dtype: str, **options: Any) -> dict[str, Any]:
        x, w, g = self.data(case, dtype)
        options["dtype"] = dtype
        return run(self.type, x, weights=w, d_outputs=None if self.is_loss else g, options=options, **case.params)

    def test_compare(self, case: Case, dtype: str) -> None:
        x, w, _ = self.data(case, dtype)
        result = run(self.type, x, weights=w, options={"dtype": dtype}, **case.params)
        expected = self.outputs(case, [v.astype(np.float64) for v in x], [v.astype(np.float64) for v in w])
        assert [y.shape for y in result["outputs"]] == [y.shape for y in expected]
        for actual, y in zip(result["outputs"], expected):
            close(actual, y, self.tol + (0 if self.is_loss else self.rounding(dtype)), self.magnitude(x))

    def test_gradient(self, case: Case, dtype: str) -> None:
        x, w, g = self.data(case, dtype)
        if self.is_loss:
            g = [np.ones(1), np.zeros(1)]
        result = self.run_case(case, dtype)
        tol = 3 * self.tol + self.rounding(dtype)
        x, w = [v.astype(np.float64) for v in x], [v.astype(np.float64) for v in w]
        count = len(x) if self.differentiable is None else self.differentiable

        eps = 1e-6
        # What several steps store between them is as large as what comes in, and may cancel.
        stored = max(np.abs(d).max() for d in g) if self.roundings > 1 else 0.0

        def slope(tensor: Array, direction: Array) -> tuple[float, float]:
            """Of the objective <g, outputs>, and what rounding in 64 bits may add to it."""
            start = tensor.copy()
            tensor[...] = start + eps * direction
            up = self.outputs(case, x, w)
            tensor[...] = start - eps * direction
            down = self.outputs(case, x, w)
            tensor[...] = start
            terms = sum(float(((a - b) * d).sum()) for a, b, d in zip(up, down, g))
            noise = sum(float(np.abs(a * d).sum()) for a, d in zip(up, g)) * 2.0**-52
            return terms / (2 * eps), 8 * noise / eps

        for tensor, gradient in [*zip(x[:count], result["d_inputs"]), *zip(w, result["d_weights"])]:
            assert gradient.shape == tensor.shape
            for direction in directions(tensor):
                expected, noise = slope(tensor, direction)
                largest = max(np.abs(gradient).max(), stored) * np.abs(direction).max()
                scale = max(np.abs(gradient * direction).sum(), largest)
                assert abs((gradient * direction).sum() - expected) <= tol * scale + noise

    def test_gradient_modes(self, case: Case, dtype: str) -> None:
        count = len(case.shapes) if self.differentiable is None else self.differentiable
        rest = ["skip"] * (len(case.shapes) - count)
        written = self.run_case(case, dtype, grad_modes=["overwrite"] * count + rest)
        for i in range(count):
            for mode in ("accumulate", "skip"):  # gradients start as ones
                modes = ["overwrite"] * count + rest
                modes[i] = mode
                other = self.run_case(case, dtype, grad_modes=modes)
                for k in range(count):
                    if k != i:
                        np.testing.assert_array_equal(other["d_inputs"][k], written["d_inputs"][k])
                if mode == "skip":
                    assert other["d_inputs"][i] is None
                else:
                    close(other["d_inputs"][i], written["d_inputs"][i] + 1.0, 1e-6 + 3 * ROUNDING[dtype], 1.0)
                for a, b in zip(other["d_weights"], written["d_weights"]):
                    np.testing.assert_array_equal(a, b)

    def test_small_gradients_are_as_exact(self, case: Case, dtype: str) -> None:
        """Backward is linear: gradients a power of two smaller give the same digits."""
        if self.is_loss or dtype == "f16":  # which has no such numbers
            return
        x, w, g = self.data(case, dtype)
        small = [d * 2.0**-20 for d in g]
        result = run(self.type, x, weights=w, d_outputs=small, options={"dtype": dtype}, **case.params)
        expected = self.run_case(case, dtype)
        for key in ("d_inputs", "d_weights"):
            for a, b in zip(result[key], expected[key]):
                if b is not None:
                    np.testing.assert_array_equal(a, b * np.float32(2.0**-20), err_msg=key)

    def test_rows_apart(self, case: Case, dtype: str) -> None:
        """Tensors whose rows are not side by side, where the layer takes them: same results, gaps left alone."""
        packed = self.run_case(case, dtype)
        for gap in (3, 8):  # wide accesses are impossible, possible
            apart = self.run_case(case, dtype, gap=gap)
            assert apart["gaps_untouched"]
            for key in ("outputs", "d_inputs", "d_weights", "states"):
                for a, b in zip(apart[key], packed[key]):
                    if b is not None:
                        close(a, b, self.tol + 2 * self.rounding(dtype))  # both are rounded

    def test_threads_do_not_change_results(self, case: Case, dtype: str) -> None:
        one = self.run_case(case, dtype, threads=1)
        same_bits(one, self.run_case(case, dtype, threads=2))
        same_bits(one, self.run_case(case, dtype, threads=5))


def directions(tensor: Array) -> list[Array]:
    """Unit vectors for a small tensor, a few random ones for a large one."""
    if tensor.size <= 24:
        return list(np.eye(tensor.size).reshape(tensor.size, *tensor.shape))
    rng = np.random.default_rng(tensor.size)
    return [rng.standard_normal(tensor.shape) for _ in range(4)]
