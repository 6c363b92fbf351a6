from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING

import pytest
from report_builders import plain_file, step_file
from simulated import write_sides

from perfsuite.analysis.tables.markdown import render_markdown
from perfsuite.analysis.tables.pull_request import MAX_CHARACTERS, render_comment
from perfsuite.analysis.tables.table import Column, Table, text_column
from perfsuite.cli import main
from perfsuite.records.outcome import Outcome

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


def test_a_long_legend_is_folded_and_what_decides_whether_to_trust_the_numbers_is_not() -> None:
    notes, legend = (tuple(f"{what} {number}" for number in range(30)) for what in ("note", "legend"))
    text = render_comment(dataclasses.replace(make_table(3), notes=notes, legend=legend))
    head, _, folded = text.partition("<details>")
    assert (head.count("- note"), head.count("- legend")) == (30, 0)
    assert (folded.count("- note"), folded.count("- legend")) == (0, 30)
    assert "<summary>How to read this table</summary>\n\n- legend 0" in folded


def test_a_warning_about_a_run_is_seen_in_the_comment_without_unfolding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = step_file(tmp_path / "steps.json")
    content = json.loads(path.read_text())
    content["benchmarks"][0]["extra_info"]["perfsuite"]["findings"] = ["not stable after 5 s"]
    content["perfsuite"]["outcomes"] = [Outcome(nodeid="test_x", outcome="failed", reason="NaN").to_json()]
    path.write_text(json.dumps(content))
    main(["collect", "--format", "markdown", str(path)])
    head, _, folded = capsys.readouterr().out.partition("<details>")
    for warning in ("not stable after 5 s", "failed: test\\_x: NaN"):
        assert warning in head
        assert warning not in folded


@pytest.mark.parametrize("kind", ["cell", "reason", "note"])
def test_a_number_and_its_interval_are_not_separated_by_the_end_of_a_line(kind: str) -> None:
    intervals = {
        "1.83x [1.80, 1.86] A/A": "1.83x~\\[1.80,~1.86\\]~A/A",
        "1.83x (1.80 to 1.86)": "1.83x~(1.80~to~1.86)",
        "-0.59 [-1.21, +0.03]": "-0.59~\\[-1.21,~+0.03\\]",
    }
    for text, expected in intervals.items():
        column = Column(heading="ratio", show=lambda row: row["text"], numeric=kind == "cell")
        rows = [] if kind == "note" else [{"text": text}]
        notes = (text,) if kind == "note" else ()
        table = Table(title="Ratios", frame=rows, columns=(column,), notes=notes)
        assert expected.replace("~", "\N{NO-BREAK SPACE}") in render_markdown(table)


def test_the_no_break_spaces_of_markdown_reach_standard_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["collect", "--format", "markdown", str(step_file(tmp_path / "steps.json"))])
    text = capsys.readouterr().out
    assert re.search(r"x\u00a0\([\d.]+\u00a0to\u00a0[\d.]+\) \|", text)
    assert "\N{REPLACEMENT CHARACTER}" not in text


@pytest.mark.parametrize(
    ("note", "expected"),
    [
        ("not known; `perfsuite noise` measures it", "not known; `perfsuite noise` measures it"),
        ("`-m input_pipeline` measures it", "`-m input_pipeline` measures it"),
        ("test_`c`: slow", r"test\_\`c\`: slow"),
        ("a` of `perfsuite noise`", r"a\` of `perfsuite noise`"),
        ("`perfsuite <img src=x onerror=alert(1)>`", r"\`perfsuite &lt;img src=x onerror=alert(1)&gt;\`"),
        ("``perfsuite noise`", r"\`\`perfsuite noise\`"),
        (r"\`perfsuite noise`", r"\\\`perfsuite noise\`"),
    ],
)
def test_our_commands_in_backticks_are_code_and_names_are_escaped(note: str, expected: str) -> None:
    table = Table(title="Notes", frame=[], columns=(), notes=(note,))
    assert render_markdown(table).splitlines()[-1] == f"- {expected}"


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
