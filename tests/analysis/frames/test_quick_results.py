"""First answers (`--perf-quick`) are marked, and never mixed with full measurements."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from builders import make_content, make_entry, make_pair, make_paired_entry, make_record

from perfsuite.analysis.frames.results import collect
from perfsuite.analysis.tables.registry import build_table
from perfsuite.analysis.verdicts.compare import compare
from perfsuite.analysis.verdicts.process_results import read_process
from perfsuite.analysis.verdicts.samples import join_sides

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TIMES_S = [0.1, 0.101, 0.102, 0.1, 0.101, 0.1, 0.1, 0.1]


def write(write_result: Callable[..., Path], name: str, *, quick: bool) -> Path:
    record = dataclasses.replace(make_record(run_id=name), quick=quick)
    return write_result(make_content([make_entry(record, TIMES_S)]), f"{name}.json")


def test_quick_results_alone_are_shown_and_say_what_they_are(write_result: Callable[..., Path]) -> None:
    results = collect([write(write_result, "first", quick=True)])
    assert results.benchmarks["quick"].tolist() == [True]
    table = build_table("steps", results)
    assert any("measured with --perf-quick: repeat without it" in note for note in table.notes)


def test_quick_results_are_left_out_beside_full_ones_with_a_note(write_result: Callable[..., Path]) -> None:
    results = collect([write(write_result, name, quick=name == "first") for name in ("first", "full")])
    assert results.benchmarks["file"].tolist() == ["full.json"]
    assert any("first.json: measured with --perf-quick, left out" in note for note in results.notes)


def test_a_quick_result_beside_a_full_one_is_one_row_and_one_note(write_result: Callable[..., Path]) -> None:
    quick, full = (read_process(write(write_result, name, quick=name == "first")) for name in ("first", "full"))
    for sides, verdict, name in (((full, quick), "missing", "candidate"), ((quick, full), "new", "baseline")):
        comparison = compare(join_sides([sides[0]], [sides[1]]))
        (found,) = comparison.benchmarks
        assert found.verdict == verdict
        assert "measured with --perf-quick only, which is not compared with a full measurement" in found.time.reason
        note = f"not compared with full measurements: 1 quick result of the {name} (--perf-quick)"
        assert [line for line in comparison.notes if "--perf-quick" in line] == [note]


def test_a_quick_result_in_a_side_of_full_ones_changes_no_row(write_result: Callable[..., Path]) -> None:
    files = {name: read_process(write(write_result, name, quick=name == "quick")) for name in ("quick", "a", "b")}
    with_quick = compare(join_sides([files["a"], files["quick"]], [files["b"]]))
    without = compare(join_sides([files["a"]], [files["b"]]))
    assert with_quick.benchmarks == without.benchmarks


def test_quick_results_alone_are_compared_with_their_like(write_result: Callable[..., Path]) -> None:
    one, other = (read_process(write(write_result, name, quick=True)) for name in ("one", "other"))
    comparison = compare(join_sides([one], [other]))
    (found,) = comparison.benchmarks
    assert found.time.ratio == 1.0
    assert "measured with --perf-quick, and compared only with other quick results: 2 results" in comparison.notes


def test_the_table_of_speed_ups_says_at_whose_clock_turns_ran(write_result: Callable[..., Path]) -> None:
    def notes(settle_s: float) -> str:
        pair = make_pair(settle_s=settle_s)
        path = write_result(make_content([make_paired_entry(pair)]), f"{settle_s}.json")
        return " ".join(build_table("interleaved", collect([path])).legend)

    assert "both sides run at one clock, that of their mixture" in notes(0.0)
    assert "turns timed after 5 s of the same side" in notes(5.0)
    assert "one clock" not in notes(5.0)
