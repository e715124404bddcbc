# SPDX-License-Identifier: Apache-2.0
"""Distributions of initial weights with a parameter of their own."""

from __future__ import annotations

import math
from typing import Optional

from hugectr.arguments import Record, converted
from hugectr.enums import Initializer_t
from hugectr.errors import InvalidArgumentError

_VALUES = {Initializer_t.Constant: "value", Initializer_t.Normal: "deviation", Initializer_t.Uniform: "bound"}


class Initializer(Record):
    """Where initial weights come from, with a number: wherever a layer or an embedding takes an ``Initializer_t``.

    Args:
        initializer_type: ``Constant`` (every weight is `value`), ``Normal`` (mean 0, standard deviation `value`),
            ``Uniform`` (from -`value` to `value`), or another member, which has no number.
        value: That number.

    Raises:
        InvalidArgumentError: The number is missing, out of range, or of no meaning.
    """

    @converted()
    def __init__(self, initializer_type: Initializer_t, value: Optional[float] = None) -> None:
        meaning = _VALUES.get(initializer_type)
        if meaning is None and value is not None:
            raise InvalidArgumentError(f"Initializer(): {initializer_type.name} has no value, got {value}")
        if meaning is not None and value is None and initializer_type is not Initializer_t.Uniform:
            raise InvalidArgumentError(f"Initializer(): {initializer_type.name} needs its value, the {meaning}")
        if value is not None and initializer_type is not Initializer_t.Constant and not 0 <= value < math.inf:
            raise InvalidArgumentError(f"Initializer(): the {meaning} must not be negative, got {value}")

    @property
    def text(self) -> str:
        """As graph files have it: ``"Normal(0.01)"``."""
        name = self.initializer_type.name
        return name if self.value is None else f"{name}({self.value!r})"
