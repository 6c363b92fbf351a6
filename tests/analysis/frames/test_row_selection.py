"""Expressions that select rows mean what they mean to pytest's -k."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from _pytest.mark.expression import Expression as PytestExpression

from perfsuite.analysis.frames.selection import in_natural_order, parse_expression, row_names
from perfsuite.errors import InvalidChoiceError

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES = [
    ["tests/test_step.py::test_step[resnet18-fp32-8]", "resnet18", "fp32", "b8"],
    ["tests/test_step.py::test_step[resnet50-amp-fp16-128]", "resnet50", "amp-fp16", "b128"],
    ["tests/test_other.py::test_Sort[1e3]"],
]
WORDS = ("resnet50", "AMP", "b8", "test_sort", "[1e3]", "nothing", "tests/", "notable", "android", "1")


class PartOfAny:
    """Tells pytest whether a word is a part of any of the names, in any case, as its own matcher of -k does."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def __call__(self, word: str, /, **_: object) -> bool:
        return any(word.lower() in name.lower() for name in self._names)


def random_expression(generator: np.random.Generator, depth: int) -> str:
    """Return an expression of words, operators and parentheses."""
    kind = str(generator.choice(["word", "word", "not", "and", "or", "()"])) if depth else "word"
    if kind == "word":
        return str(generator.choice(WORDS))
    inner = random_expression(generator, depth - 1)
    if kind == "not":
        return f"not {inner}"
    if kind == "()":
        return f"({inner} )"
    return f"{inner} {kind} {random_expression(generator, depth - 1)}"


def test_random_expressions_select_what_pytest_selects() -> None:
    generator = np.random.default_rng(0)
    results = set()
    for _ in range(400):
        text = random_expression(generator, 4)
        found, theirs = parse_expression(text), PytestExpression.compile(text)
        for names in NAMES:
            expected = theirs.evaluate(PartOfAny(names))
            assert found.matches(names) == expected, text
            results.add(expected)
    assert results == {True, False}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "--select: '': expected a word, not, or an opening parenthesis, but it ends there"),
        ("a and", "expected a word, not, or an opening parenthesis, but it ends there"),
        ("a b", "expected and, or, or the end at column 3, found b"),
        ("(a", "expected a closing parenthesis, but it ends there"),
        ("a)", "expected and, or, or the end at column 2, found )"),
        ("a or or b", "expected a word, not, or an opening parenthesis at column 6, found or"),
        ("resnet*", "unexpected '*' at column 7"),
        ("__import__('os')", 'unexpected "\'" at column 12'),
        ("not " * 200 + "a", "more than 50 parentheses and negations within each other"),
        ("(" * 200, "more than 50 parentheses and negations within each other"),
        ("a" * 1001, "1,001 characters; an expression has up to 1,000"),
        ("a\x1b", "unexpected '\N{REPLACEMENT CHARACTER}' at column 2"),
    ],
)
def test_what_is_no_expression_is_refused_with_the_place(text: str, complaint: str) -> None:
    with pytest.raises(InvalidChoiceError) as error:
        parse_expression(text)
    assert complaint in str(error.value)
    assert "\x1b" not in str(error.value)


def test_a_row_is_found_by_its_names_and_the_fields_of_its_workload() -> None:
    row = {
        "name": "test_step[x]",
        "model": "resnet50",
        "batch_size": 8,
        "compile_mode": "default",
        "phase": None,
        "time_s": 1.0,
    }
    assert row_names(row) == ["test_step[x]", "b8", "compiled", "resnet50"]
    assert parse_expression("compiled and b8").matches(row_names(row))
    assert not parse_expression("compiled").matches(row_names({**row, "compile_mode": "off"}))
    assert parse_expression("a100 and not h100").matches(row_names({**row, "environment": "A100, torch 2.13.0"}))
    assert not parse_expression("fp32").matches(row_names({**row, "file": "fp32.json"}))


def test_numbers_in_names_are_sorted_by_their_size() -> None:
    assert sorted(["x b128", "x b8", "X b16", "x"], key=in_natural_order) == ["x", "x b8", "X b16", "x b128"]
