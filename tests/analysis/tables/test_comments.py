from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from report_builders import plain_file, step_file
from simulated import write_sides

from perfsuite.analysis.tables.markdown import render_markdown
from perfsuite.analysis.tables.pull_request import MAX_CHARACTERS, render_comment
from perfsuite.analysis.tables.table import Table, text_column
from perfsuite.cli import main

if TYPE_CHECKING:
    from pathlib import Path


def make_table(num_rows: int, notes: tuple[str, ...] = ()) -> Table:
    rows = [{"name": f"<b>{number}</b>"} for number in range(num_rows)]
    return Table(title="Names", frame=rows, columns=(text_column("name"),), notes=notes)


def test_a_short_table_is_not_folded() -> None:
    table = make_table(12, ("a note",))
    assert render_comment(table) == render_markdown(table)


def test_a_long_table_shows_its_first_rows_and_folds_all() -> None:
    head, _, folded = render_comment(make_table(40)).partition("<details>")
    assert head.count("&lt;b&gt;") == 10
    assert "10 of 40" in head
    assert folded.count("&lt;b&gt;") == 40
    assert "<summary>All 40 rows</summary>\n\n" in folded
    assert folded.rstrip().endswith("</details>")


def test_many_notes_are_folded_too() -> None:
    text = render_comment(make_table(3, tuple(f"note {number}" for number in range(30))))
    head, _, folded = text.partition("<details>")
    assert head.count("- note") == 4
    assert folded.count("- note") == 26


@pytest.mark.parametrize("command", ["collect", "compare"])
def test_a_comment_is_never_longer_than_a_comment_may_be(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if command == "collect":
        main(
            [
                "collect",
                "--format",
                "markdown",
                str(plain_file(tmp_path / "a.json", [f"test_{n}" for n in range(5000)])),
            ]
        )
    else:
        old, new = write_sides(tmp_path, changes=[1.0] * 900, num=3)
        sides = ["--baseline", *map(str, old), "--candidate", *map(str, new)]
        main(["compare", "--format", "markdown", *sides])
    text = capsys.readouterr().out
    assert len(text) < MAX_CHARACTERS + 500
    assert "more lines are left out" in text
    assert text.count("<details>") == text.count("</details>")


def test_collected_steps_begin_with_what_amp_gives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["collect", "--format", "markdown", str(step_file(tmp_path / "steps.json"))])
    head, _, folded = capsys.readouterr().out.partition("<details>")
    assert head.startswith("**amp-fp16 against fp32, batch 128 on Tesla T4")
    assert head.count("train\\_step") == 3
    assert "forward" not in head
    assert "<summary>All 18 cells</summary>" in folded


def test_steps_of_one_precision_are_shown_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["collect", "--format", "markdown", str(step_file(tmp_path / "steps.json", precisions=("fp32",)))])
    text = capsys.readouterr().out
    assert text.startswith("**Training steps")
    assert "<details>" not in text
