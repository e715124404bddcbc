# SPDX-License-Identifier: Apache-2.0
"""Argument conversion: what a parameter accepts follows from its annotation.

``int`` takes integers of 64 bits and whatever has ``__index__``, never a float; ``float`` takes finite numbers within
the range of 32-bit floats; ``bool`` only truth values; ``str`` also bytes and paths; ``Sequence[T]`` any sequence or
array; ``dict[K, V]`` any mapping; ``Optional[T]`` also None, meaning unset; an enumeration or class only its members or
instances. NumPy scalars count as the Python type they stand for. Containers are copied.

``FilePath`` takes what ``str`` takes, of any bytes, and expands ``~`` and ``~user``; a colon is a character like
others, but ``scheme://`` begins the address of a file elsewhere. ``LocalPath`` is for files of this machine. ``Seed``
and ``Double`` are the wider numbers.
"""

from __future__ import annotations

import collections.abc
import difflib
import enum
import functools
import importlib
import inspect
import math
import operator
import os
import re
import reprlib
import typing
from typing import Annotated, Any, Callable, Optional, TypeVar, Union, get_args, get_origin

import numpy as np

from hugectr.errors import InvalidArgumentError, UnsupportedError

Function = TypeVar("Function", bound=Callable[..., Any])
AnyRecord = TypeVar("AnyRecord", bound="Record")
Arguments = tuple[tuple[Any, ...], dict[str, Any]]

FilePath = Annotated[str, "path"]
LocalPath = Annotated[str, "local path"]
Seed = Annotated[int, "seed"]  # up to 2^64 - 1
Double = Annotated[float, "64 bits"]

_LARGEST_FLOAT = float(np.finfo(np.float32).max)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class _Required:
    def __repr__(self) -> str:
        return "<required>"


# Default of a parameter that has none, although parameters before it do.
REQUIRED: Any = _Required()


class Mismatch(Exception):
    """A value does not convert; `path` leads from the argument to the offending item.

    `error` is what it becomes: TypeError, or InvalidArgumentError for a value of the right type. `remark` ends the
    message.
    """

    def __init__(
        self, expected: str, value: Any, path: str = "", error: type[Exception] = TypeError, remark: str = ""
    ) -> None:
        super().__init__(expected, value, path)
        self.expected, self.value, self.path, self.error, self.remark = expected, value, path, error, remark

    def inside(self, key: Any) -> Mismatch:
        return Mismatch(self.expected, self.value, f"[{key!r}]{self.path}", self.error, self.remark)

    def message(self, function: str, name: str) -> str:
        """What is wrong with the argument `name` of the function."""
        if self.error is TypeError:
            got = f"got {type(self.value).__name__} ({self.value!r:.60})"
            return f"{function}(): argument '{name}'{self.path} must be {self.expected}, {got}"
        return f"{function}(): {name}{self.path} must be {self.expected}, got {self.value!r:.60}{self.remark}"


def _to_bool(value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError
    return bool(value)


def _to_double(value: Any) -> float:
    if not hasattr(type(value), "__float__") or getattr(value, "ndim", 0) > 0:
        raise TypeError
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise Mismatch("finite", value, error=InvalidArgumentError)
    return number


def _to_float(value: Any) -> float:
    number = _to_double(value)
    if abs(number) > _LARGEST_FLOAT:
        raise Mismatch("finite", value, error=InvalidArgumentError, remark=", more than a 32-bit float holds")
    return number


def _to_int(value: Any, end: int = 2**63) -> int:
    number = int(operator.index(value))
    if not -(2**63) <= number < end:
        raise Mismatch("a 64-bit int", value)
    return number


def _to_text(value: Any) -> str:
    text = str(os.fsdecode(value))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Mismatch("text that UTF-8 can hold", value, error=InvalidArgumentError) from None
    if "\0" in text:
        raise Mismatch("text without NUL characters", value, error=InvalidArgumentError)
    return text


def _to_path(value: Any, is_local: bool = False) -> str:
    text = str(os.fsdecode(value))
    try:
        is_path = b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        is_path = False
    if not is_path:
        raise Mismatch("a path, which has no NUL characters", value, error=InvalidArgumentError)
    if _SCHEME.match(text):
        if is_local:
            raise Mismatch("the path of a file of this machine", value, error=UnsupportedError)
        importlib.import_module("hugectr.remote").require_known(text)
        return text
    expanded = os.path.expanduser(text)
    if expanded == text and text.startswith("~"):
        raise Mismatch('a path whose user is known ("./~" begins a name with "~")', value, error=InvalidArgumentError)
    return expanded


_SCALARS: dict[Any, Callable[[Any], Any]] = {
    bool: _to_bool,
    int: _to_int,
    Seed: lambda value: _to_int(value, 2**64),
    float: _to_float,
    Double: _to_double,
    str: _to_text,
    FilePath: _to_path,
    LocalPath: lambda value: _to_path(value, is_local=True),
}


def describe(kind: Any) -> str:
    """The annotation in words, for messages."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Union:
        return " or ".join(describe(k) for k in inner if k is not type(None))
    if origin is tuple:
        return f"pair of {describe(inner[0])}"
    if origin is dict:
        return f"dict of {describe(inner[0])} to {describe(inner[1])}"
    if origin is collections.abc.Sequence:
        return f"list of {describe(inner[0])}"
    scalar = origin is Annotated and inner[0]  # FilePath is said to be a str
    return getattr(scalar or kind, "__name__", str(kind))


def _items(kind: Any, value: Any) -> list[Any]:
    if hasattr(value, "tolist"):  # arrays and series of any library
        value = value.tolist()
    if isinstance(value, (str, bytes)) or not isinstance(value, collections.abc.Sequence):
        raise Mismatch(describe(kind), value)
    return list(value)


def _convert_at(key: Any, kind: Any, value: Any) -> Any:
    try:
        return convert(kind, value)
    except Mismatch as mismatch:
        raise mismatch.inside(key) from None


def _convert_union(kind: Any, value: Any) -> Any:
    deepest = Mismatch(describe(kind), value)
    for alternative in get_args(kind):
        try:
            return convert(alternative, value)
        except Mismatch as mismatch:
            if mismatch.error is not TypeError:  # the right type, but no value of it
                raise
            deepest = mismatch if len(mismatch.path) > len(deepest.path) else deepest
    raise deepest


def convert(kind: Any, value: Any) -> Any:
    """`value` as the type that the annotation `kind` stands for; raises Mismatch."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if kind in _SCALARS:
        try:
            return _SCALARS[kind](value)
        except TypeError:
            raise Mismatch(describe(kind), value) from None
    if origin is Union:
        return _convert_union(kind, value)
    if origin is collections.abc.Sequence:
        return [_convert_at(i, inner[0], item) for i, item in enumerate(_items(kind, value))]
    if origin is tuple:
        items = _items(kind, value)
        if len(items) != len(inner):
            raise Mismatch(describe(kind), value)
        return tuple(_convert_at(i, k, item) for i, (k, item) in enumerate(zip(inner, items)))
    if origin is dict:
        if not isinstance(value, collections.abc.Mapping):
            raise Mismatch(describe(kind), value)
        return {_convert_at(k, inner[0], k): _convert_at(k, inner[1], v) for k, v in value.items()}
    if not isinstance(value, kind):
        raise Mismatch(describe(kind), value)
    return value


def checked(function: str, name: str, kind: Any, value: Any) -> Any:
    """An argument of a function, converted; an error names both."""
    try:
        return convert(kind, value)
    except Mismatch as mismatch:
        raise mismatch.error(mismatch.message(function, name)) from None


class _Binder:
    """Binds call arguments to a function's parameters and converts them."""

    def __init__(self, function: Callable[..., Any], aliases: dict[str, str]):
        self.function, self.aliases = function, aliases
        self.name = function.__qualname__.replace(".__init__", "")
        self.signature = inspect.signature(function)
        self.has_self = next(iter(self.signature.parameters), "") == "self"
        self.accepted = [name for name in self.signature.parameters if name != "self"]

    @functools.cached_property
    def hints(self) -> dict[str, Any]:
        return typing.get_type_hints(self.function, include_extras=True)

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[inspect.BoundArguments, frozenset[str]]:
        """The converted arguments, defaults included, and the names of those that were passed."""
        named: dict[str, Any] = {}
        for keyword, value in kwargs.items():
            name = self.aliases.get(keyword, keyword)
            if name not in self.accepted:
                raise TypeError(self._unknown(keyword))
            if name in named:
                raise TypeError(f"{self.name}() got '{name}' twice, once as '{keyword}'")
            named[name] = value
        try:
            bound = self.signature.bind(*args, **named)
        except TypeError as error:
            raise TypeError(f"{self.name}(): {error}") from None
        given = frozenset(bound.arguments)
        bound.apply_defaults()
        for name, value in bound.arguments.items():
            if value is REQUIRED:
                raise TypeError(f"{self.name}(): missing a required argument: '{name}'")
            if name != "self":
                bound.arguments[name] = self._convert(name, value)
        return bound, given

    def _convert(self, name: str, value: Any) -> Any:
        return checked(self.name, name, self.hints.get(name, Any), value)

    def changed(self, bound: inspect.BoundArguments, given: frozenset[str]) -> frozenset[str]:
        """The names of those that were passed and are not what their defaults are."""
        defaults = {name: self.signature.parameters[name].default for name in given if name != "self"}
        return frozenset(
            name for name, default in defaults.items()
            if default in (inspect.Parameter.empty, REQUIRED) or bound.arguments[name] != self._convert(name, default)
        )  # fmt: skip

    def _unknown(self, keyword: str) -> str:
        near = difflib.get_close_matches(keyword, [*self.accepted, *self.aliases], n=1)
        hint = f"; did you mean '{near[0]}'?" if near else "."
        return f"{self.name}() has no argument '{keyword}'{hint} It takes: {', '.join(self.accepted)}"


def converted(
    *, aliases: Optional[dict[str, str]] = None, adapt: Optional[Callable[..., Arguments]] = None
) -> Callable[[Function], Function]:
    """Decorator: arguments arrive converted to their annotations; a wrong or unknown one is a TypeError.

    `aliases` maps other spellings of keywords to parameter names. `adapt(args, kwargs)` may first rewrite the
    arguments of another release's form. Arguments of a Record's ``__init__`` become its attributes.
    """

    def decorate(function: Function) -> Function:
        binder = _Binder(function, aliases or {})

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            owner, args = (args[:1], args[1:]) if binder.has_self else ((), args)
            if adapt:
                args, kwargs = adapt(args, kwargs)
            bound, given = binder.bind((*owner, *args), kwargs)
            if owner and isinstance(owner[0], Record):
                values = {name: value for name, value in bound.arguments.items() if name != "self"}
                owner[0].__dict__.update(values, _given=given & values.keys(), _changed=binder.changed(bound, given))
            result = function(*bound.args, **bound.kwargs)
            if isinstance(result, Record):
                result.__dict__.update(_given=given, _changed=binder.changed(bound, given))
            return result

        call.aliases = binder.aliases  # type: ignore[attr-defined]  # tools/make_stubs.py reads them
        return typing.cast(Function, call)

    return decorate


def short(value: Any) -> str:
    """The value as an author would write it, without the middle of what is long."""
    limited = reprlib.Repr()
    limited.maxlist = limited.maxtuple = limited.maxdict = 8
    limited.maxstring = limited.maxother = 200
    return str(value) if isinstance(value, enum.Enum) else limited.repr(value)


class Record:
    """Read-only attributes, named after the arguments that made the object."""

    _given: frozenset[str] = frozenset()  # names of the arguments that were passed
    _changed: frozenset[str] = frozenset()  # and of those that were passed with another value than the default

    @classmethod
    def of(cls: type[AnyRecord], values: dict[str, Any]) -> AnyRecord:
        """A record with these attributes, made without calling ``__init__``."""
        record = cls.__new__(cls)
        record.__dict__.update(values)
        return record

    def values(self) -> dict[str, Any]:
        """Attributes by name."""
        return {name: value for name, value in self.__dict__.items() if not name.startswith("_")}

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is read-only: make a new one with another {name}")

    def __repr__(self) -> str:
        """What was changed: the rest are defaults."""
        changed = {name: value for name, value in self.values().items() if name in self._changed}
        return f"{type(self).__name__}({', '.join(f'{name}={short(value)}' for name, value in changed.items())})"

    if typing.TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
