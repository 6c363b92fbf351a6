"""Filters and orders of a comparison change what is shown, and nothing else."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING

import pytest
from report_builders import step_file
from simulated import write_sides

from perfsuite.cli import main

if TYPE_CHECKING:
    from pathlib import Path

CHANGES = [1.05, 1.3, 1.1, 0.8, 0.9, *[1.0] * 7]
Sides = tuple[list["Path"], list["Path"]]


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    return write_sides(tmp_path, changes=CHANGES)


def arguments(sides: Sides, *more: object) -> list[str]:
    old, new = sides
    return ["compare", "--baseline", *map(str, old), "--candidate", *map(str, new), *map(str, more)]


def shown_rows(out: str) -> list[int]:
    lines = [line for line in out.splitlines() if "test_step[" in line and line[:1] in "▲▼=?"]
    return [int(line.partition("test_step[")[2].partition("]")[0]) for line in lines]


def test_only_and_select_leave_out_rows_and_change_no_verdict_count_or_status(
    sides: Sides, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(sides, "--format", "json")) == 1
    everything = json.loads(capsys.readouterr().out)
    assert main(arguments(sides, "--only", "regressed,improved", "--select", "not [1]", "--format", "json")) == 1
    some = json.loads(capsys.readouterr().out)
    assert (some["summary"], some["method"]) == (everything["summary"], everything["method"])
    assert len(some["benchmarks"]) == 4
    assert all(one in everything["benchmarks"] for one in some["benchmarks"])
    assert some["notes"][0] == (
        "shown: 4 of 12 rows (--only regressed,improved, --select 'not [1]'); verdicts, counts, means and exit status "
        "are of all"
    )
    assert main(arguments(sides, "--only", "improved")) == 1
    out, err = capsys.readouterr()
    assert out.startswith("3 regressed, 2 improved, 7 unchanged;")
    assert sorted(shown_rows(out)) == [3, 4]
    assert "failed (--fail-on regressed,missing,unjudged): 3 regressed" in err


@pytest.mark.parametrize(
    ("sort", "first"), [("verdict", [1, 2, 0, 3, 4]), ("change", [1, 3, 4, 2, 0]), ("name", [0, 1, 2, 3, 4])]
)
def test_rows_are_sorted_as_asked(
    sides: Sides, sort: str, first: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    main(arguments(sides, "--sort", sort))
    out = capsys.readouterr().out
    assert shown_rows(out)[:5] == first
    assert len(shown_rows(out)) == 12
    assert "shown: " not in out


def test_rows_are_sorted_by_the_candidate_s_time(sides: Sides, capsys: pytest.CaptureFixture[str]) -> None:
    main(arguments(sides, "--sort", "time", "--format", "csv"))
    times = [float(row["time_candidate_s"]) for row in csv.DictReader(io.StringIO(capsys.readouterr().out))]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize("name", ["terminal", "markdown", "csv", "latex"])
def test_a_filter_that_leaves_nothing_is_one_clear_line_in_every_format(
    sides: Sides, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(sides, "--select", "resnet50", "--format", name)) == 1
    out, err = capsys.readouterr()
    assert "test_step" not in re.sub(r"trust: .*", "", out)
    assert "shown: none of 12 rows" in (err if name == "csv" else out).replace("\\", "")


def test_workloads_are_selected_by_their_fields(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [step_file(tmp_path / f"{run}.json", run_id=run, seed=seed) for seed, run in enumerate("ab")]
    main(arguments(([files[0]], [files[1]]), "--select", "ResNet50 and not (forward or amp)", "--format", "csv"))
    labels = [row["label"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))]
    assert sorted(labels) == ["resnet50 fp32 backward b128", "resnet50 fp32 train_step b128"]


def test_both_times_the_change_once_and_n_are_shown(sides: Sides, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = sides
    main(arguments((old, new[:4])))
    lines = capsys.readouterr().out.splitlines()
    (line,) = (line for line in lines if "test_step[1]" in line)
    _, _, rest = line.partition("test_step[1]")
    words = rest.split()
    assert words[1] == "->"
    assert words[4].startswith("+")
    assert words[4].endswith("%")
    assert words[7] == "5/4"
    assert any("n: processes a side" in one for one in lines)


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (["--only", "slower"], "unknown verdict of --only 'slower'; choose from failed, improved"),
        (["--only", "regressed,"], "--only: 'regressed,' has an empty name in it"),
        (["--select", "a and"], "--select: 'a and': expected a word"),
        (["--select", "a", "--explain", "x"], "--explain: shows the numbers of one benchmark; leave out --select"),
    ],
)
def test_a_choice_that_cannot_be_used_is_one_line(
    sides: Sides, more: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(sides, *more)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"perfsuite: error: {complaint}")
    assert err.count("\n") == 1
