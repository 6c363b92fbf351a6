"""Strict JSON: plain, finite values out, and dataclasses back in with every field checked."""

from __future__ import annotations

import dataclasses
import functools
import json
import types
import typing
from collections.abc import Callable
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
    arguments: dict[str, Any] = {}
    for name, convert, plain, is_needed in _plan(typing.cast("Any", cls)):
        if name not in value:
            if is_needed:
                raise RecordError(f"{where}.{name} is missing")
            continue
        found = value[name]
        # Nearly every value is of its plain type, and where it stands is only put into words where it is not.
        arguments[name] = found if type(found) in plain and _is_usual(found) else convert(found, f"{where}.{name}")
    return cls(**arguments)


_Convert = Callable[[object, str], Any]


@functools.cache
def _plan(cls: type[Any]) -> tuple[tuple[str, _Convert, frozenset[type], bool], ...]:
    """Return of each field its name, how it is read, which plain types it may have, and whether it has no default."""
    hints = typing.get_type_hints(cls)
    return tuple(
        (
            spec.name,
            _converter(hints[spec.name]),
            _plain_types(hints[spec.name]),
            spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING,
        )
        for spec in dataclasses.fields(cls)
    )


@functools.cache
def _plain_types(hint: Any) -> frozenset[type]:
    """Return which types a value may have that needs no conversion; see `_fits`."""
    options = typing.get_args(hint) if typing.get_origin(hint) is types.UnionType else (hint,)
    found: set[type] = set()
    for option in options:
        if option in {bool, str, types.NoneType}:
            found.add(option)
        elif option in {int, float}:
            found |= {int, option}
    return frozenset(found)


USUAL_CHARACTERS = 1000
"""Of a text that is not looked at twice."""


def _is_usual(value: Any) -> bool:
    """Whether a value of a plain type is within its limits for certain; a converter judges the others."""
    if type(value) is str:
        return len(value) <= USUAL_CHARACTERS
    return value is None or -MAX_NUMBER <= value <= MAX_NUMBER


@functools.cache
def _converter(hint: Any) -> _Convert:
    """Return how a value of a type is read, and where it stands put into words if it cannot be."""
    origin = typing.get_origin(hint)
    if origin is types.UnionType:
        return _union_converter(typing.get_args(hint))
    if origin is Literal:
        return _literal_converter(typing.get_args(hint))
    if origin is tuple:
        return _tuple_converter(hint)
    if origin is dict:
        return _dict_converter(hint)
    if dataclasses.is_dataclass(hint):
        return functools.partial(read_dataclass, typing.cast("type[Any]", hint))
    return functools.partial(_convert_plain, hint)


def _convert_plain(hint: Any, value: object, where: str) -> Any:
    if _fits(hint, value):
        return check_length(value, where) if isinstance(value, str) else value
    raise RecordError(f"{where} is {kind_of(value)}, {getattr(hint, '__name__', str(hint))} is needed")


def _literal_converter(choices: tuple[Any, ...]) -> _Convert:
    def convert(value: object, where: str) -> Any:
        if value not in choices:
            raise RecordError(f"{where} is {shown(value)}, one of {', '.join(map(str, choices))} is needed")
        return value

    return convert


def _tuple_converter(hint: Any) -> _Convert:
    item = typing.get_args(hint)[0]
    convert_item, plain = _converter(item), _plain_types(item)

    def convert(value: object, where: str) -> Any:
        if not isinstance(value, list):
            return _convert_plain(hint, value, where)
        if plain and all(type(part) in plain and _is_usual(part) for part in value):
            return tuple(value)
        return tuple(convert_item(part, f"{where}[{index}]") for index, part in enumerate(value))

    return convert


def _dict_converter(hint: Any) -> _Convert:
    item = typing.get_args(hint)[1]
    convert_item, plain = _converter(item), _plain_types(item)

    def convert(value: object, where: str) -> Any:
        if not isinstance(value, dict):
            return _convert_plain(hint, value, where)
        if all(len(key) <= USUAL_CHARACTERS and type(part) in plain and _is_usual(part) for key, part in value.items()):
            return dict(value)
        return {
            check_length(key, f"a key of {where}"): convert_item(part, f"{where}.{key}") for key, part in value.items()
        }

    return convert


def _union_converter(options: tuple[Any, ...]) -> _Convert:
    """Return how a value of one of several types is read: of one that is no plain type, if there is any, or null."""
    may_be_null = type(None) in options
    of_a_class = [option for option in options if dataclasses.is_dataclass(option) or typing.get_origin(option)]
    convert_class = _converter(of_a_class[0]) if of_a_class else None
    wanted = " or ".join("null" if option is type(None) else getattr(option, "__name__", "") for option in options)

    def convert(value: object, where: str) -> Any:
        if value is None and may_be_null:
            return None
        if convert_class is not None:
            return convert_class(value, where)
        if any(_fits(option, value) for option in options):
            return check_length(value, where) if isinstance(value, str) else value
        raise RecordError(f"{where} is {kind_of(value)}, {wanted} is needed")

    return convert


def _fits(hint: Any, value: object) -> bool:
    """Whether `value` is of the plain type; a whole number fits a float, a boolean is never a number."""
    if hint is float:
        return is_number(value)
    if hint is int:
        return is_number(value) and isinstance(value, int)
    return isinstance(hint, type) and isinstance(value, hint)
