"""Strict JSON: plain, finite values out, and dataclasses back in with every field checked."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from typing import Any, Literal, TypeVar

from perfsuite.errors import RecordError

T = TypeVar("T")

MAX_NUMBER = 2**63
"""What a 64-bit integer holds, and more bytes, seconds or steps than anything here will ever have."""


MAX_TEXT_CHARACTERS = 40_000
"""Of a name or another text in a file: what the predictions of 15,000 images take, many times the longest kernel name,
and quickly handled a thousand times."""


def check_length(text: str, where: str) -> str:
    """Return a text as it is.

    Raises:
        RecordError: It is longer than any text that perfsuite or pytest-benchmark writes there.
    """
    if len(text) > MAX_TEXT_CHARACTERS:
        raise RecordError(f"{where} has {len(text):,} characters; at most {MAX_TEXT_CHARACTERS:,} are allowed")
    return text


def shown(value: object) -> str:
    """Return a value from a file in few characters; a whole number of thousands of digits cannot even be printed."""
    if isinstance(value, str | bytes):
        value = value[:80]
    try:
        return repr(value)[:60]
    except (ValueError, RecursionError):
        return "a value that is too large to be shown"


def is_number(value: object) -> bool:
    """Whether `value` is a finite number of a size that occurs; JSON's whole numbers have no limit, arithmetic has."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -MAX_NUMBER <= value <= MAX_NUMBER  # false for NaN


def to_strict_json(value: dict[str, Any]) -> dict[str, Any]:
    """Return `value` as JSON would give it back: tuples as lists, nothing but plain and finite values.

    Raises:
        RecordError: NaN, infinity, or an object that is not plain.
    """
    try:
        plain: dict[str, Any] = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise RecordError(f"cannot be written as strict JSON: {error}") from error
    return plain


def kind_of(value: object) -> str:
    """Return what JSON calls a value of this kind, with the value itself where it is a number."""
    names: dict[type, str] = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), f"{type(value).__name__} {shown(value)}"[:60])


def read_dataclass(cls: type[T], value: object, where: str) -> T:
    """Build a dataclass from plain values, every field checked; unknown fields are ignored (a newer minor writer).

    A class may have a classmethod `with_todays_names`, which renames the fields of older files.
    """
    if not isinstance(value, dict):
        raise RecordError(f"{where} is {kind_of(value)}, an object is needed")
    upgrade = getattr(cls, "with_todays_names", None)
    value = value if upgrade is None else upgrade(value)
    hints = _hints(cls)
    arguments: dict[str, Any] = {}
    for spec in dataclasses.fields(cls):  # type: ignore[arg-type]
        if spec.name in value:
            arguments[spec.name] = _convert(hints[spec.name], value[spec.name], f"{where}.{spec.name}")
        elif spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING:
            raise RecordError(f"{where}.{spec.name} is missing")
    return cls(**arguments)


_HINTS: dict[type, dict[str, Any]] = {}


def _hints(cls: type) -> dict[str, Any]:
    if cls not in _HINTS:
        _HINTS[cls] = typing.get_type_hints(cls)
    return _HINTS[cls]


def _convert(hint: Any, value: object, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin is types.UnionType:
        return _convert_union(typing.get_args(hint), value, where)
    if origin is Literal:
        if value not in typing.get_args(hint):
            raise RecordError(
                f"{where} is {shown(value)}, one of {', '.join(map(str, typing.get_args(hint)))} is needed"
            )
        return value
    if origin is tuple and isinstance(value, list):
        item = typing.get_args(hint)[0]
        return tuple(_convert(item, part, f"{where}[{index}]") for index, part in enumerate(value))
    if origin is dict and isinstance(value, dict):
        item = typing.get_args(hint)[1]
        return {
            check_length(key, f"a key of {where}"): _convert(item, part, f"{where}.{key}")
            for key, part in value.items()
        }
    if dataclasses.is_dataclass(hint):
        return read_dataclass(typing.cast("type[Any]", hint), value, where)
    if _fits(hint, value):
        return check_length(value, where) if isinstance(value, str) else value
    raise RecordError(f"{where} is {kind_of(value)}, {getattr(hint, '__name__', str(hint))} is needed")


def _convert_union(options: tuple[Any, ...], value: object, where: str) -> Any:
    if value is None and type(None) in options:
        return None
    classes = [option for option in options if dataclasses.is_dataclass(option) or typing.get_origin(option)]
    if classes:
        return _convert(classes[0], value, where)
    if any(_fits(option, value) for option in options):
        return check_length(value, where) if isinstance(value, str) else value
    wanted = " or ".join("null" if option is type(None) else option.__name__ for option in options)
    raise RecordError(f"{where} is {kind_of(value)}, {wanted} is needed")


def _fits(hint: Any, value: object) -> bool:
    """Whether `value` is of the plain type; a whole number fits a float, a boolean is never a number."""
    if hint is float:
        return is_number(value)
    if hint is int:
        return is_number(value) and isinstance(value, int)
    return isinstance(hint, type) and isinstance(value, hint)
