from __future__ import annotations

import cProfile
import pstats
import re

import pytest

from perfsuite.analysis.tables.table import Column, Table, text_column
from perfsuite.analysis.tables.terminal import render_terminal

MAX_CALLS_OF_A_CELL = 40


def of_rows(rows: list[dict[str, str]], *columns: Column) -> Table:
    return Table(title="rows", frame=list(rows), columns=columns)


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


def test_the_widest_text_is_folded_first_and_none_below_its_least_width() -> None:
    row = {"short": "s" * 30, "long": " ".join(["word"] * 12), "number": "12,345.6"}
    columns = (
        text_column("short", foldable=True),
        text_column("long", foldable=True),
        Column(heading="number", show=lambda row: row["number"], numeric=True),
    )
    lines = render_terminal(of_rows([row], *columns), width=80, color=False).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[4].startswith("s" * 30 + "  word word")
    assert lines[4].endswith("12,345.6")
    narrow = render_terminal(of_rows([row], *columns), width=20, color=False)
    assert "s" * 28 + " " in narrow
    assert narrow.count("word") == 12


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
