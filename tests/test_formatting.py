from __future__ import annotations

import json

import pytest

from perfsuite.errors import ResultFileError
from perfsuite.formatting import MAX_LINE_CHARACTERS, one_line, printable, printable_json, printable_lines

ATTACK = "a\x1b[2J\x9b31m\x07\r\u202eb\x7f\ud800"


def test_nothing_that_a_terminal_acts_on_is_printed() -> None:
    assert printable(ATTACK).isprintable()
    assert printable("a\nb") == "a\N{REPLACEMENT CHARACTER}b"
    assert printable_lines(f"x\n{ATTACK}\n").splitlines()[0] == "x"
    assert all(line.isprintable() for line in printable_lines(f"x\n{ATTACK}\n").split("\n"))
    assert printable("ResNet é 名") == "ResNet é 名"


def test_json_says_the_same_without_such_characters() -> None:
    text = printable_json(json.dumps({"é": [ATTACK, "\U000e0001"]}, ensure_ascii=False, indent=1))
    assert all(character == "\n" or character.isprintable() for character in text)
    assert json.loads(text) == {"é": [ATTACK, "\U000e0001"]}


def test_every_error_is_one_printable_line_of_limited_length_that_keeps_its_end() -> None:
    message = str(ResultFileError(f"x.json: {ATTACK * 100_000}\nname another file"))
    assert message.isprintable()
    assert len(message) <= MAX_LINE_CHARACTERS
    assert message.startswith("x.json: a")
    assert message.endswith(" name another file")


@pytest.mark.parametrize("text", ["", "short", "x" * MAX_LINE_CHARACTERS])
def test_a_short_line_stays_as_it_is(text: str) -> None:
    assert one_line(text) == text
