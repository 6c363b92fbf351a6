"""Which rows are shown, by an expression as of pytest's `-k`: parsed here, never evaluated as code."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from perfsuite.errors import InvalidChoiceError
from perfsuite.formatting import printable
from perfsuite.records.workload import compile_in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Test = Callable[[Sequence[str]], bool]

MAX_CHARACTERS = 1000
"""Of an expression; a longer one was not written by hand."""

MAX_DEPTH = 50
"""Parentheses and negations within each other: the parser calls itself for each."""

_TOKEN = re.compile(r"[()]|[\w:+\-.\[\]\\/]+")
"""Parentheses and words. Source: pytest, _pytest/mark/expression.py, of which words are these characters."""

_OPERATORS = ("and", "or", "not")

EXAMPLE = "write it as pytest's -k: resnet50 and not (forward or backward)"

NAME_COLUMNS = ("fullname", "name", "label", "benchmark", "training", "study", "subject", "claim")
"""Columns that name a row, the longest first."""

PLACE_COLUMNS = ("environment", "device")
"""Columns that say on what a row was measured; files are none, for their names may say anything."""

_FIELD_WORDS: dict[str, Callable[[Any], str]] = {
    "batch_size": lambda size: f"b{size}",
    "image_size": lambda size: f"{size}px",
    "num_classes": lambda number: f"{number}classes",
    "compile_mode": lambda mode: compile_in_words(str(mode)).replace(" ", "-"),
    "cuda_graphs": lambda is_on: "cuda-graphs" if is_on else "",
    "cudnn_benchmark": lambda is_on: "cudnn-benchmark" if is_on else "",
    "world_size": lambda number: f"{number}ranks",
    "compression": lambda name: "" if name == "none" else f"{name}-gradients",
    **dict.fromkeys(("model", "precision", "phase", "memory_format", "gradients", "device_type"), str),
    **dict.fromkeys(("strategy", "scaling"), str),
}
"""Fields of a workload as words that an expression finds; a number has the letters that labels give it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """A parsed expression.

    Attributes:
        text: As it was written.
        test: Whether names in lower case match.
    """

    text: str
    test: Test = field(repr=False)

    def matches(self, names: Iterable[str]) -> bool:
        """Whether it selects what has these names: a word is true where it is a part of one of them, in any case."""
        return self.test([name.lower() for name in names])


def parse_expression(text: str, option: str = "--select") -> Expression:
    """Parse words with `and`, `or`, `not` and parentheses.

    Args:
        text: The expression.
        option: That gave it, for messages.

    Raises:
        InvalidChoiceError: It is empty, too long, or not such an expression; the message says where.
    """
    if len(text) > MAX_CHARACTERS:
        raise InvalidChoiceError(f"{option}: {len(text):,} characters; an expression has up to {MAX_CHARACTERS:,}")
    parser = _Parser(text, option)
    return Expression(text=text, test=parser.whole())


class _Parser:
    """One pass over the words of an expression; `or` binds least, `not` most."""

    def __init__(self, text: str, option: str) -> None:
        self._text = text
        self._option = option
        self._tokens = self._split()
        self._next = 0
        self._depth = 0

    def whole(self) -> Test:
        """Return the test that the expression describes."""
        test = self._either()
        if self._next < len(self._tokens):
            raise self._unexpected("and, or, or the end")
        return test

    def _split(self) -> list[tuple[str, int]]:
        """Return every token with its column, counted from 1."""
        tokens, position = [], 0
        while position < len(self._text):
            if self._text[position].isspace():
                position += 1
                continue
            found = _TOKEN.match(self._text, position)
            if found is None:
                character = printable(self._text[position])
                raise self._error(f"unexpected {character!r} at column {position + 1}")
            tokens.append((found[0], position + 1))
            position = found.end()
        return tokens

    def _either(self) -> Test:
        tests = self._joined("or", self._both)
        return tests[0] if len(tests) == 1 else lambda names: any(test(names) for test in tests)

    def _both(self) -> Test:
        tests = self._joined("and", self._negated)
        return tests[0] if len(tests) == 1 else lambda names: all(test(names) for test in tests)

    def _joined(self, word: str, part: Callable[[], Test]) -> list[Test]:
        """Return the tests of parts with this word between them."""
        tests = [part()]
        while self._accept(word):
            tests.append(part())
        return tests

    def _negated(self) -> Test:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(f"more than {MAX_DEPTH} parentheses and negations within each other")
        try:
            if self._accept("not"):
                test = self._negated()
                return lambda names: not test(names)
            if self._accept("("):
                inner = self._either()
                if not self._accept(")"):
                    raise self._unexpected("a closing parenthesis")
                return inner
            return self._word()
        finally:
            self._depth -= 1

    def _word(self) -> Test:
        if self._next == len(self._tokens) or self._tokens[self._next][0] in {*_OPERATORS, "(", ")"}:
            raise self._unexpected("a word, not, or an opening parenthesis")
        word = self._tokens[self._next][0].lower()
        self._next += 1
        return lambda names: any(word in name for name in names)

    def _accept(self, token: str) -> bool:
        is_next = self._next < len(self._tokens) and self._tokens[self._next][0] == token
        self._next += is_next
        return is_next

    def _unexpected(self, expected: str) -> InvalidChoiceError:
        if self._next == len(self._tokens):
            return self._error(f"expected {expected}, but it ends there")
        token, column = self._tokens[self._next]
        return self._error(f"expected {expected} at column {column}, found {token[:40]}")

    def _error(self, what: str) -> InvalidChoiceError:
        return InvalidChoiceError(f"{self._option}: {printable(self._text[:100])!r}: {what}; {EXAMPLE}")


def row_names(row: Mapping[Any, Any]) -> list[str]:
    """Return what an expression finds in a row: its names, the fields of its workload, and where it was measured."""
    names = [str(row[column]) for column in NAME_COLUMNS if row.get(column) is not None]
    fields = [words(row[column]) for column, words in _FIELD_WORDS.items() if row.get(column) is not None]
    places = [str(row[column]) for column in PLACE_COLUMNS if row.get(column) is not None]
    return [*names, *(text for text in fields if text), *places]


def in_natural_order(name: str) -> list[tuple[bool, int, str]]:
    """Return a key that sorts numbers in names by their size: `b8` before `b128`."""
    parts = re.split(r"(\d{1,15})", name.lower())
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]
