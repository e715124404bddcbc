# SPDX-License-Identifier: Apache-2.0
"""What parameters accept, and what a wrong argument is told."""

import os
import pathlib
from collections.abc import Sequence
from typing import Any, Optional, Union

import hugectr
import numpy as np
import pandas as pd
import pytest
from hugectr.arguments import REQUIRED, Mismatch, Record, convert, converted

Ints = Sequence[int]


@pytest.mark.parametrize(
    "kind, value, result",
    [
        (int, np.int32(7), 7),
        (int, True, 1),
        (int, np.array(7), 7),
        (float, 3, 3.0),
        (float, np.float32(0.5), 0.5),
        (bool, np.bool_(True), True),
        (str, b"abc", "abc"),
        (str, np.str_("abc"), "abc"),
        (str, pathlib.Path("a") / "b", os.path.join("a", "b")),
        (Ints, range(3), [0, 1, 2]),
        (Ints, (1, np.int64(2)), [1, 2]),
        (Ints, np.array([1, 2], dtype=np.uint32), [1, 2]),
        (Ints, pd.Series([3, 4]), [3, 4]),
        (Sequence[Ints], np.array([[1], [2]]), [[1], [2]]),
        (Sequence[tuple[int, int]], [[0, 3], (3, 5)], [(0, 3), (3, 5)]),
        (dict[hugectr.MetricsType, float], {hugectr.AUC: 1}, {hugectr.AUC: 1.0}),
        (Optional[int], None, None),
        (Union[str, Sequence[str]], "ab", "ab"),
        (Union[str, Sequence[str]], ("ab",), ["ab"]),
        (Union[int, Ints], [1, 2], [1, 2]),
    ],
)
def test_accepted(kind: Any, value: Any, result: Any) -> None:
    converted_value = convert(kind, value)
    assert converted_value == result
    assert type(converted_value) is type(result)


@pytest.mark.parametrize(
    "kind, value, message",
    [
        (int, 1.0, "int"),
        (int, np.float64(1), "int"),
        (int, "1", "int"),
        (int, hugectr.Adam, "int"),
        (float, "1", "float"),
        (float, np.array([1.0]), "float"),
        (bool, 1, "bool"),
        (bool, "True", "bool"),
        (str, 1, "str"),
        (Ints, 3, "list of int"),
        (Ints, "12", "list of int"),
        (Ints, {1, 2}, "list of int"),
        (Ints, None, "list of int"),
        (Sequence[tuple[int, int]], [(1, 2, 3)], "pair of int"),
        (hugectr.Optimizer_t, "Adam", "Optimizer_t"),
        (hugectr.Optimizer_t, 0, "Optimizer_t"),
        (hugectr.Check_t, hugectr.Activation_t.Non, "Check_t"),
        (dict[hugectr.MetricsType, float], {"AUC": 1.0}, "MetricsType"),
        (Union[int, Ints], "x", "int or list of int"),
    ],
)
def test_refused(kind: Any, value: Any, message: str) -> None:
    with pytest.raises(Mismatch) as refusal:
        convert(kind, value)
    assert refusal.value.expected == message


def test_message_names_the_item() -> None:
    with pytest.raises(TypeError, match=r"CreateSolver\(\): argument 'vvgpu'\[0\]\[1\] must be int, got float \(0.5\)"):
        hugectr.CreateSolver(vvgpu=[[0, 0.5]])
    with pytest.raises(TypeError, match=r"'nnz_per_slot'\[1\] must be int, got str"):
        hugectr.DataReaderSparseParam("wide", [1, "2"], False, 2)  # type: ignore[list-item]


def test_unknown_keyword_lists_the_candidates() -> None:
    with pytest.raises(TypeError, match="no argument 'batch_size'; did you mean 'batchsize'.*max_eval_batches"):
        hugectr.CreateSolver(batch_size=1)  # type: ignore[call-arg]


def test_missing_argument() -> None:
    with pytest.raises(TypeError, match=r"DataReaderParams\(\): missing a required argument: 'source'"):
        hugectr.DataReaderParams(hugectr.DataReaderType_t.Norm)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="missing a required argument: 'eval_source'"):
        hugectr.DataReaderParams(hugectr.DataReaderType_t.Norm, "a", check_type=hugectr.Check_t.Sum)


def test_keyword_and_alias_together() -> None:
    with pytest.raises(TypeError, match="got 'lambda_' twice, once as 'lambda'"):
        hugectr.DenseLayer(hugectr.ReLU, ["a"], ["b"], lambda_=1.0, **{"lambda": 1.0})


def test_record_is_a_read_only_copy() -> None:
    class Pair(Record):
        @converted()
        def __init__(self, a: int, b: Sequence[int] = (1, 2), c: int = REQUIRED) -> None:
            pass

    numbers = [5, 6]
    pair = Pair(a=1, b=numbers, c=3)
    numbers.append(7)
    assert (pair.a, pair.b, pair.c) == (1, [5, 6], 3)
    assert Pair(1, c=2).b == [1, 2]
    assert Pair(1, c=2)._given == {"a", "c"}
    with pytest.raises(AttributeError, match="read-only"):
        pair.a = 2
    with pytest.raises(AttributeError):
        pair.unknown  # noqa: B018
