from __future__ import annotations

import cProfile
import pstats
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfsuite.analysis.tables.table import Column, Priority, Table, text_column
from perfsuite.analysis.tables.terminal import render_terminal
from perfsuite.analysis.tables.wrapping import num_cells, wrapped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_CALLS_OF_A_CELL = 40


def of_rows(rows: Sequence[Mapping[str, str | None]], *columns: Column) -> Table:
    return Table(title="rows", frame=list(map(dict, rows)), columns=columns)


@pytest.mark.parametrize("width", [None, 40])
def test_a_cell_costs_few_calls_however_many_rows_there_are(width: int | None) -> None:
    """Calls are counted, not timed: rich's own tables made 450 for every cell."""
    rows = [{"name": f"test_small[{number}]", "time": "1.0 us", "rounds": "10"} for number in range(2000)]
    table = of_rows(rows, text_column("name", foldable=True), text_column("time"), text_column("rounds"))
    render_terminal(table, width=width, color=False)  # imports
    profile = cProfile.Profile()
    profile.runcall(render_terminal, table, width=width, color=False)
    num_calls = pstats.Stats(profile).total_calls  # type: ignore[attr-defined]
    assert num_calls / (3 * len(rows)) < MAX_CALLS_OF_A_CELL


def number_column(key: str, priority: Priority | None = None) -> Column:
    return Column(heading=key, show=lambda row: row[key], numeric=True, priority=priority)


def test_the_widest_text_is_folded_first_and_none_below_its_least_width() -> None:
    row = {"short": "s" * 30, "long": " ".join(["word"] * 12), "number": "12,345.6"}
    columns = (text_column("short", foldable=True), text_column("long", foldable=True), number_column("number"))
    lines = render_terminal(of_rows([row], *columns), width=80, color=False).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[4].startswith("s" * 30 + "  word word")
    assert lines[4].endswith("12,345.6")


def test_a_long_text_that_is_no_key_goes_below_its_row_where_it_would_take_many_lines() -> None:
    one = {"name": "one", "time": "1.0", "why": " ".join(["word"] * 40)}
    two = {"name": "two", "time": "2.0", "why": None}
    table = of_rows([one, two], text_column("name"), number_column("time"), text_column("why", foldable=True))
    assert render_terminal(table, width=60, color=False).splitlines()[4:] == [
        "one    1.0",
        "  why: word word word word word word word word word word",
        "  word word word word word word word word word word word",
        "  word word word word word word word word word word word",
        "  word word word word word word word word",
        "two    2.0",
    ]
    wide = render_terminal(table, width=100, color=False).splitlines()
    assert wide[4].startswith("one    1.0  word word")
    assert wide[5].startswith("            word word")


def test_the_least_important_columns_are_left_out_first_and_named_below() -> None:
    row = dict.fromkeys(("name", "main", "detail", "normal"), "1234567890")
    columns = (
        text_column("name"),
        number_column("main"),
        number_column("detail", Priority.DETAIL),
        number_column("normal"),
    )
    table = of_rows([row], *columns)
    for width, left_out in ((43, ""), (42, "detail"), (31, "detail, normal"), (21, "detail, normal")):
        text = render_terminal(table, width=width, color=False)
        note = " ".join(text.split())
        assert (f"characters: {left_out}; to see all columns: a terminal of 43 characters, -o" in note) == bool(
            left_out
        )
        assert max(map(len, text.splitlines())) <= width


def test_a_key_that_many_rows_share_goes_above_them_before_a_column_is_left_out() -> None:
    rows = [{"model": "resnet18", "epoch": str(epoch), "loss": "1.0", "accuracy": "50"} for epoch in range(5)]
    table = of_rows(rows, text_column("model"), text_column("epoch"), number_column("loss"), number_column("accuracy"))
    wide, narrow = (render_terminal(table, width=width, color=False) for width in (40, 24))
    assert "model: " not in wide
    assert "not shown" not in narrow
    assert narrow.splitlines()[4:6] == ["model: resnet18", "0       1.0        50"]


def test_keys_for_which_a_row_has_no_room_are_shown_once_above_the_rows_that_share_them() -> None:
    rows = [{"file": file, "model": model, "time": "1.0"} for file in ("a" * 70, "b" * 75) for model in ("x", "y")]
    table = of_rows(rows, text_column("file"), text_column("model"), number_column("time"))
    assert render_terminal(table, width=72, color=False).splitlines()[4:] == [
        "file:",
        "a" * 70,
        "x       1.0",
        "y       1.0",
        "file:",
        "b" * 72,
        "b" * 3,
        "x       1.0",
        "y       1.0",
    ]


def test_a_few_long_names_do_not_decide_the_width_of_their_column() -> None:
    names = ["n" * 30] * 10 + ["n" * 50]
    rows = [{"name": name, "time": "1.0", "rounds": "12345"} for name in names]
    table = of_rows(rows, text_column("name", foldable=True), number_column("time"), number_column("rounds"))
    lines = render_terminal(table, width=50, color=False).splitlines()
    assert lines[4] == "n" * 30 + " " * 6 + "   1.0   12345"
    assert lines[-2:] == ["n" * 50, " " * 36 + "   1.0   12345"]
    colored = render_terminal(table, width=50, color=True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored).splitlines() == lines


def test_names_go_above_their_rows_where_most_numbers_would_be_left_out_behind_them() -> None:
    rows = [{"name": f"{'n' * 50}{number}", **dict.fromkeys("abcdefg", "1234567")} for number in range(3)]
    table = of_rows(rows, text_column("name"), *map(number_column, "abcdefg"))
    assert render_terminal(table, width=60, color=False).splitlines()[2:6] == [
        "name",
        "      a       b       c       d       e       f       g",
        "\N{BOX DRAWINGS LIGHT HORIZONTAL}" * 55,
        "n" * 50 + "0",
    ]
    behind = render_terminal(table, width=80, color=False).splitlines()
    assert behind[4] == "n" * 50 + "0  1234567  1234567  1234567"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("one two", ["one two"]),
        ("one two three", ["one two", "three"]),
        ("one  two   three", ["one two", "three"]),
        ("abcdefghijkl mn", ["abcdefgh", "ijkl mn"]),
        ("ab abcdefghijkl", ["ab", "abcdefgh", "ijkl"]),
        (
            "\N{CJK UNIFIED IDEOGRAPH-540D}" * 5,
            ["\N{CJK UNIFIED IDEOGRAPH-540D}" * 4, "\N{CJK UNIFIED IDEOGRAPH-540D}"],
        ),
    ],
)
def test_a_text_is_wrapped_between_words_and_only_a_word_wider_than_the_line_is_broken(
    text: str, lines: list[str]
) -> None:
    assert [line.rstrip() for line in wrapped(text, 8)] == lines


def test_a_word_for_which_indentation_leaves_no_room_begins_at_the_left_edge() -> None:
    assert wrapped("one abcdefgh two", 8, indent=2) == ["  one", "abcdefgh", "  two"]


@given(st.text("ab \N{CJK UNIFIED IDEOGRAPH-540D}", max_size=60), st.integers(2, 30), st.integers(0, 4))
def test_wrapping_loses_nothing_and_keeps_to_the_width(text: str, width: int, indent: int) -> None:
    lines = wrapped(text, width, indent=indent)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert max(map(num_cells, lines)) <= width
    words = {word for line in lines for word in line.split()}
    assert all(word in words for word in text.split() if num_cells(word) <= width)


def test_a_style_changes_no_width_and_is_left_out_without_colour() -> None:
    column = Column(heading="verdict", show=lambda row: row["verdict"], numeric=True, style=lambda _row: "red")
    table = of_rows(
        [{"verdict": "slow"}, {"verdict": "\N{CJK UNIFIED IDEOGRAPH-6162}\N{CJK UNIFIED IDEOGRAPH-6162}"}], column
    )
    plain = render_terminal(table, width=80, color=False)
    colored = render_terminal(table, width=80, color=True)
    assert "\x1b[31mslow\x1b[0m" in colored
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == plain
    assert plain.splitlines()[4:] == ["   slow", "   \N{CJK UNIFIED IDEOGRAPH-6162}\N{CJK UNIFIED IDEOGRAPH-6162}"]
