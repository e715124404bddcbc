# SPDX-License-Identifier: Apache-2.0
"""What a column holds, whatever it is stored as, and the one spelling that each of its values is compared by."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hugectr.errors import InvalidArgumentError

TEXT, NUMBER, TRUTH, TIME = "text", "number", "truth", "time"
KINDS = (TEXT, NUMBER, TRUTH, TIME)

_TRUTH = {"true": "true", "1": "true", "1.0": "true", "false": "false", "0": "false", "0.0": "false"}
_NUMBER = {"true": "1", "false": "0"}
_PLAIN_NUMBER = "0|[1-9][0-9]*|-[1-9][0-9]{0,38}"  # whole numbers as they are spelled
_EXACT_BITS = {16: 11, 32: 24, 64: 53}  # of a float: whole numbers below 2^bits are exact


def is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def describe(kind: pa.DataType) -> str:
    """A type in words, for messages."""
    if pa.types.is_dictionary(kind):
        return describe(kind.value_type)
    if is_list(kind):
        return f"lists of {describe(kind.value_type)}"
    if isinstance(kind, pa.BaseExtensionType):
        return str(kind.extension_name)
    names = {
        "text": _is_text, "bytes": pa.types.is_binary, "truth values": pa.types.is_boolean,
        "whole numbers": pa.types.is_integer, "numbers": is_number, "times": pa.types.is_temporal,
        "structs": pa.types.is_struct, "maps": pa.types.is_map, "only missing values": pa.types.is_null,
    }  # fmt: skip
    return next((name for name, fits in names.items() if fits(kind)), str(kind))


def is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def kind_of(given: pa.DataType, column: str) -> str:
    """The kind of a column of categories or of lists of them."""
    kind = given.value_type if is_list(given) else given
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_boolean(kind):
        return TRUTH
    if is_number(kind):
        return NUMBER
    if pa.types.is_temporal(kind):
        return TIME
    if pa.types.is_null(kind) or _is_text(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return TEXT
    raise InvalidArgumentError(
        f'column "{column}": expected categories or lists of them, got {describe(given)}; make text or numbers of them'
    )


def common_kind(learned: str, stored: str) -> str:
    """What values are compared as: text, as a CSV file has it, is read as the other side's kind."""
    return stored if learned == TEXT else learned


def canonical(text: str, kind: str) -> str:
    """The one spelling of a value of this kind. Text that is no such value stays as it is."""
    if kind == TRUTH:
        return _TRUTH.get(text.lower(), text)
    if kind == NUMBER:
        return _NUMBER.get(text.lower()) or _number(text)
    return _time(text) if kind == TIME else text


def all_canonical(texts: pa.Array, kind: str) -> pa.Array:
    """`canonical` of each text; null stays null."""
    if kind == TEXT:
        return texts
    is_other = pc.is_valid(texts)
    if kind == NUMBER:
        is_other = pc.invert(pc.match_substring_regex(texts, f"^({_PLAIN_NUMBER})$"))
    others = [canonical(text, kind) for text in texts.filter(is_other).to_pylist()]
    return pc.replace_with_mask(texts, is_other, pa.array(others, pa.string())) if others else texts


def to_text(values: pa.Array, column: str) -> pa.Array:
    """Canonical text of distinct values, except of numbers that may be spelled in several ways."""
    kind = values.type
    if pa.types.is_floating(kind):
        return _float_text(values, column)
    for is_type, unit in (
        (pa.types.is_timestamp, pa.timestamp("us", "UTC" if getattr(kind, "tz", None) else None)),
        (pa.types.is_date, pa.timestamp("us")),
        (pa.types.is_time, pa.time64("us")),
        (pa.types.is_duration, pa.duration("us")),
    ):
        if is_type(kind):
            values = values.cast(unit, safe=False)
    try:
        return values.cast(pa.string())
    except pa.ArrowException as error:
        raise InvalidArgumentError(f'column "{column}": cannot use {describe(kind)} as categories: {error}') from None


def _is_text(kind: pa.DataType) -> bool:
    return str(kind) in ("string", "large_string", "string_view")


def _float_text(values: pa.Array, column: str) -> pa.Array:
    """Whole numbers as integers are spelled, others as their type prints them."""
    numbers = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    finite = np.where(np.isfinite(numbers), numbers, 0.5)
    _require_exact(finite, column, values.type.bit_width)
    whole = finite == np.floor(finite)
    integers = pa.array(np.where(whole, finite, 0).astype(np.int64)).cast(pa.string())
    return pc.if_else(pa.array(whole), integers, values.cast(pa.string()))


def _require_exact(numbers: npt.NDArray[np.float64], column: str, bits: int) -> None:
    limit = 2.0 ** _EXACT_BITS[bits]
    large = numbers[np.abs(numbers) >= limit]
    if len(large):
        raise InvalidArgumentError(
            f'column "{column}": {large[0]:.0f} is stored as a {bits}-bit float, which keeps whole '
            f"numbers apart only up to {limit:.0f}; store ids as integers (pandas: Int64 with missing ones) or text"
        )


def _number(text: str) -> str:
    if re.fullmatch(_PLAIN_NUMBER, text):
        return text
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    if not number.is_finite():
        return text
    is_whole = number.adjusted() < 40 and number == number.to_integral_value()
    return str(int(number)) if is_whole else str(number.normalize())


def _time(text: str) -> str:
    text = re.sub(r"(\.\d{6})\d+", r"\1", text)  # microseconds
    day = "1970-01-01 " if re.match(r"\d\d:", text) else ""  # Arrow casts no text to a time of day
    for zone in (None, "UTC"):
        try:
            spelled = pa.scalar(day + text).cast(pa.timestamp("us", zone)).cast(pa.string())
            return str(spelled.as_py())[len(day) :]
        except pa.ArrowInvalid:
            continue
    return text
