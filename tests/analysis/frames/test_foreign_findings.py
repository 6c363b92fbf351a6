from __future__ import annotations

import csv
import io
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from foreign_files import needs_public_files, ordinary_rounds, public_files, statistics_of, write_foreign
from hypothesis import given
from hypothesis import strategies as st

from perfsuite.analysis.frames.foreign_findings import (
    CONTRADICTORY,
    EXPLANATIONS,
    FEW_ROUNDS,
    LONG_ROUNDS,
    ONE_ROUND,
    SHORT_ROUND,
    SPREAD,
    TIMER,
    ZERO,
    foreign_findings,
)
from perfsuite.analysis.frames.results import collect
from perfsuite.analysis.load.benchmark_entry import STATS_FIELDS
from perfsuite.analysis.tables.data_formats import render_csv, render_json
from perfsuite.analysis.tables.registry import build_table
from perfsuite.analysis.tables.terminal import render_terminal
from perfsuite.cli import main

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS: dict[str, list[float]] = {
    ONE_ROUND: [1.3],
    FEW_ROUNDS: [1.3, 1.31, 1.32],
    SHORT_ROUND: [24.86e-6, *[19.93e-3] * 20],
    TIMER: [4.1e-7, 4.2e-7, 4.3e-7, 4.2e-7, 4.2e-7],
    SPREAD: [1.0] * 6 + [2.0] * 5,
    LONG_ROUNDS: [1.0] * 20 + [60.0],
    ZERO: [0.0, 1.0, 1.0, 1.0, 1.0],
}


def row_of(stats: dict[str, Any]) -> dict[str, Any]:
    named = {name: stats[theirs] for theirs, name in STATS_FIELDS.items() if theirs in stats}
    return {**named, "num_rounds": stats["rounds"], "num_iterations": stats["iterations"]}


@pytest.mark.parametrize("finding", ROUNDS)
def test_each_finding_is_found_by_itself(finding: str) -> None:
    assert foreign_findings(row_of(statistics_of(ROUNDS[finding]))) == (finding,)


def test_statistics_that_no_rounds_can_have_are_contradictory() -> None:
    stats = statistics_of(ordinary_rounds())
    for changes in ({"median": stats["q1"] * 0.9}, {"mean": stats["max"] * 1.1}, {"min": stats["max"] * 1.1}):
        assert CONTRADICTORY in foreign_findings(row_of({**stats, **changes}))


def test_an_ordinary_benchmark_has_no_findings() -> None:
    assert foreign_findings(row_of(statistics_of(ordinary_rounds()))) == ()


def test_short_iterations_in_a_long_round_are_timed_well() -> None:
    stats = statistics_of([4.1e-7, 4.2e-7, 4.3e-7, 4.2e-7, 4.2e-7])
    assert foreign_findings(row_of({**stats, "iterations": 100})) == ()


def test_what_a_file_does_not_say_is_no_finding() -> None:
    assert foreign_findings({}) == ()
    assert foreign_findings(dict.fromkeys((*STATS_FIELDS.values(), "num_rounds", "num_iterations"))) == ()


@given(st.lists(st.floats(min_value=0, max_value=1e9), min_size=1, max_size=40))
def test_statistics_of_any_rounds_are_never_contradictory(rounds: list[float]) -> None:
    assert CONTRADICTORY not in foreign_findings(row_of(statistics_of(rounds)))


def test_the_scatter_of_one_round_is_unknown_and_not_zero(tmp_path: Path) -> None:
    results = collect([write_foreign(tmp_path / "a.json", {"test_a": [1.3], "test_b": [2.3]})])
    table = build_table("steps", results)
    text = render_terminal(table, width=None, color=False)
    assert "0 ns" not in text
    assert text.count("n/a") == 2
    assert {row["time_stddev_s"] for row in json.loads(render_json(table))} == {None}


def test_findings_stand_below_the_table_with_a_few_names_and_in_every_row_of_csv_and_json(tmp_path: Path) -> None:
    rounds = {f"test_{number}": [1.3] for number in range(12)} | {"test_ordinary": ordinary_rounds()}
    table = build_table("steps", collect([write_foreign(tmp_path / "a.json", rounds)]))
    note = f"12 of 13 results: {ONE_ROUND}: {EXPLANATIONS[ONE_ROUND]} (test_0, test_1 and 10 more)"
    assert table.notes == (note,)
    rows = json.loads(render_json(table))
    assert [row["findings"] for row in rows] == [ONE_ROUND] * 12 + [""]
    assert [row["findings"] for row in csv.DictReader(io.StringIO(render_csv(table)))] == [ONE_ROUND] * 12 + [""]


def test_the_name_of_a_benchmark_is_shortened_in_a_finding(tmp_path: Path) -> None:
    name = f"test_begin[{'x' * 500}-end]"
    (note,) = build_table("steps", collect([write_foreign(tmp_path / "a.json", {name: [1.3]})])).notes
    assert "test_begin[" in note
    assert "-end]" in note
    assert len(note) < 200


@pytest.mark.parametrize("finding", ROUNDS)
def test_a_report_of_foreign_results_with_findings_never_says_that_nothing_was_found(
    finding: str, tmp_path: Path
) -> None:
    path = write_foreign(tmp_path / "a.json", {"test_a": ROUNDS[finding]})
    page = tmp_path / "page.html"
    assert main(["report", str(path), "-o", str(page)]) == 0
    text = page.read_text()
    assert "Trust: high" not in text
    assert "1 warning, listed below" in text
    assert f"1 of 1 results: {finding}" in text


@needs_public_files
def test_limits_are_such_that_ordinary_public_benchmarks_do_not_reach_them() -> None:
    counts: dict[str, Counter[str]] = {}
    num_benchmarks = 0
    for path in public_files():
        frame = collect([path]).benchmarks
        num_benchmarks += len(frame)
        for finding in frame["findings"].str.split("; ").explode():
            counts.setdefault(finding, Counter())[path.name.split("__")[0]] += 1
    # What runs on a GPU in these repositories; nothing else has a round so far below its median.
    assert set(counts[SHORT_ROUND]) == {"dsuess+rmsnorm.torch", "probably-neb+millipyde"}
    # Its file was copied from a faster machine and min, mean, median and max halved, the quartiles not.
    assert set(counts[CONTRADICTORY]) == {"wyattowalsh+proxywhirl"}
    assert ZERO not in counts
    shares = {finding: found.total() / num_benchmarks for finding, found in counts.items()}
    assert shares[SPREAD] < 0.02
    assert shares[TIMER] < 0.03
    assert shares[LONG_ROUNDS] < 0.04
    assert shares[""] > 0.85
